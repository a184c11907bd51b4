//! The log: takes events and prints them to standard error in the platform's dialect.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::failure::with_hint;
use super::progress::Progress;
use super::stderr;
use crate::domain::event::{Event, Level, Observer};
use crate::domain::shown::Shown;
use crate::platform::Platform;

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// What was done.
    #[default]
    Normal,
    /// How it was done.
    Verbose,
}

/// How the log looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogOptions {
    /// How much is logged.
    pub verbosity: Verbosity,
    /// Whether standard error is a terminal that takes bars.
    pub bars: bool,
    /// Whether color may be used.
    pub color: bool,
}

/// Prints events to standard error.
pub(crate) struct Log {
    platform: Arc<dyn Platform>,
    options: LogOptions,
    progress: Mutex<Progress>,
}

impl Log {
    /// A log in this platform's dialect.
    pub(crate) fn new(platform: Arc<dyn Platform>, options: LogOptions) -> Self {
        let progress = if options.verbosity == Verbosity::Quiet {
            Progress::silent()
        } else if options.bars {
            Progress::bars()
        } else {
            Progress::lines(Arc::clone(&platform))
        };
        Log { platform, options, progress: Mutex::new(progress) }
    }

    fn is_told(&self, level: Level) -> bool {
        level
            >= match self.options.verbosity {
                Verbosity::Quiet => Level::Warning,
                Verbosity::Normal => Level::Info,
                Verbosity::Verbose => Level::Debug,
            }
    }

    /// The progress display, even if a thread that held it panicked: it holds nothing that can break.
    fn with_progress<T>(&self, act: impl FnOnce(&mut Progress) -> T) -> T {
        act(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Prints a line of the platform's dialect, in which foreign text is already [`Shown`].
    fn print(&self, line: &str) {
        self.with_progress(|progress| progress.above_bars(|| stderr::print_dialect(line)));
    }

    fn message(&self, level: Level, cache: Option<&str>, text: &str, hint: Option<&str>) {
        if !self.is_told(level) {
            return;
        }
        let text = with_hint(text, hint);
        let text = cache.map_or_else(|| text.clone(), |cache| format!("{cache}: {text}"));
        let is_short =
            self.options.bars && self.options.verbosity == Verbosity::Normal && level == Level::Info;
        let text = if is_short { short_digests(&text) } else { text };
        let text = Shown::message(text.trim_end());
        self.print(&paint(self.options.color, level, &self.platform.message(level, &text)));
    }
}

/// Hexadecimal digits from which on a word is a digest, which a terminal shows by its beginning.
const DIGEST: usize = 32;

/// How many digits of a digest a terminal shows.
const SHOWN_DIGITS: usize = 8;

/// A text with long digests shortened, as in keys: whole ones take more than half of a line.
fn short_digests(text: &str) -> String {
    let mut shortened = String::with_capacity(text.len());
    for part in text.split_inclusive(|c: char| !c.is_ascii_hexdigit()) {
        let digits = part.trim_end_matches(|c: char| !c.is_ascii_hexdigit());
        if digits.len() < DIGEST {
            shortened.push_str(part);
        } else {
            shortened.extend([&digits[..SHOWN_DIGITS], "…", &part[digits.len()..]]);
        }
    }
    shortened
}

/// Colors the word before a warning or an error; the word itself carries the meaning.
fn paint(color: bool, level: Level, text: &str) -> String {
    let code = match level {
        Level::Warning => "33",
        Level::Error => "31",
        Level::Debug | Level::Info => return text.to_owned(),
    };
    match text.split_once(": ") {
        Some((word, rest)) if color => format!("\u{1b}[1;{code}m{word}:\u{1b}[0m {rest}"),
        _ => text.to_owned(),
    }
}

impl Observer for Log {
    fn observe(&self, event: Event) {
        match event {
            Event::Started(meter) => self.with_progress(|progress| progress.start(meter)),
            Event::Finished(meter) => self.with_progress(|progress| progress.finish(&meter)),
            Event::Message { level, cache, text, hint } => {
                self.message(level, cache.as_deref(), &text, hint.as_deref());
            }
            Event::Command(line) => self.print(&line),
            Event::GroupStarted(title) => {
                if let Some(line) = self.platform.group_start(&Shown::value(&title)) {
                    self.print(&line);
                }
            }
            Event::GroupFinished => {
                if let Some(line) = self.platform.group_end() {
                    self.print(&line);
                }
            }
        }
    }
}

/// Writes what was asked for to standard output, foreign text in it [`Shown`]. A reader that closed the pipe early
/// (`| head`) is not an error.
pub(crate) fn print_result(text: &str) -> io::Result<()> {
    print_own(&Shown::lines(text))
}

/// Writes a text that depends on nothing but this program to standard output, as it is.
pub(crate) fn print_own(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_digests_are_shown_by_their_beginning() {
        let text = format!("saved `data-{}-1` as {}", "0123456789abcdef".repeat(4), "f".repeat(31));
        assert_eq!(short_digests(&text), format!("saved `data-01234567…-1` as {}", "f".repeat(31)));
        assert_eq!(short_digests(&"a".repeat(40)), "aaaaaaaa…");
    }

    #[test]
    fn color_never_carries_meaning_alone() {
        assert_eq!(paint(false, Level::Warning, "warning: x: y"), "warning: x: y");
        assert_eq!(paint(true, Level::Warning, "warning: x: y"), "\u{1b}[1;33mwarning:\u{1b}[0m x: y");
        assert_eq!(paint(true, Level::Info, "x: y"), "x: y");
    }
}
