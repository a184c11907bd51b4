//! Signals: the first one cancels the work and is forwarded to the command of `run`. The second one ends the
//! process at once, and the next start cleans up; where the command leads a process group, that is ended first, and the third
//! signal ends the process.

#![expect(clippy::disallowed_methods, clippy::exit, reason = "a second signal means now")]

use std::sync::Arc;

use super::exit::Exit;
use crate::command::interrupt::Interrupt;
#[cfg(unix)]
use crate::command::interrupt::TICK;
#[cfg(unix)]
use crate::command::process_group::is_foreground;
#[cfg(unix)]
use crate::threads::contain::contain;
use crate::threads::executor::Executor;
#[cfg(unix)]
use crate::threads::executor::Owner;

/// `SIGINT`'s number on every Unix; also what Ctrl-C means on Windows.
const INTERRUPT: i32 = 2;

/// `SIGTERM`'s number, for the events by which Windows ends a process.
#[cfg(not(unix))]
const TERMINATE: i32 = 15;

/// Does what a signal asks for. Returns whether it was the first.
fn on_signal(interrupt: &Interrupt, signal: i32, forward: bool) -> bool {
    let count = interrupt.count_signal();
    match count {
        1 => {
            interrupt.raise(signal);
            if forward {
                interrupt.forward(signal);
            }
        }
        2 if interrupt.hurry(signal) => {}
        _ => std::process::exit(Exit::by_signal(signal).0),
    }
    count == 1
}

/// Listens from now on.
#[cfg(unix)]
pub(super) fn listen(runtime: &Executor, interrupt: &Arc<Interrupt>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let _entered = runtime.enter();
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        if kind == SignalKind::hangup() && is_ignored(kind.as_raw_value()) {
            continue;
        }
        let mut stream = signal(kind)?;
        let interrupt = Arc::clone(interrupt);
        runtime.spawn(async move {
            while stream.recv().await.is_some() {
                // A terminal sends Ctrl-C to the whole foreground group: a child in it has heard it already.
                let by_terminal =
                    kind.as_raw_value() == INTERRUPT && is_foreground() && interrupt.group().is_none();
                if on_signal(&interrupt, kind.as_raw_value(), !by_terminal) {
                    tokio::spawn(end_group(Arc::clone(&interrupt)));
                }
            }
        });
    }
    interrupt.note_listening();
    Ok(())
}

/// Whether this program was started with a signal ignored, as `nohup` does with `SIGHUP`. Only Linux tells without system calls of C.
#[cfg(target_os = "linux")]
fn is_ignored(signal: i32) -> bool {
    use crate::fs::read::read_regular;

    /// More than the kernel writes.
    const MAX_STATUS: u64 = 64 << 10;

    let status = read_regular(std::path::Path::new("/proc/self/status"), MAX_STATUS).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal - 1)) != 0
}

#[cfg(all(unix, not(target_os = "linux")))]
fn is_ignored(_: i32) -> bool {
    false
}

/// Makes a file that would become larger than the system allows an error of its write, not the end of this process. Other
/// programs that this one starts are not affected.
#[cfg(unix)]
pub(super) fn keep_from_file_size_limit() {
    use rustix::process::Signal;
    use tokio::signal::unix::{SignalKind, signal};

    // Without descriptors for it the signal ends the process, as it does by default. tokio panics then.
    let _ = contain(|| {
        let runtime = Owner::start_without_threads().ok()?;
        let _entered = runtime.executor().enter();
        // The handler stays, whatever becomes of the stream; a program that is started begins without it.
        signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).ok().map(drop)
    });
}

/// Windows has no limit for the size of a file.
#[cfg(not(unix))]
pub(super) fn keep_from_file_size_limit() {}

/// Ends the group of the command by and by, until this process ends.
#[cfg(unix)]
async fn end_group(interrupt: Arc<Interrupt>) {
    loop {
        tokio::time::sleep(TICK).await;
        interrupt.tick();
    }
}

/// Listens from now on. Windows delivers Ctrl-C, Ctrl-Break and the close of the console to every process of it: nothing is
/// forwarded. After a close it ends the process within seconds, as after a shutdown.
#[cfg(not(unix))]
pub(super) fn listen(runtime: &Executor, interrupt: &Arc<Interrupt>) -> std::io::Result<()> {
    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

    /// Spawns a task that hears one kind of event; the kinds have types of their own.
    macro_rules! hear {
        ($stream:expr, $signal:expr) => {
            let (mut stream, interrupt) = ($stream?, Arc::clone(interrupt));
            runtime.spawn(async move {
                while stream.recv().await.is_some() {
                    on_signal(&interrupt, $signal, false);
                }
            });
        };
    }
    let _entered = runtime.enter();
    hear!(ctrl_c(), INTERRUPT);
    hear!(ctrl_break(), INTERRUPT);
    hear!(ctrl_close(), TERMINATE);
    hear!(ctrl_shutdown(), TERMINATE);
    interrupt.note_listening();
    Ok(())
}
