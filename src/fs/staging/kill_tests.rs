//! Kills at random moments: a child publishes in a loop, the parent kills it, and recovery must find the
//! target old or new, never a mixture, and leave nothing.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::tests::{contents, lay};
use super::*;
use crate::fs::atomic;
use crate::fs::recover::{look, recover};
use crate::fs::testing::records_in;

/// Tells the child where to work and how.
const TASK: &str = "CACHEKEEP_KILL_TEST";
/// Tells the child to publish once and end.
const ONCE: &str = "CACHEKEEP_KILL_TEST_ONCE";
/// Kills per kind of publication; `CACHEKEEP_KILLS` asks for more.
const KILLS: u32 = 60;
const FILES: usize = 12;

fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

/// Does nothing unless a parent asked for it: see `published_trees_survive_kills`.
#[test]
fn child_that_publishes_until_it_is_killed() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (kind, place) = task.split_once(' ').expect("a kind and a place");
    let place = Path::new(place);
    let mut generation = 0_u64;
    loop {
        generation += 1;
        // Unique over all children, so that no two generations look alike.
        publish_generation(kind, place, &format!("{}-{generation}", std::process::id()));
        if std::env::var(ONCE).is_ok() {
            return;
        }
    }
}

fn targets(kind: &str, place: &Path) -> Vec<PathBuf> {
    match kind {
        "two" | "two-by-renames" => vec![place.join("target"), place.join("x/other")],
        _ => vec![place.join("target")],
    }
}

fn publish_generation(kind: &str, place: &Path, generation: &str) {
    if kind == "atomic" {
        let bytes = generation.repeat(1_000);
        return atomic::write(&place.join("target"), bytes.as_bytes(), now()).expect("written");
    }
    let way = if kind.ends_with("renames") { Way::TwoRenames } else { Way::Exchange };
    let stagings = targets(kind, place).into_iter().map(|target| {
        // From inside, as a directory in use is published: its files go one by one.
        let staging = match kind {
            "inside" => inside(&target, place),
            _ => Staging::beside(&target, &records_in(place), now()).expect("staged"),
        };
        for number in 0..FILES {
            lay(staging.tree(), &[(&format!("d{}/f{number}", number % 3), generation)]);
        }
        staging
    });
    publish_by(stagings.collect(), &CancellationToken::new(), way).expect("published");
}

fn inside(target: &Path, place: &Path) -> Staging {
    fs::create_dir_all(target).expect("made");
    Staging::prepare(target, true, &Usage::default(), &records_in(place), now()).expect("staged")
}

fn spawn(kind: &str, place: &Path) -> Child {
    child(Command::new(std::env::current_exe().expect("this test")), kind, place)
}

