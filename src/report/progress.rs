//! Progress of long work: bars on a terminal, a line every ten seconds elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::stderr;
use crate::domain::event::Meter;
use crate::domain::shown::Shown;
use crate::domain::unit::{ByteSize, counted};
use crate::platform::Platform;
use crate::threads::start;

/// How often a log without bars hears of long work.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// How often bars move.
const BAR_EVERY: Duration = Duration::from_millis(100);

/// Shows meters while they turn.
pub(crate) struct Progress {
    kind: BarKind,
    running: Vec<RunningPhase>,
}

enum BarKind {
    Silent,
    Bars(MultiProgress),
    Lines(Arc<dyn Platform>),
}

/// Where one meter is shown.
enum Display {
    Bar(ProgressBar),
    Lines(Arc<dyn Platform>),
}

/// A meter that is shown, and the thread that shows it.
struct RunningPhase {
    meter: Arc<Meter>,
    bar: Option<ProgressBar>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows nothing.
    pub(crate) fn silent() -> Self {
        Progress { kind: BarKind::Silent, running: Vec::new() }
    }

    /// Draws bars on a terminal.
    pub(crate) fn bars() -> Self {
        Progress { kind: BarKind::Bars(MultiProgress::with_draw_target(stderr::bars())), running: Vec::new() }
    }

    /// Prints a line now and then, and tells the platform how far the work is where it shows that.
    pub(crate) fn lines(platform: Arc<dyn Platform>) -> Self {
        Progress { kind: BarKind::Lines(platform), running: Vec::new() }
    }

    /// Begins to show a meter.
    pub(crate) fn start(&mut self, meter: Arc<Meter>) {
        let done = Arc::new(AtomicBool::new(false));
        let display = match &self.kind {
            BarKind::Silent => return,
            BarKind::Lines(platform) => Display::Lines(Arc::clone(platform)),
            BarKind::Bars(bars) => Display::Bar(bars.add(ProgressBar::no_length().with_style(style(false)))),
        };
        let bar = match &display {
            Display::Bar(bar) => Some(bar.clone()),
            Display::Lines(_) => None,
        };
        let thread = {
            let (meter, done) = (Arc::clone(&meter), Arc::clone(&done));
            // Without a thread there is no progress to see, and that is all.
            start::detached("progress", move || show(&meter, &display, &done)).ok()
        };
        self.running.push(RunningPhase { meter, bar, done, thread });
    }

    /// Stops showing it.
    pub(crate) fn finish(&mut self, meter: &Arc<Meter>) {
        if let Some(at) = self.running.iter().position(|shown| Arc::ptr_eq(&shown.meter, meter)) {
            drop(self.running.swap_remove(at));
        }
    }

    /// Prints without tearing the bars.
    pub(crate) fn above_bars(&self, print: impl FnOnce()) {
        match &self.kind {
            BarKind::Bars(bars) => bars.suspend(print),
            BarKind::Silent | BarKind::Lines(_) => print(),
        }
    }
}

