//! Several processes at one directory, some of them killed: the test binary starts itself as their children.

use crate::domain::entry_filter::EntryFilter;
use std::env;
use std::io::{BufRead, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;

use super::DirectoryStore;
use super::tests::{files_below, in_directory, named};
use crate::store::catalog::{Catalog as _, Deletion};
use crate::store::contract::{Commit, EntryWriter, Store as _, StoreExt as _};
use crate::store::error::StoreErrorKind;

/// The environment variables with the task and the store of a child.
const TASK: &str = "CACHEKEEP_TEST_TASK";
const ROOT: &str = "CACHEKEEP_TEST_ROOT";

/// The prefix of lines that children print for their parent; the test harness prints others.
const PREFIX: &str = "child: ";

/// Chunks and their size in the uploads of children.
const CHUNKS: usize = 48;
const CHUNK: usize = 64 << 10;

pub(super) struct Peer {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    pub(super) fn start(task: &str, root: &Path) -> Self {
        let mut child = Command::new(env::current_exe().expect("the test binary"))
            .args(["--exact", "store::directory::process_tests::child", "--ignored", "--nocapture"])
            .env(TASK, task)
            .env(ROOT, root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("a child");
        let stdin = child.stdin.take().expect("piped");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        Peer { child, stdin, lines }
    }

    pub(super) fn next_line(&mut self) -> String {
        let said = self.lines.by_ref().map(|line| line.expect("text")).find_map(|line| {
            // The harness does not end its own line before the test prints.
            line.split_once(PREFIX).map(|(_, said)| said.to_owned())
        });
        said.expect("the child prints a line before it ends")
    }

    pub(super) fn go_on(&mut self) {
        self.stdin.write_all(b"\n").expect("the child listens");
    }

    pub(super) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited for");
    }

    pub(super) fn end(mut self) {
        assert!(self.child.wait().expect("waited for").success());
    }
}

#[expect(clippy::print_stdout, reason = "a child reports to its parent")]
fn report(text: &str) {
    println!("{PREFIX}{text}");
}

fn wait_for_parent() {
    std::io::stdin().lock().read_line(&mut String::new()).expect("the parent writes a line");
}

async fn upload(store: &DirectoryStore, key: &str, fill: u8) -> Box<dyn EntryWriter> {
    let mut writer = store.create(named(key)).await.expect("an upload");
    for _ in 0..CHUNKS {
        writer.write(Bytes::from(vec![fill; CHUNK])).await.expect("a write");
    }
    writer
}

#[tokio::test]
#[ignore = "started by the other tests of this file"]
async fn child() {
    let (Ok(task), Ok(root)) = (env::var(TASK), env::var(ROOT)) else { return };
    let store = in_directory(Path::new(&root));
    let (task, argument) = task.split_once(' ').expect("a task and its argument");
    match task {
        // Saves one key after a line from its parent.
        "save" => {
            report("ready");
            wait_for_parent();
            let writer = upload(&store, "shared", argument.parse().expect("a byte")).await;
            report(if writer.commit().await.expect("a commit") == Commit::Exists {
                "exists"
            } else {
                "created"
            });
        }
        // Has an upload in progress and commits it after a line from its parent.
        "hold" => {
            let writer = upload(&store, argument, 1).await;
            report("ready");
            wait_for_parent();
            let commit = writer.commit().await.expect("a commit");
            report(if commit == Commit::Exists { "exists" } else { "created" });
        }
        // Begins to read an entry and stops there until it is killed.
        "read" => {
            let entry = store.find(&named("k").scope, &named(argument).key, &named("k").version).await;
            let mut stream =
                store.read(&entry.expect("a lookup").expect("an entry")).await.expect("a stream");
            stream.try_next().await.expect("a chunk");
            report("reading");
            wait_for_parent();
            let rest: Vec<Bytes> = stream.try_collect().await.expect("the rest");
            report(&rest.iter().map(Bytes::len).sum::<usize>().to_string());
        }
        // Saves and deletes until it is killed; its first upload is in progress when it reports.
        "churn" => {
            for round in 0_u32.. {
                let writer = upload(&store, &format!("{argument}-{round}"), 2).await;
                if round == 0 {
                    report("ready");
                }
                if let Commit::Created { entry, .. } = writer.commit().await.expect("a commit")
                    && round % 2 == 0
                {
                    store.delete(&entry.id).await.expect("a deletion");
                }
            }
        }
        other => panic!("no such task: {other}"),
    }
}

/// Reads every entry there is: each is whole and of one writer.
async fn every_entry_is_whole(store: &DirectoryStore) -> usize {
    let entries = store.list(&EntryFilter::default()).await.expect("a list");
    let mut count = 0;
    for entry in &entries {
        assert_eq!(entry.size.0, (CHUNKS * CHUNK) as u64, "{}", entry.id);
        let bytes = match store.get(entry).await {
            Ok(bytes) => bytes,
            // A child that lives deletes, too.
            Err(error) if error.kind() == StoreErrorKind::NotFound => continue,
            Err(error) => panic!("{error}"),
        };
        assert!(bytes.len() == CHUNKS * CHUNK && bytes.iter().all(|byte| *byte == bytes[0]), "{}", entry.id);
        count += 1;
    }
    count
}

#[tokio::test]
async fn of_eight_processes_one_creates_and_seven_learn_that_it_exists() {
    let root = tempfile::tempdir().expect("a directory");
    let store = in_directory(root.path());
    let mut peers: Vec<Peer> =
        (10..18).map(|fill| Peer::start(&format!("save {fill}"), root.path())).collect();
    for peer in &mut peers {
        assert_eq!(peer.next_line(), "ready");
    }
    peers.iter_mut().for_each(Peer::go_on);
    let said = tokio::task::spawn_blocking(move || {
        let said: Vec<String> = peers.iter_mut().map(Peer::next_line).collect();
        peers.into_iter().for_each(Peer::end);
        said
    });
    // Readers in between see nothing or the whole.
    while !said.is_finished() {
        assert!(every_entry_is_whole(&store).await <= 1);
    }
    let said = said.await.expect("no panic");
    assert_eq!(said.iter().filter(|word| *word == "created").count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|word| *word == "exists").count(), 7, "{said:?}");
    assert_eq!(every_entry_is_whole(&store).await, 1);
    assert_eq!(files_below(&root.path().join("uploads")), Vec::<String>::new(), "no process leaves anything");
}

