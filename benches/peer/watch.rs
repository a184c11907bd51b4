//! A process and its children, watched from start to end.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::place::{Place, Used};

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_millis(5);

/// The unit of CPU time in `/proc` on every architecture of Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Seconds.
    pub(crate) wall: f64,
    /// Seconds of CPU, of user and system, children included.
    pub(crate) cpu: f64,
    /// Most bytes of memory that the process and its children had together.
    pub(crate) memory: f64,
    /// Most bytes on the volumes of the cache and of temp beyond what was there before or is after.
    pub(crate) extra_disk: f64,
}

/// The most of everything that was seen.
#[derive(Default)]
struct Peak {
    memory: u64,
    used: Used,
}

/// Runs a command to its end; an error holds its output.
pub(crate) fn run(mut command: Command, place: &Place) -> Result<(Measured, String), String> {
    let output = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let same = || output.reopen().map(Stdio::from).map_err(|error| error.to_string());
    let before = place.used();
    let started = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(same()?).stderr(same()?).spawn();
    let mut child =
        child.map_err(|error| format!("{} cannot be started: {error}", command.get_program().display()))?;
    let id = child.id();
    let is_over = AtomicBool::new(false);
    let (wall, peak) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(id, place, &is_over));
        // It stays in `/proc` with its times until it is reaped.
        let pid = i32::try_from(id).ok().and_then(Pid::from_raw).expect("a process");
        let _ = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        let wall = started.elapsed();
        is_over.store(true, Ordering::Relaxed);
        (wall, watching.join().expect("it does not panic"))
    });
    let cpu = cpu_seconds(id).ok_or("its times are not in /proc")?;
    let status = child.wait().map_err(|error| error.to_string())?;
    let after = place.used();
    let said = fs::read_to_string(output.path()).unwrap_or_default();
    if !status.success() {
        return Err(format!("it ended with {status}:\n{said}"));
    }
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let measured = Measured {
        wall: wall.as_secs_f64(),
        cpu,
        memory: peak.memory as f64,
        extra_disk: peak.used.beyond(before, after) as f64,
    };
    Ok((measured, said))
}

fn watch(id: u32, place: &Place, is_over: &AtomicBool) -> Peak {
    let mut peak = Peak::default();
    while !is_over.load(Ordering::Relaxed) {
        peak.memory = peak.memory.max(memory_of_tree(id));
        peak.used = peak.used.most(place.used());
        std::thread::sleep(INTERVAL);
    }
    peak
}

/// Bytes that a process and all its children have in memory.
fn memory_of_tree(id: u32) -> u64 {
    let process = format!("/proc/{id}");
    let status = fs::read_to_string(format!("{process}/status")).unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let own = resident.unwrap_or_default() << 10;
    own + children(Path::new(&process)).into_iter().map(memory_of_tree).sum::<u64>()
}

fn children(process: &Path) -> Vec<u32> {
    let tasks = fs::read_dir(process.join("task")).into_iter().flatten().flatten();
    let of_task = |task: fs::DirEntry| fs::read_to_string(task.path().join("children")).unwrap_or_default();
    let lists: Vec<String> = tasks.map(of_task).collect();
    lists.iter().flat_map(|list| list.split_whitespace()).filter_map(|id| id.parse().ok()).collect()
}

/// CPU time of a process that has ended and is not reaped, with that of the children that it reaped.
fn cpu_seconds(id: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The second field is the name, in parentheses; the 14th to the 17th are times.
    let (_, rest) = stat.rsplit_once(") ")?;
    let times = rest.split(' ').skip(11).take(4).map(str::parse::<f64>);
    Some(times.collect::<Result<Vec<f64>, _>>().ok()?.iter().sum::<f64>() / TICKS_PER_SECOND)
}
