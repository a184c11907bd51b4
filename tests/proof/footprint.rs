//! What saving and restoring take besides the cache itself: no byte of archive on its volume or in the temp directory,
//! and little memory.

use std::fs;
use std::process::Command;
use std::time::Duration;

use crate::forest;
use crate::job::{Job, ONE_CACHE, field};
use crate::process::Process;
use crate::scale::{pick, tell};
use cachekeep_test_support::github_service::GitHubService;
use cachekeep_test_support::project::Ran;
use cachekeep_test_support::skip;
use cachekeep_test_support::tree::contents;
use cachekeep_test_support::volume::Volume;

/// What saving and restoring may take at most, in bytes.
struct Bounds {
    memory: u64,
    /// In the temp directory, for notes.
    temp: u64,
}

/// With a store in a directory.
const IN_A_FOLDER: Bounds = Bounds { memory: 200 << 20, temp: 0 };

/// With GitHub's service: blocks and ranges are on their way, and what is saved and restored is noted in the job's temp directory.
const ON_GITHUB: Bounds = Bounds { memory: 256 << 20, temp: A_FEW_PAGES };

/// The ref of a job on GitHub.
const MAIN: &str = "refs/heads/main";

/// What a lease and its directories may take for a moment: a few pages.
const A_FEW_PAGES: u64 = 64 << 10;

/// What was used at most while something ran, and how often we looked.
#[derive(Debug, Default)]
struct Peak {
    cache: u64,
    temp: u64,
    memory: u64,
    samples: u64,
}

/// A job's cache and temp directory, each on a volume of its own.
struct Volumes {
    cache: Volume,
    temp: Volume,
}

impl Volumes {
    /// Mounts both, empty, and writes the cache's path into the configuration; `None` where mounting is not allowed.
    fn mount(job: &Job) -> Option<Self> {
        let (cache, temp) = (job.project.path("workspace/volume"), job.project.path("temp"));
        let (cache, temp) = Volume::mount(&cache, "size=5g").zip(Volume::mount(&temp, "size=4g"))?;
        job.project.write("workspace/cachekeep.toml", ONE_CACHE.replace("/out", "/volume/out"));
        Some(Volumes { cache, temp })
    }

    /// Runs a command and looks at the volumes all the while.
    fn watch(&self, command: &mut Command) -> (Ran, Peak) {
        let mut process = Process::start(command);
        let status = format!("/proc/{}/status", process.id());
        let mut peak = Peak::default();
        while process.is_running() {
            peak.cache = peak.cache.max(self.cache.used().bytes);
            peak.temp = peak.temp.max(self.temp.used().bytes);
            peak.memory = peak.memory.max(peak_memory(&status).unwrap_or_default());
            peak.samples += 1;
            std::thread::sleep(Duration::from_millis(2));
        }
        (process.end().success(), peak)
    }
}

/// The most memory that a process has had so far, as the kernel notes it.
pub(crate) fn peak_memory(status: &str) -> Option<u64> {
    let text = fs::read_to_string(status).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// Saves a tree of `bytes` bytes, restores it, and measures both. `command` makes a process of a verb;
/// `archive` returns the size of the entry in bytes.
fn prove(
    what: &str,
    job: &Job,
    volumes: &Volumes,
    bounds: &Bounds,
    command: impl Fn(&[&str]) -> Command,
    archive: impl FnOnce() -> u64,
) {
    let bytes = pick(128 << 20, 2 << 30);
    let out = job.project.path("workspace/volume/out");
    forest::plain(&out, bytes, 1);
    let tree = contents(&out);
    let (full, idle) = (volumes.cache.used().bytes, volumes.temp.used().bytes);

    let (ran, peak) = volumes.watch(&mut command(&["save", "--required"]));
    assert_eq!(field(&ran, "save/save-result"), "saved");
    tell(&format!(
        "{what}: save of {bytes} bytes into {} of archive: cache volume +{}, temp +{}, {} MiB, {} samples",
        archive(),
        peak.cache - full,
        peak.temp - idle,
        peak.memory >> 20,
        peak.samples
    ));
    assert_eq!(peak.cache, full, "a save adds nothing to the cache's volume, at no moment");
    assert!(peak.temp <= idle + bounds.temp, "{} in the temp directory", peak.temp - idle);
    assert!((1 << 20..bounds.memory).contains(&peak.memory) && peak.samples > 10, "{peak:?}");

    forest::clear(&out);
    let empty = volumes.cache.used().bytes;
    let (ran, peak) = volumes.watch(&mut command(&["restore", "--required"]));
    assert_eq!(field(&ran, "restore/hit"), "exact");
    let unpacked = volumes.cache.used().bytes;
    tell(&format!(
        "{what}: restore: cache volume +{} at most, {} of them the tree, temp +{}, {} MiB, {} samples",
        peak.cache - empty,
        unpacked - empty,
        peak.temp - idle,
        peak.memory >> 20,
        peak.samples
    ));
    assert!(peak.cache <= unpacked + A_FEW_PAGES, "{} beyond the tree", peak.cache - unpacked);
    assert!(peak.temp <= idle + bounds.temp, "{} in the temp directory", peak.temp - idle);
    assert!((1 << 20..bounds.memory).contains(&peak.memory) && peak.samples > 10, "{peak:?}");
    assert_eq!(contents(&out), tree);
}

#[test]
fn no_archive_byte_lies_on_the_volumes_of_the_cache_and_of_temp_and_memory_is_bounded() {
    let job = Job::new(ONE_CACHE);
    let Some(volumes) = Volumes::mount(&job) else {
        return skip("footprint", "only root on Linux mounts volumes");
    };
    let archive = || fs::metadata(&job.entries()[0]).expect("an entry").len();
    prove("footprint", &job, &volumes, &IN_A_FOLDER, |arguments| job.command("1", arguments), archive);
}

#[test]
fn the_same_holds_with_a_real_blob_service_behind_githubs() {
    let job = Job::new(ONE_CACHE);
    let Some(volumes) = Volumes::mount(&job) else {
        return skip("footprint with GitHub's service", "only root on Linux mounts volumes");
    };
    // Its blobs lie in the directory for temporary files of this process, which is on neither volume.
    let service = match GitHubService::start_with_azurite() {
        Ok(service) => service,
        Err(reason) => return skip("footprint with GitHub's service", &reason),
    };
    let token = GitHubService::token(&[(MAIN, 3)]);
    let command = |arguments: &[&str]| {
        let mut command = job.project.command();
        command
            .args(["--json", "--store", "github", "--var", "n=1"])
            .args(arguments)
            .envs(cachekeep_test_support::event::started_by("push", &job.project.path("temp")))
            .env("GITHUB_REF", MAIN)
            .env("RUNNER_TEMP", job.project.path("temp"))
            .env("ACTIONS_RESULTS_URL", service.url())
            .env("ACTIONS_RUNTIME_TOKEN", &token);
        command
    };
    let archive = || service.entries().iter().map(|(_, facts)| facts.size).sum();
    prove("footprint, GitHub", &job, &volumes, &ON_GITHUB, command, archive);
}
