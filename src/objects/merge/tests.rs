//! Merging: what enters, what stays, and what a second volume changes.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::digest::{Algorithm, Sha256Digest};
use crate::domain::event::{Meter, Phase};
use crate::domain::inventory::Inventory;
use crate::domain::template::Template;
use crate::objects::inventory;

/// A store, a temporary directory on its volume and a directory to offer from.
struct TestPlace {
    base: tempfile::TempDir,
    elsewhere: tempfile::TempDir,
    layout: ObjectLayout,
    verified: Arc<VerifiedFiles>,
    cancel: CancellationToken,
}

impl TestPlace {
    fn new() -> Self {
        let base = tempfile::tempdir().expect("a directory");
        fs::create_dir(base.path().join("temp")).expect("a directory");
        TestPlace {
            elsewhere: tempfile::tempdir_in(base.path()).expect("a directory"),
            base,
            layout: ObjectLayout::new(&Template::parse("{ALGO}/{hash}").expect("a template"))
                .expect("a layout"),
            verified: Arc::default(),
            cancel: CancellationToken::new(),
        }
    }

    /// With another volume to offer from; none where there is no second one.
    #[cfg(target_os = "linux")]
    fn across_volumes() -> Option<Self> {
        use std::os::unix::fs::MetadataExt as _;
        let place = TestPlace { elsewhere: tempfile::tempdir_in("/dev/shm").ok()?, ..TestPlace::new() };
        let device = |path: &Path| fs::metadata(path).expect("metadata").dev();
        (device(place.elsewhere.path()) != device(place.base.path())).then_some(place)
    }

    fn root(&self) -> PathBuf {
        self.base.path().join("store")
    }

    fn staged(&self, content: &str) -> PathBuf {
        let path = self.elsewhere.path().join(format!("staged-{}", Sha256Digest::of(content.as_bytes())));
        fs::write(&path, content).expect("a file");
        path
    }

    fn existing(&self, object: &ObjectId, content: &str) -> PathBuf {
        let path = self.root().join(self.layout.path_of(object));
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(&path, content).expect("a file");
        path
    }

    fn offer(&self, object: &ObjectId, staged: &Path, take: Take) -> Result<Merged, MergeError> {
        let (root, temp) = (self.root(), self.base.path().join("temp"));
        Merger::new(&root, &self.layout, &temp, &self.verified, &self.cancel).offer(object, staged, take)
    }

    fn inventory(&self) -> Inventory {
        let meter: Arc<Meter> = Meter::new("x", Phase::Verify);
        inventory::inventory(&self.root(), &self.layout, 2, &self.cancel, &meter).expect("an inventory")
    }
}

fn object(content: &str) -> ObjectId {
    ObjectId::new(Algorithm::Sha256, &Sha256Digest::of(content.as_bytes()).to_string()).expect("a hash")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a file")
}

fn check_offers(place: &TestPlace) {
    for take in [Take::Move, Take::Keep] {
        let content = format!("{take:?}");
        let wanted = object(&content);
        let target = place.root().join(place.layout.path_of(&wanted));

        let staged = place.staged(&content);
        assert_eq!(place.offer(&wanted, &staged, take).expect("merged"), Merged::Added, "{take:?}");
        assert_eq!(staged.exists(), take == Take::Keep);
        assert_eq!(read(&target), content);

        let again = place.staged(&content);
        assert_eq!(place.offer(&wanted, &again, take).expect("merged"), Merged::Present, "{take:?}");
        assert_eq!(again.exists(), take == Take::Keep);

        for broken in ["", "another content"] {
            fs::remove_file(&target).expect("removed");
            place.existing(&wanted, broken);
            let staged = place.staged(&content);
            assert_eq!(place.offer(&wanted, &staged, take).expect("merged"), Merged::Replaced, "{take:?}");
            assert_eq!(read(&target), content);
        }
    }
    let found = place.inventory();
    assert_eq!((found.count(), found.objects.len(), found.unknown_files), (2, 2, 0));
}

#[test]
fn objects_enter_once_and_unproven_ones_make_way() {
    check_offers(&TestPlace::new());
}

#[test]
#[cfg(target_os = "linux")]
fn objects_enter_from_another_volume_as_well() {
    match TestPlace::across_volumes() {
        Some(place) => {
            check_offers(&place);
            let left = fs::read_dir(place.base.path().join("temp")).expect("a directory").count();
            assert_eq!(left, 0, "copies are moved, not left");
        }
        None => cachekeep_test_support::skip(
            "objects_enter_from_another_volume_as_well",
            "/dev/shm is not another volume",
        ),
    }
}

