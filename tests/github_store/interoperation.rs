//! Entries of GitHub's own client are restored by ours and the other way round, and versions are the same.

use std::fs;
use std::path::Path;

use cachekeep::domain::version::{Version, portable_roots};
use cachekeep::store::{Commit, GitHubOptions};
use cachekeep::transport::client::Timeouts;

use crate::actions_cache::{Peer, pack, unpack};
use crate::github_service::GitHubService;
use crate::job::{MAIN, impatient, restore, save, store};
use crate::skip::skip;
use crate::tree::snapshot;

/// The path whose version [`crate::job::version`] is.
const ROOT: &str = ".cachekeep/x";

/// A tree as caches are: many small files, links, empty and odd things.
fn grow(workspace: &Path, files: usize) {
    let root = workspace.join(ROOT);
    for number in 0..files {
        let folder = root.join(format!("CID/{:02x}", number % 64));
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(format!("bafy{number:05}")), format!("object {number}\n").repeat(number % 40))
            .expect("a file");
    }
    fs::create_dir_all(root.join("empty/deep")).expect("a folder");
    let long = "l".repeat(200);
    for name in ["with space", "ümläut", "-rf", "quote'\"`$(x)", "new\nline", "back\\slash", "#", &long] {
        fs::write(root.join(name), name).expect("a file");
    }
    fs::create_dir_all(root.join(format!("d{long}/d{long}"))).expect("a folder");
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

struct Both {
    service: GitHubService,
    peer: Peer,
}

fn both(test: &str) -> Option<Both> {
    let made = GitHubService::start_with_azurite().and_then(|service| {
        let peer = Peer::new(&service.url(), &service.token(&[(MAIN, 3)]))?;
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
    assert!(
        snapshot(&target.path().join(ROOT)) == snapshot(&peer.workspace().join(ROOT)),
        "the trees differ"
    );

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
    let saved = save(&ours, "k-1", &pack(source.path(), &[ROOT])).await.expect("saved");
    assert!(matches!(saved, Commit::Created(_)));
    let said = peer.restore(&["k-9", "k-"], &[ROOT]);
    assert_eq!(said.answer.as_str(), Some("k-1"), "{}", said.log);
    assert!(
        snapshot(&peer.workspace().join(ROOT)) == snapshot(&source.path().join(ROOT)),
        "the trees differ"
    );

    // A name that ours has taken is taken for the peer.
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
