//! What planning costs: 10 000 entries of a directory store and 10 000 units of a cache to trim, in CPU time; and beside it how
//! long it takes to list the entries and to look for leases.
//!
//! `cargo bench --bench plan [-- DIRECTORY]`: the system's temporary directory unless given. The bounds are 200 ms of
//! CPU for a plan of entries and 100 ms for one of units or of a quota, whatever else the machine does meanwhile; it returns 1 where the slowest
//! plan took longer.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own, for people")]

use cachekeep::domain::entry_filter::EntryFilter;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use cachekeep::domain::entry::EntryId;
use cachekeep::domain::key::Key;
use cachekeep::domain::quota::Marks;
use cachekeep::domain::repository::RepositoryId;
use cachekeep::domain::retention::{Facts, Policy, Protect};
use cachekeep::domain::scope::Scope;
use cachekeep::domain::trim::{TrimPolicy, TrimUnit};
use cachekeep::domain::unit::{ByteSize, Span};
use cachekeep::domain::version::Version;
use cachekeep::store::{
    Catalog, Directory, DirectoryStore, NewEntry, Store, StoreExt, SurveyRequest, Viewpoint,
};
use chrono::Utc;

/// Refs, and entries of each.
const REFS: usize = 50;
const ENTRIES: usize = 200;

/// What a plan may take.
const BOUND: Duration = Duration::from_millis(200);
const TRIM_BOUND: Duration = Duration::from_millis(100);

const ROUNDS: usize = 10;

