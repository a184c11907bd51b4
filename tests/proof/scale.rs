//! How much is done: enough to find what broke, or all that is promised.

use std::io::Write as _;

/// Whether everything is asked for (`CACHEKEEP_PROOF=full`).
pub(crate) fn is_full() -> bool {
    std::env::var("CACHEKEEP_PROOF").as_deref() == Ok("full")
}

/// The quick value or the full one.
pub(crate) fn pick<T>(quick: T, full: T) -> T {
    if is_full() { full } else { quick }
}

/// Tells a figure to whoever watches: the test harness swallows what the print macros write.
pub(crate) fn tell(figure: &str) {
    let _ = writeln!(std::io::stderr(), "PROOF {figure}");
}