/// Kills children at random moments of their uploads.
async fn kills(rounds: u32) {
    let root = tempfile::tempdir().expect("a directory");
    let store = in_directory(root.path());
    let mut held = Peer::start("hold held", root.path());
    assert_eq!(held.next_line(), "ready");
    let own = upload(&store, "own", 3).await;
    let mut dead_uploads = 0;
    for round in 0..rounds {
        let mut victim = Peer::start(&format!("churn round-{round}"), root.path());
        assert_eq!(victim.next_line(), "ready");
        std::thread::sleep(Duration::from_micros(rand::random_range(0..25_000)));
        victim.kill();
        every_entry_is_whole(&store).await;
        for entry in store.list(&EntryFilter::default()).await.expect("a list") {
            assert_eq!(store.delete(&entry.id).await.expect("a deletion"), Deletion::Deleted);
        }
        let recovered = store.recover().await.expect("a recovery");
        assert_eq!(recovered.kept, 2, "live uploads are kept");
        dead_uploads += recovered.removed;
        let uploads = std::fs::read_dir(root.path().join("uploads")).expect("a directory");
        assert_eq!(uploads.count(), 2, "nothing of the dead is left");
        assert_eq!(store.recover().await.expect("a recovery").removed, 0);
    }
    assert!(dead_uploads > 0, "some were killed in the middle");
    held.go_on();
    assert_eq!(held.next_line(), "created");
    held.end();
    assert!(matches!(own.commit().await, Ok(Commit::Created { .. })));
    let names: Vec<_> =
        files_below(root.path()).into_iter().filter(|name| !name.ends_with(".tar.zst")).collect();
    assert_eq!(names, ["cachekeep-store", "directories.lock"]);
    every_entry_is_whole(&store).await;
}

#[tokio::test]
async fn killed_uploads_leave_whole_entries_and_after_recovery_no_byte() {
    kills(25).await;
}

#[tokio::test]
#[ignore = "the long form of the test above"]
async fn killed_uploads_leave_nothing_in_three_hundred_rounds() {
    kills(300).await;
}
