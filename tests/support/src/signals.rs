//! Signals that the tests send to programs.

use tokio::signal::unix::{SignalKind, signal};

/// Has what is started from now on hear `SIGINT` and `SIGHUP`, although a shell that started the tests in the background, or `nohup`,
/// had them ignore these: programs inherit a signal that is ignored, and not one that is handled. Only Linux tells which are ignored.
pub fn hear_signals() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    for kind in [SignalKind::interrupt(), SignalKind::hangup()] {
        if ignored & (1 << (kind.as_raw_value() - 1)) == 0 {
            continue;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _entered = runtime.enter();
        // The handler stays, whatever becomes of the stream.
        drop(signal(kind).expect("a handler"));
    }
}
