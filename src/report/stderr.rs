//! Standard error, where what cannot be written is dropped.
//!
//! `eprintln!` panics when standard error is a full disk or a pipe whose reader has gone, and indicatif panics when its
//! terminal hangs up. A log that cannot be read must not stop a build, so everything in this room prints through
//! [`print_line`] or [`print_dialect`] and draws on [`bars`].

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use console::Term;
use indicatif::{ProgressDrawTarget, TermLike};

use crate::domain::shown::Shown;

/// How often bars are drawn at most, per second.
const DRAWS_PER_SECOND: u8 = 20;

/// Prints text to standard error, with nothing in it that a runner or a terminal acts on. Errors are dropped.
pub(crate) fn print_line(text: &str) {
    write_line(&mut io::stderr().lock(), &Shown::lines(text));
}

/// Prints a line that a platform's dialect made, as it is. Errors are dropped.
pub(super) fn print_dialect(line: &str) {
    write_line(&mut io::stderr().lock(), line);
}

fn write_line(out: &mut dyn Write, text: &str) {
    // One write, so that lines of several processes that share a log do not mix.
    let _ = out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush());
}

/// Where bars are drawn: on the terminal of standard error, until it fails. Errors are dropped.
pub(crate) fn bars() -> ProgressDrawTarget {
    bars_on(Term::buffered_stderr())
}

fn bars_on(terminal: impl TermLike + 'static) -> ProgressDrawTarget {
    let terminal = UntilFailure { terminal, has_failed: AtomicBool::new(false) };
    ProgressDrawTarget::term_like_with_hz(Box::new(terminal), DRAWS_PER_SECOND)
}

/// A terminal that is not used again after its first error: `Term` keeps what it could not flush, and would keep more
/// with each draw.
#[derive(Debug)]
struct UntilFailure<T> {
    terminal: T,
    has_failed: AtomicBool,
}

impl<T> UntilFailure<T> {
    /// Returns no error: `MultiProgress::suspend` would panic, and poison its lock for all other threads.
    #[expect(clippy::unnecessary_wraps, reason = "the methods of `TermLike` return results")]
    fn attempt(&self, act: impl FnOnce(&T) -> io::Result<()>) -> io::Result<()> {
        if !self.has_failed.load(Ordering::Relaxed) && act(&self.terminal).is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl<T: TermLike> TermLike for UntilFailure<T> {
    fn width(&self) -> u16 {
        self.terminal.width()
    }

    fn height(&self) -> u16 {
        self.terminal.height()
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.attempt(|terminal| terminal.move_cursor_up(n))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.attempt(|terminal| terminal.move_cursor_down(n))
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.attempt(|terminal| terminal.move_cursor_right(n))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.attempt(|terminal| terminal.move_cursor_left(n))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.attempt(|terminal| terminal.write_line(text))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.attempt(|terminal| terminal.write_str(text))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.attempt(TermLike::clear_line)
    }

    fn flush(&self) -> io::Result<()> {
        self.attempt(TermLike::flush)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use indicatif::{MultiProgress, ProgressBar};

    use super::*;

    /// A disk that is full.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    #[test]
    fn a_line_that_cannot_be_written_is_dropped() {
        write_line(&mut Full, "unheard");
    }

    #[test]
    fn a_line_ends_with_one_newline() {
        let mut out = Vec::new();
        write_line(&mut out, "one");
        write_line(&mut out, "two");
        assert_eq!(out, b"one\ntwo\n");
    }

    /// A terminal that has hung up, and counts what is asked of it.
    #[derive(Debug, Default)]
    struct HungUp {
        calls: Arc<AtomicUsize>,
    }

    impl HungUp {
        fn call(&self) -> io::Result<()> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    impl TermLike for HungUp {
        fn width(&self) -> u16 {
            80
        }

        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            self.call()
        }

        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            self.call()
        }

        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            self.call()
        }

        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            self.call()
        }

        fn write_line(&self, _: &str) -> io::Result<()> {
            self.call()
        }

        fn write_str(&self, _: &str) -> io::Result<()> {
            self.call()
        }

        fn clear_line(&self) -> io::Result<()> {
            self.call()
        }

        fn flush(&self) -> io::Result<()> {
            self.call()
        }
    }

    #[test]
    fn a_terminal_that_hangs_up_ends_the_bars_and_nothing_else() {
        let terminal = HungUp::default();
        let calls = Arc::clone(&terminal.calls);
        let bars = MultiProgress::with_draw_target(bars_on(terminal));
        let bar = bars.add(ProgressBar::new(10));
        bar.tick();
        assert_eq!(calls.load(Ordering::Relaxed), 1, "drawing ends with the first error");
        let mut printed = false;
        bars.suspend(|| printed = true);
        assert!(printed, "a line above the bars is printed even so");
        bar.set_position(5);
        bar.finish_and_clear();
        assert_eq!(calls.load(Ordering::Relaxed), 1, "the terminal is left alone after its error");
    }
}