#[test]
fn what_is_not_proven_never_enters() {
    let place = TestPlace::new();
    let wanted = object("content");
    for staged in ["", "contenT", "content\n"] {
        let path = place.staged(staged);
        let error = place.offer(&wanted, &path, Take::Move).expect_err("refused");
        assert!(matches!(error, MergeError::Refused { .. }), "{error}");
        assert!(path.exists(), "what is refused is left alone");
    }
    let tree =
        ObjectId::new(Algorithm::Cid, "QmT78zSuBmuS4z925WZfrqQ1qHaJ56DQaTfyMUF7F8ff5o").expect("a CID");
    let error = place.offer(&tree, &place.staged("content"), Take::Move).expect_err("refused");
    assert!(error.to_string().contains("in no known UnixFS profile"), "{error}");
    assert!(!place.root().exists());
    assert_eq!(
        place.offer(&tree, &place.staged("hello world\n"), Take::Move).expect("merged"),
        Merged::Added
    );
}

#[test]
fn a_proven_object_is_never_replaced() {
    let place = TestPlace::new();
    let wanted = object("content");
    let target = place.existing(&wanted, "content");
    let before = fs::metadata(&target).expect("metadata").modified().expect("a time");
    assert_eq!(place.offer(&wanted, &place.staged("content"), Take::Move).expect("merged"), Merged::Present);
    let _ = place.offer(&wanted, &place.staged("damaged"), Take::Move).expect_err("refused");
    assert_eq!(fs::metadata(&target).expect("metadata").modified().expect("a time"), before);
    assert_eq!(read(&target), "content");
}

#[test]
fn a_directory_under_an_objects_name_makes_way() {
    let place = TestPlace::new();
    let wanted = object("content");
    let target = place.root().join(place.layout.path_of(&wanted));
    fs::create_dir_all(target.join("x/y")).expect("directories");
    assert_eq!(place.offer(&wanted, &place.staged("content"), Take::Move).expect("merged"), Merged::Replaced);
    assert_eq!(read(&target), "content");
}

#[test]
#[cfg(unix)]
fn links_never_lead_an_object_out_of_the_store() {
    let place = TestPlace::new();
    let wanted = object("content");
    let target = place.root().join(place.layout.path_of(&wanted));
    fs::create_dir_all(target.parent().expect("a parent")).expect("directories");
    let outside = place.staged("content of someone else");
    std::os::unix::fs::symlink(&outside, &target).expect("a link");
    assert_eq!(place.offer(&wanted, &place.staged("content"), Take::Keep).expect("merged"), Merged::Replaced);
    assert_eq!(read(&outside), "content of someone else");
    assert!(fs::symlink_metadata(&target).expect("metadata").is_file());

    let place = TestPlace::new();
    fs::create_dir_all(place.root()).expect("a directory");
    std::os::unix::fs::symlink(place.elsewhere.path(), place.root().join("SHA256")).expect("a link");
    let error = place.offer(&wanted, &place.staged("content"), Take::Keep).expect_err("a link in the way");
    assert!(matches!(error, MergeError::NotADirectory(_)), "{error}");
}

#[test]
fn a_file_where_a_directory_belongs_is_an_error_that_names_it() {
    let place = TestPlace::new();
    fs::create_dir_all(place.root()).expect("a directory");
    fs::write(place.root().join("SHA256"), "").expect("a file");
    let error =
        place.offer(&object("content"), &place.staged("content"), Take::Move).expect_err("in the way");
    assert!(error.to_string().contains("SHA256: not a directory"), "{error}");
}

#[test]
#[cfg(unix)]
fn read_only_objects_enter_and_make_way() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = TestPlace::new();
    let wanted = object("content");
    let read_only =
        |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o444)).expect("a mode");
    read_only(&place.existing(&wanted, "damaged"));
    let staged = place.staged("content");
    read_only(&staged);
    assert_eq!(place.offer(&wanted, &staged, Take::Move).expect("merged"), Merged::Replaced);
    let target = place.root().join(place.layout.path_of(&wanted));
    assert_eq!(fs::metadata(&target).expect("metadata").permissions().mode() & 0o777, 0o444);
    assert_eq!(place.inventory().count(), 1);
}

#[test]
fn a_directory_in_another_case_holds_no_object() {
    let place = TestPlace::new();
    let wanted = object("content");
    let other = place.root().join("sha256").join(wanted.hash());
    fs::create_dir_all(other.parent().expect("a parent")).expect("directories");
    fs::write(&other, "content").expect("a file");
    place.offer(&wanted, &place.staged("content"), Take::Move).expect("merged");
    assert!(place.inventory().has(&wanted));
}