fn child(mut command: Command, kind: &str, place: &Path) -> Child {
    command
        .args(["--exact", "fs::staging::kill_tests::child_that_publishes_until_it_is_killed"])
        .env(TASK, format!("{kind} {}", place.display()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a child")
}

/// Waits until the child works, then for a random moment, then kills it.
fn kill_at_random(mut child: Child, place: &Path) {
    let before = fs::metadata(place).and_then(|found| found.modified()).expect("a place");
    while fs::metadata(place).and_then(|found| found.modified()).expect("a place") == before {
        assert!(child.try_wait().expect("a child").is_none(), "the child failed by itself");
        std::thread::sleep(Duration::from_micros(200));
    }
    // Short waits hit the first publication, long ones any; a busy machine needs the longest.
    let longest = [3_000, 12_000, 60_000, 150_000][rand::random_range(0..4)];
    std::thread::sleep(Duration::from_micros(rand::random_range(0..longest)));
    assert!(child.try_wait().expect("a child").is_none(), "the child failed by itself");
    child.kill().expect("killed");
    child.wait().expect("dead");
}

/// The one generation that all files of all targets have.
fn only_generation(kind: &str, place: &Path) -> Option<String> {
    let mut generations = Vec::new();
    for target in targets(kind, place) {
        let all = contents(&target);
        let published: Vec<_> = all.iter().filter(|(name, _)| name.contains("/f")).collect();
        assert!(published.is_empty() || published.len() == FILES, "{kind}: {} files", published.len());
        generations.extend(published.into_iter().map(|(_, text)| text.clone()));
        assert_eq!(all.get("d1/mine").map(String::as_str), Some("kept"), "{kind}: what was there is kept");
    }
    generations.dedup();
    assert!(generations.len() <= 1, "{kind}: a mixture of {generations:?}");
    generations.pop()
}

fn survive_kills(kind: &str) {
    let kills = std::env::var("CACHEKEEP_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let directory = tempfile::tempdir().expect("a place");
    let place = directory.path();
    for target in targets(kind, place) {
        lay(&target, &[("d1/mine", "kept")]);
    }
    let places: Vec<PathBuf> = match kind {
        "inside" => vec![place.join("target")],
        "two" | "two-by-renames" => vec![place.to_owned(), place.join("x")],
        _ => vec![place.to_owned()],
    };
    let watched = if kind == "inside" { place.join("target") } else { place.to_owned() };
    let peer = LeasedDirectory::create_in(&places[0], "a live peer", now()).expect("leased");
    lay(peer.payload(), &[("precious", "1")]);
    let (mut with_work, mut seen) = (0, std::collections::BTreeSet::new());
    for round in 0..10 * kills {
        // On a busy machine a child may be killed before it has published anything, again and again.
        let has_seen = with_work > kills / 4 && seen.len() >= 2;
        if round >= kills && has_seen {
            break;
        }
        kill_at_random(spawn(kind, place), &watched);
        if kind != "inside" && !kind.ends_with("renames") && targets(kind, place).len() == 1 {
            // One exchange is never seen half made, recovery or not.
            only_generation(kind, place);
        }
        let left = contents(place);
        let ahead = look(&places, &targets(kind, place), &records_in(place), now());
        assert!(ahead.failed.is_empty() && ahead.spared == [peer.path()], "{kind}: {ahead:?}");
        assert_eq!(contents(place), left, "{kind}: looking changes nothing");
        // From either side, alone and in pairs.
        let mut order = places.clone();
        order.rotate_left(usize::try_from(round).expect("small") % places.len());
        let report = std::thread::scope(|scope| {
            let other = scope.spawn(|| recover(&order, &targets(kind, place), &records_in(place), now()));
            let report = recover(&order, &targets(kind, place), &records_in(place), now());
            other.join().expect("recovered");
            report
        });
        with_work += u32::from(!report.removed.is_empty());
        assert!(ahead.removed.iter().all(|path| !path.exists()), "{kind}: what was foreseen was done");
        assert!(!ahead.removed.is_empty() || report.removed.is_empty(), "{kind}: {ahead:?} {report:?}");
        let last = recover(&places, &targets(kind, place), &records_in(place), now());
        assert!(last.failed.is_empty(), "{kind}: {last:?}");
        assert_eq!(last.spared, [peer.path()], "{kind}: only the live peer is spared");
        assert!(
            recover(&places, &targets(kind, place), &records_in(place), now()).removed.is_empty(),
            "{kind}: nothing is left for a third time"
        );
        seen.extend(only_generation(kind, place));
        assert_eq!(contents(peer.payload()).len(), 1, "{kind}: a live peer's things stay");
    }
    assert!(with_work > kills / 4, "{kind}: only {with_work} kills left something to recover");
    assert!(seen.len() >= 2, "{kind}: only {} generations came to be", seen.len());
    peer.close().expect("closed");
    let left = contents(place).into_keys().filter(|name| name.contains(".cachekeep-")).count();
    assert_eq!(left, 0, "{kind}: no temp byte");
}

#[test]
fn published_trees_survive_kills() {
    survive_kills("one");
}

#[test]
fn trees_published_by_two_renames_survive_kills() {
    survive_kills("by-renames");
}

#[test]
fn trees_published_together_survive_kills() {
    survive_kills("two");
    survive_kills("two-by-renames");
}

#[test]
fn trees_published_from_inside_survive_kills() {
    survive_kills("inside");
}

#[test]
fn atomic_files_survive_kills() {
    let directory = tempfile::tempdir().expect("a place");
    let place = directory.path();
    for _ in 0..KILLS {
        kill_at_random(spawn("atomic", place), place);
        let report = recover(&[place.to_owned()], &[], &Records::none(), now());
        assert!(report.failed.is_empty() && report.spared.is_empty(), "{report:?}");
        assert!(fs::read_dir(place).expect("a place").count() <= 1, "no temp byte");
        if let Ok(text) = fs::read_to_string(place.join("target")) {
            let unit = &text[..text.len() / 1_000];
            assert!(!text.is_empty() && text == unit.repeat(1_000), "half a file");
        }
    }
}

/// Every call that a publication changes the disk with.
const CALLS: [&str; 20] = [
    "mkdir",
    "mkdirat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchownat",
    "utimensat",
    "fsync",
    "flock",
    "write",
];

/// Lets a child publish once and kills it before its `number`-th call of a kind. Returns whether it came that far, after
/// checking that recovery leaves every target old or new, and counts both outcomes.
fn kill_before(kind: &str, call: &str, number: u32, outcomes: &mut [u32; 2]) -> bool {
    let directory = tempfile::tempdir().expect("a place");
    let place = directory.path();
    for target in targets(kind, place) {
        lay(&target, &[("d1/mine", "kept")]);
        for number in 0..FILES {
            lay(&target, &[(&format!("d{}/f{number}", number % 3), "before")]);
        }
    }
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("inject={call}:signal=KILL:when={number}"))
        .arg(std::env::current_exe().expect("this test"))
        .env(ONCE, "1");
    let status = child(strace, kind, place).wait().expect("ended");
    let was_killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(9);
    let at = format!("{kind}, {call} {number}");
    assert!(was_killed || status.success(), "{at}: strace or the child failed: {status}");
    let mut places = match kind {
        "inside" => vec![place.join("target")],
        _ => vec![place.to_owned(), place.join("x")],
    };
    if number.is_multiple_of(2) {
        places.reverse();
    }
    let report = recover(&places, &targets(kind, place), &records_in(place), now());
    assert!(report.failed.is_empty() && report.spared.is_empty(), "{at}: {report:?}");
    let left = contents(place).into_keys().filter(|name| name.contains(".cachekeep-")).count();
    assert_eq!(left, 0, "{at}: no temp byte");
    let is_new = only_generation(kind, place).expect("a generation") != "before";
    outcomes[usize::from(is_new)] += 1;
    was_killed
}

/// The disk changes by system calls alone, so a kill before each of them is a kill at any instruction.
fn survive_a_kill_before_each_call(kinds: &[&str]) {
    for kind in kinds {
        let mut outcomes = [0; 2];
        for call in CALLS {
            (1..1_000).find(|number| !kill_before(kind, call, *number, &mut outcomes)).expect("an end");
        }
        let [old, new] = outcomes;
        assert!(old > 20 && new > 15, "{kind}: {old} times as before, {new} times complete");
    }
}

#[test]
#[ignore = "takes minutes, and needs strace"]
fn publications_survive_a_kill_before_each_system_call() {
    survive_a_kill_before_each_call(&["one", "by-renames", "two", "two-by-renames"]);
}

#[test]
#[ignore = "takes minutes, and needs strace"]
fn merges_in_place_survive_a_kill_before_each_system_call() {
    survive_a_kill_before_each_call(&["inside"]);
}
