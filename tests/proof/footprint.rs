//! What saving and restoring take besides the cache itself: no byte of archive on its volume or in the temp folder,
//! and little memory.

use std::fs;
use std::time::Duration;

use crate::forest;
use crate::job::{Job, ONE_CACHE, field};
use crate::process::Process;
use crate::scale::{pick, tell};
use crate::support::project::Ran;
use crate::support::skip;
use crate::support::tree::contents;
use crate::volume::Volume;

/// The most memory that either may take.
const MOST_MEMORY: u64 = 200 << 20;

/// What a lease and its folders may take for a moment: a few pages.
const A_FEW_PAGES: u64 = 64 << 10;

/// What was used at most while something ran, and how often we looked.
#[derive(Debug, Default)]
struct Peak {
    cache: u64,
    temp: u64,
    memory: u64,
    samples: u64,
}

/// Runs a command and looks at the volumes all the while.
fn watched(job: &Job, cache: &Volume, temp: &Volume, arguments: &[&str]) -> (Ran, Peak) {
    let mut process = Process::start(&mut job.command("1", arguments));
    let status = format!("/proc/{}/status", process.id());
    let mut peak = Peak::default();
    while process.is_running() {
        peak.cache = peak.cache.max(cache.used().bytes);
        peak.temp = peak.temp.max(temp.used().bytes);
        peak.memory = peak.memory.max(peak_memory(&status).unwrap_or_default());
        peak.samples += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
    (process.end().success(), peak)
}

/// The most memory that a process has had so far, as the kernel notes it.
fn peak_memory(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[test]
fn no_archive_byte_lies_on_the_volumes_of_the_cache_and_of_temp_and_memory_is_bounded() {
    let job = Job::new(ONE_CACHE);
    let bytes = pick(128 << 20, 2 << 30);
    let (cache, temp) = (job.project.path("workspace/volume"), job.project.path("temp"));
    let mounted = Volume::mount(&cache, "size=5g").zip(Volume::mount(&temp, "size=4g"));
    let Some((cache, temp)) = mounted else {
        return skip("footprint", "only root on Linux mounts volumes");
    };
    job.project.write("workspace/cachekeep.toml", ONE_CACHE.replace("/out", "/volume/out"));
    let out = job.project.path("workspace/volume/out");
    forest::plain(&out, bytes, 1);
    let tree = contents(&out);
    let (full, idle) = (cache.used().bytes, temp.used().bytes);

    let (ran, peak) = watched(&job, &cache, &temp, &["save", "--required"]);
    assert_eq!(field(&ran, "save/save-result"), "saved");
    let archive = fs::metadata(&job.entries()[0]).expect("an entry").len();
    tell(&format!(
        "footprint: save of {bytes} bytes into {archive} of archive: cache volume +{}, temp +{}, {} MiB, {} samples",
        peak.cache - full,
        peak.temp - idle,
        peak.memory >> 20,
        peak.samples
    ));
    assert_eq!((peak.cache, peak.temp), (full, idle), "a save adds nothing, at no moment");
    assert!((1 << 20..MOST_MEMORY).contains(&peak.memory) && peak.samples > 10, "{peak:?}");

    forest::clear(&out);
    let empty = cache.used().bytes;
    let (ran, peak) = watched(&job, &cache, &temp, &["restore", "--required"]);
    assert_eq!(field(&ran, "restore/hit"), "exact");
    let unpacked = cache.used().bytes;
    tell(&format!(
        "footprint: restore: cache volume +{} at most, {} of them the tree, temp +{}, {} MiB, {} samples",
        peak.cache - empty,
        unpacked - empty,
        peak.temp - idle,
        peak.memory >> 20,
        peak.samples
    ));
    assert!(peak.cache <= unpacked + A_FEW_PAGES, "{} beyond the tree", peak.cache - unpacked);
    assert_eq!(peak.temp, idle);
    assert!((1 << 20..MOST_MEMORY).contains(&peak.memory) && peak.samples > 10, "{peak:?}");
    assert_eq!(contents(&out), tree);
}