#[test]
fn a_change_after_entering_is_seen() {
    let place = TestPlace::new();
    let wanted = object("content");
    place.offer(&wanted, &place.staged("content"), Take::Move).expect("merged");
    let target = place.root().join(place.layout.path_of(&wanted));
    fs::write(&target, "damaged").expect("a file");
    let verdict =
        place.verified.verify(&place.root(), &target, &wanted, &place.cancel, None).expect("a verdict");
    assert!(matches!(verdict, Presence::Corrupt { .. }), "{verdict:?}");
}

#[test]
fn threads_that_offer_the_same_objects_agree() {
    let place = TestPlace::new();
    let (root, temp) = (place.root(), place.base.path().join("temp"));
    let merger = Merger::new(&root, &place.layout, &temp, &place.verified, &place.cancel);
    let contents: Vec<String> = (0..40).map(|index| format!("content {index}")).collect();
    let staged: Vec<PathBuf> = contents.iter().map(|content| place.staged(content)).collect();
    let added = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (content, path) in contents.iter().zip(&staged) {
                    match merger.offer(&object(content), path, Take::Keep).expect("merged") {
                        Merged::Added => _ = added.fetch_add(1, Ordering::Relaxed),
                        Merged::Present => {}
                        Merged::Replaced => panic!("nothing was damaged"),
                    }
                }
            });
        }
    });
    assert_eq!(added.into_inner(), 40, "each entered once");
    assert_eq!(place.inventory().count(), 40);
}

#[test]
fn a_cancelled_merge_adds_nothing() {
    let place = TestPlace::new();
    place.cancel.cancel();
    let error = place.offer(&object("content"), &place.staged("content"), Take::Move).expect_err("cancelled");
    assert!(matches!(error, MergeError::Cancelled(_)), "{error}");
    assert!(!place.root().exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// Whatever the store held under the names, afterwards it holds the objects; a second pass adds nothing.
    #[test]
    fn merging_completes_any_store_and_is_idempotent(
        before in proptest::collection::vec(proptest::option::of(any::<bool>()), 1..12)
    ) {
        let place = TestPlace::new();
        let contents: Vec<String> = (0..before.len()).map(|index| format!("content {index}")).collect();
        for (content, state) in contents.iter().zip(&before) {
            if let Some(intact) = state {
                place.existing(&object(content), if *intact { content } else { "damaged" });
            }
        }
        for pass in 0..2 {
            for (content, state) in contents.iter().zip(&before) {
                let expect = match state {
                    _ if pass == 1 => Merged::Present,
                    None => Merged::Added,
                    Some(true) => Merged::Present,
                    Some(false) => Merged::Replaced,
                };
                prop_assert_eq!(place.offer(&object(content), &place.staged(content), Take::Move).expect("merged"), expect);
            }
        }
        prop_assert_eq!(place.inventory().count(), before.len() as u64);
    }
}

#[test]
fn an_object_that_entered_is_not_read_again() {
    let place = TestPlace::new();
    for take in [Take::Move, Take::Keep] {
        let content = format!("{take:?}");
        let wanted = object(&content);
        let target = place.root().join(place.layout.path_of(&wanted));
        for expected in [Merged::Added, Merged::Present] {
            let staged = place.staged(&content);
            assert_eq!(place.offer(&wanted, &staged, take).expect("merged"), expected);
            assert!(place.verified.remembers(&target), "{take:?} {expected:?}");
        }
        fs::remove_file(&target).expect("removed");
        place.existing(&wanted, "other bytes");
        assert!(!place.verified.remembers(&target));
        assert_eq!(place.offer(&wanted, &place.staged(&content), take).expect("merged"), Merged::Replaced);
        assert!(place.verified.remembers(&target), "{take:?} replaced");
    }
}

#[test]
#[cfg(unix)]
fn a_staged_file_that_cannot_be_removed_is_an_error_and_the_object_is_right() {
    use std::os::unix::fs::PermissionsExt as _;
    if rustix::process::geteuid().is_root() {
        // Root may remove it; `foreign_files` has the cases for every user.
        return;
    }
    let place = TestPlace::new();
    let wanted = object("content");
    let staged = place.staged("content");
    let set =
        |mode| fs::set_permissions(place.elsewhere.path(), fs::Permissions::from_mode(mode)).expect("set");
    set(0o555);
    let offered = place.offer(&wanted, &staged, Take::Move);
    set(0o755);
    assert!(matches!(offered, Err(MergeError::Disk { .. })), "{offered:?}");
    assert_eq!(read(&place.root().join(place.layout.path_of(&wanted))), "content");
}