const DAY: Duration = Duration::from_hours(24);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Cargo says `--bench`.
    let place = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let place = place.map_or_else(tempfile::tempdir, tempfile::tempdir_in)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let view = Viewpoint::of(RepositoryId::local("bench"));
    let store = DirectoryStore::over(Directory::new(place.path(), Utc::now), view);
    runtime.block_on(fill(&store, place.path()))?;

    let started = Instant::now();
    let listed = runtime.block_on(store.list(&EntryFilter::default()))?;
    println!("listing   {:>6} ms by the clock, {} entries", started.elapsed().as_millis(), listed.len());
    let ids: Vec<EntryId> = listed.iter().map(|entry| entry.id.clone()).collect();
    let started = Instant::now();
    let leased = runtime.block_on(store.leased(&ids))?;
    println!("leases    {:>6} ms by the clock, {} leased", started.elapsed().as_millis(), leased.len());

    let request = SurveyRequest { now: Utc::now(), default_branch: scope("main"), only_pull_request: None };
    let facts = runtime.block_on(store.survey(&request))?.facts;
    let policy = policy(&facts);
    let of = facts.entries.len();
    let entries = measure("planning", BOUND, of, || policy.plan(&facts).deletions().count());
    let stored = ByteSize(facts.entries.iter().map(|entry| entry.size.0).sum());
    let marks = Marks { high: ByteSize(stored.0 / 2), low: ByteSize(stored.0 / 20 * 9) };
    let quota = Policy::of_quota(marks, Protect::default(), BTreeMap::new());
    let kept = measure("a quota", TRIM_BOUND, of, || quota.plan(&facts).deletions().count());
    let units = units();
    let total = ByteSize(units.iter().map(|unit| unit.frees).sum());
    let trim = TrimPolicy {
        max_size: Some(ByteSize(total.0 / 2)),
        unused_for: Some(Span(DAY * 30)),
        keep: NonZeroUsize::new(units.len() - 10),
        used_since: Some(Utc::now() - DAY * 50),
    };
    let now = Utc::now();
    let trimmed =
        measure("trimming", TRIM_BOUND, units.len(), || trim.plan(units.clone(), total, now).remove.len());
    Ok(if entries && kept && trimmed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Plans several times, prints what that took, and returns whether the bound was kept. `plan` returns how many of all go.
fn measure(what: &str, bound: Duration, of: usize, plan: impl Fn() -> usize) -> bool {
    let mut times = Vec::new();
    let mut removed = 0;
    for _ in 0..ROUNDS {
        let (before, measure) = used();
        removed = plan();
        times.push((used().0.saturating_sub(before), measure));
    }
    times.sort();
    let ((median, measure), (slowest, _)) = (times[ROUNDS / 2], times[ROUNDS - 1]);
    let is_kept = slowest <= bound;
    println!(
        "{what}  {:>6} ms {measure}, the median of {ROUNDS}; slowest {} ms, bound {} ms: {}; {removed} of {of} go",
        median.as_millis(),
        slowest.as_millis(),
        bound.as_millis(),
        if is_kept { "kept" } else { "BROKEN" },
    );
    is_kept
}

/// Units of a cache, in the order of a walk, with times that repeat.
fn units() -> Vec<TrimUnit> {
    let unit = |number: usize| TrimUnit {
        root: number % 2,
        path: format!("{:x}/{:x}/{:030x}R", number % 16, number / 16 % 16, number * 7_919).into(),
        also: Vec::new(),
        files: 1,
        frees: 4_096 * (1 + number as u64 % 40),
        is_shared: number.is_multiple_of(50),
        used_at: Utc::now() - DAY * u32::try_from(number * 31 % 60).unwrap_or_default(),
        held: number.is_multiple_of(100).then(|| "in use by process 1".to_owned()),
    };
    (0..REFS * ENTRIES).map(unit).collect()
}

/// Every rule that there is.
fn policy(facts: &Facts) -> Policy {
    let total: u64 = facts.entries.iter().map(|entry| entry.size.0).sum();
    Policy {
        superseded: NonZeroUsize::new(3),
        unused_for: Some(Span(DAY * 21)),
        older_than: Some(Span(DAY * 60)),
        budget: Some(ByteSize(total / 3)),
        protect: Protect::new(["externaldata-*", "refs/heads/release-*"]).expect("globs"),
        ..Policy::unreachable()
    }
}

/// CPU time of this thread as Linux counts it; elsewhere the time that passes, and it is called so.
fn used() -> (Duration, &'static str) {
    let counted = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = counted.and_then(|text| text.split(' ').next()?.parse().ok());
    match nanos {
        Some(nanos) => (Duration::from_nanos(nanos), "of CPU"),
        None => (SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(), "by the clock"),
    }
}

fn scope(name: &str) -> Scope {
    Scope::new(name).expect("a ref")
}

/// Makes the entries. One of each ref is saved, which makes its directory; the others are files of a size beside it.
async fn fill(store: &dyn Store, root: &Path) -> Result<(), Box<dyn Error>> {
    for number in 0..REFS {
        let name = match number {
            0 => "main".to_owned(),
            number if number % 5 == 0 => format!("release-{number}"),
            number => format!("refs/pull/{number}/merge"),
        };
        let key = Key::new(format!("first-{number}"))?;
        store
            .put(NewEntry { scope: scope(&name), key, version: Version::of_roots(["x"]) }, Bytes::new())
            .await?;
        let first =
            find(&root.join("repositories"), &format!("first-{number}.tar.zst")).expect("it was just saved");
        let directory = first.parent().expect("a directory");
        fs::remove_file(&first)?;
        for entry in 0..ENTRIES {
            let key = match entry % 4 {
                0 => format!("ccache-linux-{:040x}", entry * 7_919 + number),
                1 => format!("ccache-windows-2026{:04}", 101 + entry),
                2 => format!("externaldata-{:064x}", entry * 104_729),
                _ => format!("deps-v{entry}-{number}"),
            };
            let age = DAY * u32::try_from((entry * 31 + number) % 40)? + Duration::from_secs(entry as u64);
            let file = File::create_new(directory.join(format!("{key}.tar.zst")))?;
            // Holes: it is their size that counts.
            file.set_len(1_000_000 + (entry as u64 * 37_000))?;
            file.set_modified(SystemTime::now() - age)?;
            if entry % 2 == 0 {
                let marker = File::create_new(directory.join(format!("{key}.used")))?;
                marker.set_modified(SystemTime::now() - age / 2)?;
            }
        }
    }
    Ok(())
}

fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let children: Vec<PathBuf> = fs::read_dir(directory).ok()?.flatten().map(|child| child.path()).collect();
    children
        .iter()
        .find(|child| child.ends_with(name))
        .cloned()
        .or_else(|| children.iter().filter(|child| child.is_dir()).find_map(|child| find(child, name)))
}
