//! What a list of processes shows of one process and all that come from it, looked at again and again.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Short enough to see a shell, long enough not to slow the tests down.
const EVERY: Duration = Duration::from_millis(40);

/// A watch over a process and its descendants. Sees nothing where there is no `/proc`.
pub(crate) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<BTreeSet<String>>,
}

/// When a process started: its number may be another's later.
type Started = String;

impl Watch {
    /// Watches the descendants of a process.
    pub(crate) fn start(ancestor: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut ours, mut seen) = (HashMap::new(), BTreeSet::new());
            loop {
                let is_last = stopped.load(Ordering::Relaxed);
                look(ancestor, &mut ours, &mut seen);
                if is_last {
                    return seen;
                }
                std::thread::sleep(EVERY);
            }
        });
        Watch { stop, thread }
    }

    /// Looks once more; every command line that was seen.
    pub(crate) fn stop(self) -> BTreeSet<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// Adds the command lines of all processes that descend from `ancestor`, also of those whose parents have ended.
fn look(ancestor: u32, ours: &mut HashMap<u32, Started>, seen: &mut BTreeSet<String>) {
    let listing = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = listing.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let all: Vec<(u32, u32, Started)> = numbers
        .filter_map(|number| family(number).map(|(parent, started)| (number, parent, started)))
        .collect();
    let is_alive = |number: &u32, started: &mut Started| {
        all.iter().any(|(other, _, other_started)| other == number && other_started == started)
    };
    ours.retain(is_alive);
    loop {
        let before = ours.len();
        for (number, parent, started) in &all {
            if *parent == ancestor || ours.contains_key(parent) {
                ours.insert(*number, started.clone());
            }
        }
        if ours.len() == before {
            break;
        }
    }
    for number in ours.keys() {
        let line =
            std::fs::read(Path::new("/proc").join(number.to_string()).join("cmdline")).unwrap_or_default();
        if !line.is_empty() {
            seen.insert(String::from_utf8_lossy(&line).replace(['\0', '\n', '\r'], " "));
        }
    }
}

/// The parent of a process and when it started.
fn family(number: u32) -> Option<(u32, Started)> {
    let stat = std::fs::read(Path::new("/proc").join(number.to_string()).join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name before may have spaces and parentheses in it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    Some((parent, fields.nth(17)?.to_owned()))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_arguments_of_a_childs_child_are_seen() {
        let watch = Watch::start(std::process::id());
        let mut shell = Command::new("sh");
        // It waits for its input to end, which is when this test has seen it.
        shell.args(["-c", "sh -c 'read line' planted-secret; true"]).stdin(Stdio::piped());
        let mut shell = shell.spawn().expect("sh starts");
        let is_seen = |seen: &BTreeSet<String>| seen.contains("sh -c read line planted-secret ");
        let (mut ours, mut seen) = (HashMap::new(), BTreeSet::new());
        while !is_seen(&seen) {
            look(std::process::id(), &mut ours, &mut seen);
        }
        let watched = watch.stop();
        drop(shell.stdin.take());
        shell.wait().expect("it ends");
        assert!(is_seen(&watched), "{watched:?}");
    }
}
