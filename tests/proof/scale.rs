//! How much is done: enough to find what broke, or all that is promised.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Whether everything is asked for (`CACHEKEEP_PROOF=full`).
pub(crate) fn is_full() -> bool {
    std::env::var("CACHEKEEP_PROOF").as_deref() == Ok("full")
}

/// The quick value or the full one.
pub(crate) fn pick<T>(quick: T, full: T) -> T {
    if is_full() { full } else { quick }
}

/// Prints a figure on standard error: the test harness captures what the print macros write.
pub(crate) fn tell(figure: &str) {
    let _ = writeln!(std::io::stderr(), "PROOF {figure}");
}

/// Where projects lie: on a real disk for the full size. Making and removing thousands of files a second is what
/// disks are worst at, so the quick size prefers memory where there is enough.
pub(crate) fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let has_room = |found: rustix::fs::StatVfs| found.f_bavail * found.f_frsize > 2 << 30;
    if !is_full() && rustix::fs::statvfs(memory).is_ok_and(has_room) {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    }
}
