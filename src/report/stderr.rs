//! Standard error, where a line that cannot be written is dropped.
//!
//! `eprintln!` panics when standard error is a full disk or a pipe whose reader has gone. A log that nobody can read
//! must not stop a build, so everything in this room prints through [`print_line`].

use std::io::{self, Write};

/// Prints a line to standard error. Errors are dropped.
pub fn print_line(text: &str) {
    write_line(&mut io::stderr().lock(), text);
}

fn write_line(out: &mut dyn Write, text: &str) {
    // One write, so that lines of several processes that share a log do not mix.
    let _ = out.write_all(format!("{text}\n").as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
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
}
