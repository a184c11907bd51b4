//! Entries of GitHub's own client are restored by ours and the other way round, and versions are the same.

use std::fs;
use std::path::Path;

use cachekeep::archive::{self, Destination, Levels, Limits, PackRequest, Splitter, UnpackRequest};
use cachekeep::domain::event::{Meter, Phase};
use cachekeep::domain::version::{Version, portable_roots};
use cachekeep::parts::Selection;
use cachekeep::parts::Timeouts;
use cachekeep::store::{Commit, GitHubOptions};
use tokio_util::sync::CancellationToken;

use crate::github_store::job::{MAIN, impatient, restore, save, store};
use cachekeep_test_support::actions_cache::Peer;
use cachekeep_test_support::github_service::GitHubService;
use cachekeep_test_support::skip::skip;
use cachekeep_test_support::tree::snapshot;

/// The path whose version [`crate::github_store::job::version`] is.
const ROOT: &str = ".cachekeep/x";

/// A tree as caches are: many small files, links, empty and odd things.
fn grow(workspace: &Path, files: usize) {
    let root = workspace.join(ROOT);
    for number in 0..files {
        let directory = root.join(format!("CID/{:02x}", number % 64));
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(
            directory.join(format!("bafy{number:05}")),
            format!("object {number}\n").repeat(number % 40),
        )
        .expect("a file");
    }
    fs::create_dir_all(root.join("empty/deep")).expect("a directory");
    let long = "l".repeat(200);
    for name in ["with space", "ümläut", "-rf", "quote'\"`$(x)", "new\nline", "back\\slash", "#", &long] {
        fs::write(root.join(name), name).expect("a file");
    }
    fs::create_dir_all(root.join(format!("d{long}/d{long}"))).expect("a directory");
    fs::write(root.join(format!("d{long}/d{long}/{long}")), "deep").expect("a file");
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        symlink("CID/00/bafy00000", root.join("link")).expect("a link");
        symlink("nowhere/at all", root.join("broken")).expect("a link");
        symlink("..", root.join("empty/up")).expect("a link");
        fs::hard_link(root.join("ümläut"), root.join("twin")).expect("a second name");
        fs::set_permissions(root.join("-rf"), fs::Permissions::from_mode(0o755)).expect("a mode");
    }
}

/// The archive of a workspace's cache.
fn packed(workspace: &Path) -> Vec<u8> {
    let selections = [Selection::everything(workspace.join(ROOT))];
    let request = PackRequest {
        cache: "x",
        selections: &selections,
        last: None,
        workers: 2,
        levels: Levels::default(),
        producer: "tests",
    };
    let (mut bytes, meter) = (Vec::new(), Meter::new("x", Phase::Save));
    archive::pack(&request, &mut bytes, &CancellationToken::new(), &meter).expect("packed");
    bytes
}

/// Unpacks an archive of a cache into an empty directory.
fn unpack(archive: &[u8], directory: &Path) {
    let destination = Destination { prefix: ROOT.to_owned(), directory: directory.to_owned() };
    let request = UnpackRequest {
        destinations: vec![destination],
        workers: 2,
        foreign: Limits { bytes: 1 << 30, entries: 100_000 },
    };
    let meter = Meter::new("x", Phase::Restore);
    archive::unpack(
        request,
        Splitter::behind_manifest(archive).expect("a manifest"),
        &CancellationToken::new(),
        &meter,
    )
    .expect("unpacked");
}

fn assert_same(restored: &Path, saved: &Path) {
    let (restored, saved) = (snapshot(restored), snapshot(saved));
    let differs = |path: &&String| restored.get(*path) != saved.get(*path);
    let first = restored.keys().chain(saved.keys()).find(differs);
    let show = |path: &String| (path.clone(), restored.get(path).cloned(), saved.get(path).cloned());
    assert_eq!(first.map(show), None, "restored, saved");
    assert!(saved.len() > 5_000);
}

struct Both {
    service: GitHubService,
    peer: Peer,
}

fn both(test: &str) -> Option<Both> {
    let made = GitHubService::start_with_azurite().and_then(|service| {
        let peer = Peer::new(&service.url(), &GitHubService::token(&[(MAIN, 3)]))?;
        Ok(Both { service, peer })
    });
    made.map_err(|reason| skip(test, &reason)).ok()
}

fn patient() -> GitHubOptions {
    GitHubOptions { timeouts: Timeouts::default(), time_limit: None, ..impatient() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_peer_saves_our_store_restores() {
    let Some(Both { service, peer }) = both("what_the_peer_saves_our_store_restores") else { return };
    grow(&peer.workspace(), 5_000);
    let said = peer.save("k-1", &[ROOT]);
    assert!(said.answer.as_i64().is_some_and(|number| number > 0), "{}", said.log);
    let ours = store(&service, &[(MAIN, 1)], patient());
    let archive = restore(&ours, "k-1").await.expect("restored").expect("an entry of the same version");
    let target = tempfile::tempdir().expect("a temp dir");
    unpack(&archive, target.path());
    assert_same(target.path(), &peer.workspace().join(ROOT));

    // The peer's keys match as ours: a prefix finds the newest.
    let said = peer.look_up(&["k-9", "k-"], &[ROOT]);
    assert_eq!(said.answer.as_str(), Some("k-1"), "{}", said.log);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_our_store_saves_the_peer_restores() {
    let Some(Both { service, peer }) = both("what_our_store_saves_the_peer_restores") else { return };
    let source = tempfile::tempdir().expect("a temp dir");
    grow(source.path(), 5_000);
    let ours = store(&service, &[(MAIN, 3)], patient());
    let saved = save(&ours, "k-1", &packed(source.path())).await.expect("saved");
    assert!(matches!(saved, Commit::Created { .. }));
    let said = peer.restore(&["k-9", "k-"], &[ROOT]);
    assert_eq!(said.answer.as_str(), Some("k-1"), "{}", said.log);
    assert_same(&peer.workspace().join(ROOT), &source.path().join(ROOT));

    // A name that cachekeep has reserved cannot be reserved by the peer.
    let said = peer.save("k-1", &[ROOT]);
    assert_eq!(said.answer.as_i64(), Some(-1), "{}", said.log);
}

#[test]
fn versions_are_the_peers_on_every_platform() {
    let peer = match Peer::new("http://127.0.0.1:1/", "none") {
        Ok(peer) => peer,
        Err(reason) => return skip("versions_are_the_peers_on_every_platform", &reason),
    };
    let caches = ["x", "externaldata", "ccache", "a-b_c.d", "MixedCase"];
    let sets: Vec<Vec<String>> =
        caches.iter().flat_map(|cache| [portable_roots(cache, 1), portable_roots(cache, 3)]).collect();
    assert_eq!(sets.len(), 10);
    for (set, versions) in sets.iter().zip(peer.versions(&sets)) {
        let ours = Version::of_roots(set.iter().map(String::as_str));
        assert_eq!(versions, vec![ours.as_str(); 3], "{set:?}");
    }
}