impl Drop for RunningPhase {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A display that panicked has nothing left to clean up.
            let _ = thread.join();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn show(meter: &Meter, display: &Display, done: &AtomicBool) {
    let started = Instant::now();
    let every = if matches!(display, Display::Bar(_)) { BAR_EVERY } else { LINE_EVERY };
    let mut next = started + every;
    loop {
        thread::park_timeout(next.saturating_duration_since(Instant::now()));
        if done.load(Ordering::Acquire) {
            return;
        }
        if Instant::now() < next {
            continue;
        }
        next += every;
        match display {
            Display::Bar(bar) => {
                if let (Some(total), None) = (meter.total(), bar.length()) {
                    bar.set_style(style(true));
                    bar.set_length(total);
                }
                bar.set_prefix(Shown::value(&format!("{}: {}", meter.cache, meter.phase)).into_string());
                bar.set_message(amounts(meter, started.elapsed()));
                bar.set_position(meter.bytes());
            }
            Display::Lines(platform) => {
                stderr::print_line(&line(meter, started.elapsed()));
                if let Some(told) = told(meter, &**platform) {
                    stderr::print_dialect(&told);
                }
            }
        }
    }
}

/// The line that shows the platform how far the work is; `None` where its end is not known.
fn told(meter: &Meter, platform: &dyn Platform) -> Option<String> {
    let percent = percent(meter.bytes(), meter.total()?);
    platform.progress(percent, &Shown::value(&format!("{}: {}", meter.cache, meter.phase)))
}

fn percent(done: u64, total: u64) -> u64 {
    done.saturating_mul(100).checked_div(total).unwrap_or(100).min(100)
}

/// One line that says how far the work is.
fn line(meter: &Meter, elapsed: Duration) -> String {
    let done = ByteSize(meter.bytes());
    let amount = match meter.total() {
        Some(total) => format!("{done} of {} ({} %)", ByteSize(total), percent(done.0, total)),
        None => done.to_string(),
    };
    format!(
        "{}: {}: {amount}, {}, {} s",
        meter.cache,
        meter.phase,
        counted(meter.items(), "file"),
        elapsed.as_secs()
    )
}

/// What stands behind a bar: how much work there is, how much is done, how fast, and how long the rest takes.
fn amounts(meter: &Meter, elapsed: Duration) -> String {
    let (done, total) = (meter.bytes(), meter.total());
    let files = meter.total_items().unwrap_or_else(|| meter.items());
    let mut parts = Vec::new();
    if files > 0 {
        parts.push(counted(files, "file"));
    }
    parts.push(match total {
        Some(total) => format!("{} of {}", ByteSize(done), ByteSize(total)),
        None => ByteSize(done).to_string(),
    });
    let rate = u128::from(done) * 1000 / elapsed.as_millis().max(1);
    let rate = u64::try_from(rate).unwrap_or(u64::MAX);
    if rate > 0 {
        parts.push(format!("{}/s", ByteSize(rate)));
    }
    if let Some(seconds) = total.and_then(|total| total.saturating_sub(done).checked_div(rate)) {
        parts.push(if seconds < 100 {
            format!("{seconds} s left")
        } else {
            format!("{} min left", seconds / 60)
        });
    }
    parts.join(", ")
}

/// The bar takes the room that the texts beside it leave in a line.
fn style(has_total: bool) -> ProgressStyle {
    let template = if has_total { "{prefix} [{wide_bar}] {msg}" } else { "{prefix} {spinner} {msg}" };
    ProgressStyle::with_template(template).expect("the template is a constant").progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::event::Phase;
    use crate::platform::{Env, detect};

    #[test]
    fn a_line_says_how_far_the_work_is() {
        let meter = Meter::new("ccache", Phase::Save);
        meter.add_bytes(500_000);
        meter.add_items(12);
        assert_eq!(line(&meter, Duration::from_secs(20)), "ccache: save: 500.0 kB, 12 files, 20 s");
        meter.set_total(2_000_000);
        assert_eq!(
            line(&meter, Duration::from_secs(20)),
            "ccache: save: 500.0 kB of 2.00 MB (25 %), 12 files, 20 s"
        );
    }

    #[test]
    fn a_bar_says_how_much_there_is_before_the_work_is_done() {
        let meter = Meter::new("ccache", Phase::Save);
        assert_eq!(amounts(&meter, Duration::from_secs(1)), "0 B");
        meter.set_total(2_000_000);
        meter.set_total_items(12);
        assert_eq!(amounts(&meter, Duration::from_secs(1)), "12 files, 0 B of 2.00 MB");
        meter.add_bytes(500_000);
        let told = amounts(&meter, Duration::from_secs(5));
        assert_eq!(told, "12 files, 500.0 kB of 2.00 MB, 100.0 kB/s, 15 s left");
        let told = amounts(&meter, Duration::from_secs(500));
        assert_eq!(told, "12 files, 500.0 kB of 2.00 MB, 1.00 kB/s, 25 min left");
        // Beside the name of a cache, there is room for a bar in 80 columns.
        assert!(told.chars().count() < 60);
    }

    #[test]
    fn a_platform_that_shows_it_is_told_how_far_work_of_known_size_is() {
        let meter = Meter::new("ccache", Phase::Restore);
        let told = |variables: &[(&str, &str)]| {
            told(&meter, &*detect(&Env::of(variables.iter().copied()), Path::new("/")))
        };
        let azure = [("TF_BUILD", "True")];
        assert_eq!(told(&azure), None, "the end is not known");
        meter.set_total(300);
        meter.add_bytes(200);
        assert_eq!(told(&azure).as_deref(), Some("##vso[task.setprogress value=66;]ccache: restore"));
        assert_eq!(told(&[("GITHUB_ACTIONS", "true")]), None);
        meter.add_bytes(200);
        assert_eq!(told(&azure).as_deref(), Some("##vso[task.setprogress value=100;]ccache: restore"));
    }

    #[test]
    fn work_that_ends_at_once_leaves_no_thread_behind() {
        let platform = detect(&Env::of([]), Path::new("/"));
        for mut progress in [Progress::bars(), Progress::lines(platform), Progress::silent()] {
            let meter = Meter::new("c", Phase::Scan);
            let started = Instant::now();
            progress.start(Arc::clone(&meter));
            progress.finish(&meter);
            assert!(progress.running.is_empty());
            assert!(started.elapsed() < LINE_EVERY);
        }
    }
}
