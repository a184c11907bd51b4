//! Objects in a store on disk: where each lies, and what is found there.

use std::collections::BTreeMap;
use std::io;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use tokio_util::sync::CancellationToken;
use walkdir::WalkDir;

use super::layout::ObjectLayout;
use super::proofs;
use super::sentinel;
use super::verified::VerifiedFiles;
use crate::domain::digest::{ObjectId, Sha256Digest};
use crate::domain::event::Meter;
use crate::domain::inventory::{Inventory, Presence};
use crate::domain::names;
use crate::domain::sentinel::SENTINEL_FILE;
use crate::domain::spec::Thoroughness;
use crate::fs::cancel;
use crate::fs::cancel::Cancelled;
use crate::fs::read_error::ReadError;
use crate::threads::start;

/// The least objects that a sample has, where there are so many.
const LEAST_SAMPLE: usize = 32;

/// A sample is one object in this many.
const SAMPLE_SHARE: usize = 20;

/// How far a sentinel is trusted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VerifyMode<'a> {
    /// How thoroughly objects are verified. Without a sentinel every object is hashed.
    pub thoroughness: Thoroughness,
    /// The seed of the sample: the same text draws the same objects.
    pub seed: &'a str,
}

impl VerifiedFiles {
    /// As [`inventory`](Self::inventory), trusting the store's sentinel as far as `mode` allows: objects that were verified
    /// when the sentinel was written count as verified. Where names or sizes differ from the sentinel's, or the hash of
    /// a sampled object differs from its name, every object is hashed after all.
    pub(crate) fn inventory_by(
        &self,
        mode: VerifyMode<'_>,
        root: &Path,
        layout: &ObjectLayout,
        workers: usize,
        cancel: &CancellationToken,
        meter: &Meter,
    ) -> Result<Inventory, ReadError> {
        if mode.thoroughness != Thoroughness::Full
            && let Some(sentinel) = sentinel::read(root)
        {
            let listed = list(root, layout, cancel)?;
            let files = listed.files.into_iter();
            let objects: BTreeMap<_, _> =
                files.map(|(object, size)| (object, Presence::Verified { size })).collect();
            let inventory = Inventory { objects, unknown_files: listed.unknown_files };
            let is_as_claimed = !listed.has_others && sentinel.check(&inventory).is_ok();
            let is_trusted = match mode.thoroughness {
                Thoroughness::Sample => {
                    is_as_claimed && self.sample_holds(&inventory, mode.seed, root, layout, cancel, meter)?
                }
                _ => is_as_claimed,
            };
            if is_trusted {
                return Ok(inventory);
            }
        }
        self.inventory(root, layout, workers, cancel, meter)
    }

    /// Whether every object of the sample is what its name says.
    fn sample_holds(
        &self,
        inventory: &Inventory,
        seed: &str,
        root: &Path,
        layout: &ObjectLayout,
        cancel: &CancellationToken,
        meter: &Meter,
    ) -> Result<bool, ReadError> {
        let mut drawn: Vec<_> = inventory
            .verified()
            .map(|(object, size)| (Sha256Digest::of(format!("{seed} {object}").as_bytes()), object, size))
            .collect();
        drawn.sort_unstable();
        drawn.truncate(LEAST_SAMPLE.max(drawn.len() / SAMPLE_SHARE));
        meter.set_total(drawn.iter().map(|(_, _, size)| size).sum());
        for (_, object, _) in drawn {
            cancel::check(cancel)?;
            let path = root.join(layout.path_of(object));
            match self.verify(root, &path, object, cancel, Some(meter)) {
                Ok(Presence::Verified { .. } | Presence::Allowed { .. }) => meter.add_items(1),
                Err(error) if Cancelled::is(&error) => return Err(Cancelled.into()),
                Ok(_) | Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Takes stock of a store: every file below `root` under an object's name is verified, by at most
    /// `workers` threads. The meter gets the bytes of all objects as its total, and counts bytes and objects.
    ///
    /// Links and directories under an object's name are corrupt; what cannot be read is unverifiable; other
    /// files count as unknown, but for the sentinel and temporary things of this program. A root that is not
    /// there holds nothing.
    pub(crate) fn inventory(
        &self,
        root: &Path,
        layout: &ObjectLayout,
        workers: usize,
        cancel: &CancellationToken,
        meter: &Meter,
    ) -> Result<Inventory, ReadError> {
        let (mut found, unknown_files) = find(root, layout, cancel)?;
        meter.set_total(found.iter().map(|candidate| candidate.size).sum());
        // The largest first, so that no thread is left alone with one at the end.
        found.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.path.cmp(&b.path)));
        let next = AtomicUsize::new(0);
        let verdicts = Mutex::new(Vec::with_capacity(found.len()));
        let work = || -> Result<(), Cancelled> {
            while let Some(candidate) = found.get(next.fetch_add(1, Ordering::Relaxed)) {
                cancel::check(cancel)?;
                let presence =
                    match self.verify(root, &candidate.path, &candidate.object, cancel, Some(meter)) {
                        Ok(presence) => presence,
                        Err(error) if Cancelled::is(&error) => return Err(Cancelled),
                        // Gone since it was listed.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Err(error) => Presence::Unverifiable { why: format!("cannot be read: {error}") },
                    };
                meter.add_items(1);
                verdicts
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((candidate.object.clone(), presence));
            }
            Ok(())
        };
        let threads = workers.clamp(1, found.len().max(1));
        thread::scope(|scope| -> Result<(), Cancelled> {
            let others: Vec<_> =
                (1..threads).map_while(|_| start::scoped(scope, "verify", work).ok()).collect();
            let mut result = work();
            for other in others {
                // A panic goes on in this thread.
                result = result.and(other.join().unwrap_or_else(|panic| panic::resume_unwind(panic)));
            }
            result
        })?;
        let verdicts = verdicts.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Inventory { objects: verdicts.into_iter().collect(), unknown_files })
    }
}

/// Takes stock of a store without memory of earlier verdicts; see [`VerifiedFiles::inventory`].
pub fn inventory(
    root: &Path,
    layout: &ObjectLayout,
    workers: usize,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<Inventory, ReadError> {
    VerifiedFiles::default().inventory(root, layout, workers, cancel, meter)
}

/// What lies in a store, by names and sizes alone: nothing is hashed, and nothing is proven.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Files under objects' names, with their sizes in bytes.
    pub files: BTreeMap<ObjectId, u64>,
    /// Whether something other than a file has an object's name.
    pub has_others: bool,
    /// Files that are not objects, counted as [`VerifiedFiles::inventory`] does.
    pub unknown_files: u64,
}

/// Lists a store by names and sizes.
pub(crate) fn list(
    root: &Path,
    layout: &ObjectLayout,
    cancel: &CancellationToken,
) -> Result<Listing, ReadError> {
    let (found, unknown_files) = find(root, layout, cancel)?;
    let has_others = found.iter().any(|candidate| !candidate.is_file);
    let files = found.into_iter().filter(|candidate| candidate.is_file);
    Ok(Listing {
        files: files.map(|candidate| (candidate.object, candidate.size)).collect(),
        has_others,
        unknown_files,
    })
}

struct FoundFile {
    object: ObjectId,
    path: PathBuf,
    size: u64,
    is_file: bool,
}

/// What lies under objects' names, and how many files do not.
fn find(
    root: &Path,
    layout: &ObjectLayout,
    cancel: &CancellationToken,
) -> Result<(Vec<FoundFile>, u64), ReadError> {
    let mut found = Vec::new();
    let mut unknown_files = 0;
    let mut walk = WalkDir::new(root).min_depth(1).into_iter();
    while let Some(entry) = walk.next() {
        cancel::check(cancel)?;
        let entry = match entry {
            Ok(entry) => entry,
            // Gone since it was listed, or never there.
            Err(error) if error.io_error().is_some_and(|e| e.kind() == io::ErrorKind::NotFound) => continue,
            Err(error) => return Err(ReadError::of_walk(root, error)),
        };
        let is_directory = entry.file_type().is_dir();
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let is_ours = relative == Path::new(SENTINEL_FILE) || relative == Path::new(proofs::DIRECTORY);
        if is_ours || names::is_temporary(entry.file_name().as_encoded_bytes()) {
            if is_directory {
                walk.skip_current_dir();
            }
            continue;
        }
        match layout.object_at(relative) {
            Some(object) => {
                let metadata = entry.metadata().ok().filter(std::fs::Metadata::is_file);
                let (is_file, size) = (metadata.is_some(), metadata.map_or(0, |metadata| metadata.len()));
                found.push(FoundFile { object, path: entry.path().to_owned(), size, is_file });
                if is_directory {
                    walk.skip_current_dir();
                }
            }
            None if is_directory => {}
            None => unknown_files += 1,
        }
    }
    Ok((found, unknown_files))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;

    use super::*;
    use crate::domain::digest::Algorithm;
    use crate::domain::event::Phase;
    use crate::domain::sentinel::Sentinel;
    use crate::domain::template::Template;

    const ABC_MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
    const ABC_SHA1: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

    fn layout() -> ObjectLayout {
        ObjectLayout::new(&Template::parse("{ALGO}/{hash}").expect("a template")).expect("a layout")
    }

    fn store(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, content).expect("a file");
        }
        root
    }

    fn meter() -> Arc<Meter> {
        Meter::new("x", Phase::Verify)
    }

    fn take(root: &Path) -> Inventory {
        inventory(root, &layout(), 3, &CancellationToken::new(), &meter()).expect("an inventory")
    }

    fn object(algorithm: Algorithm, hash: &str) -> ObjectId {
        ObjectId::new(algorithm, hash).expect(hash)
    }

    #[test]
    fn what_is_no_proven_object_never_counts_as_one() {
        let other = "1".repeat(32);
        let empty = "2".repeat(32);
        let directory = "3".repeat(32);
        let store = store(&[
            (&format!("MD5/{ABC_MD5}"), "abc"),
            (&format!("SHA1/{ABC_SHA1}"), "abc"),
            (&format!("MD5/{other}"), "abc"),
            (&format!("MD5/{empty}"), ""),
            (&format!("MD5/{directory}/x"), "abc"),
            (&format!("MD5/{}.part", "4".repeat(32)), "abc"),
            (&format!("md5/{}", "5".repeat(32)), "abc"),
            ("junk", "abc"),
            (SENTINEL_FILE, "x"),
            (".cachekeep-1.tmp/x", "abc"),
            (".cachekeep-proofs/x.car", "abc"),
        ]);
        let found = take(store.path());
        assert_eq!((found.count(), found.bytes().0), (2, 6));
        assert!(found.has(&object(Algorithm::Md5, ABC_MD5)));
        assert!(found.has(&object(Algorithm::Sha1, ABC_SHA1)));
        for hash in [&other, &empty, &directory] {
            let presence = &found.objects[&object(Algorithm::Md5, hash)];
            assert!(matches!(presence, Presence::Corrupt { .. }), "{presence:?}");
        }
        // Where case does not count, the directory in lower case is the one of objects.
        let is_one = usize::from(store.path().join("mD5").exists());
        assert_eq!(found.objects.len(), 5 + is_one);
        assert_eq!(
            found.unknown_files,
            3 - is_one as u64,
            "the partial one, the one in lower case and the junk"
        );
    }

    #[test]
    #[cfg(unix)]
    fn a_link_to_an_object_is_no_object() {
        let store = store(&[("real", "abc")]);
        fs::create_dir(store.path().join("MD5")).expect("a directory");
        std::os::unix::fs::symlink("../real", store.path().join("MD5").join(ABC_MD5)).expect("a link");
        let found = take(store.path());
        assert_eq!(found.count(), 0);
        assert!(matches!(found.objects[&object(Algorithm::Md5, ABC_MD5)], Presence::Corrupt { .. }));
    }

    #[test]
    fn a_root_that_is_not_there_holds_nothing() {
        assert_eq!(take(Path::new("/nowhere/at/all")), Inventory::default());
    }

    #[test]
    fn many_objects_are_verified_by_several_threads_with_one_result() {
        let files: Vec<(String, String)> = (0..200)
            .map(|index| {
                let content = format!("object {index}");
                (format!("SHA256/{}", crate::domain::digest::Sha256Digest::of(content.as_bytes())), content)
            })
            .collect();
        let rows: Vec<(&str, &str)> = files.iter().map(|(name, content)| (&name[..], &content[..])).collect();
        let store = store(&rows);
        let meter = meter();
        let cancel = CancellationToken::new();
        let found = inventory(store.path(), &layout(), 8, &cancel, &meter).expect("an inventory");
        assert_eq!(found.count(), 200);
        assert_eq!((meter.items(), Some(meter.bytes())), (200, meter.total()));
        assert_eq!(inventory(store.path(), &layout(), 1, &cancel, &meter).expect("an inventory"), found);
    }

    #[test]
    fn a_cancelled_inventory_is_an_error() {
        let store = store(&[(&format!("MD5/{ABC_MD5}"), "abc")]);
        let cancel = CancellationToken::new();
        cancel.cancel();
        let result = inventory(store.path(), &layout(), 2, &cancel, &meter());
        assert!(matches!(result, Err(ReadError::Cancelled(_))));
    }

    struct SampledStore {
        root: tempfile::TempDir,
        layout: ObjectLayout,
    }

    fn sampled(objects: usize) -> SampledStore {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join("SHA256")).expect("made");
        for index in 0..objects {
            let content = format!("object {index:06}");
            let name = Sha256Digest::of(content.as_bytes()).to_string();
            fs::write(root.path().join("SHA256").join(name), content).expect("written");
        }
        let layout = ObjectLayout::new(&Template::parse("{ALGO}/{hash}").expect("a template")).expect("one");
        let store = SampledStore { root, layout };
        let sentinel = Sentinel::of(None, &store.take(Thoroughness::Full, "").0);
        fs::write(store.root.path().join(SENTINEL_FILE), sentinel.to_string()).expect("written");
        store
    }

    impl SampledStore {
        /// What was found, and how many objects were hashed for it.
        fn take(&self, thoroughness: Thoroughness, seed: &str) -> (Inventory, u64) {
            let meter = Meter::new("x", Phase::Verify);
            let mode = VerifyMode { thoroughness, seed };
            let cancel = CancellationToken::new();
            let verified = VerifiedFiles::default();
            let found = verified.inventory_by(mode, self.root.path(), &self.layout, 2, &cancel, &meter);
            (found.expect("an inventory"), meter.items())
        }

        fn first(&self) -> PathBuf {
            let mut names: Vec<_> = fs::read_dir(self.root.path().join("SHA256"))
                .expect("listed")
                .flatten()
                .map(|entry| entry.path())
                .collect();
            names.sort();
            names.remove(0)
        }
    }

    #[test]
    fn trust_saves_hashing_and_finds_the_same() {
        let store = sampled(1000);
        let full = store.take(Thoroughness::Full, "");
        assert_eq!((full.0.count(), full.1), (1000, 1000));
        assert_eq!(store.take(Thoroughness::Sentinel, ""), (full.0.clone(), 0));
        assert_eq!(store.take(Thoroughness::Sample, "a"), (full.0, 50));
    }

    #[test]
    fn a_missing_a_longer_and_an_unknown_object_make_everything_be_hashed() {
        for thoroughness in [Thoroughness::Sample, Thoroughness::Sentinel] {
            let damage: [&dyn Fn(&Path); 3] = [
                &|path| fs::remove_file(path).expect("removed"),
                &|path| fs::write(path, "much longer than it was").expect("written"),
                &|path| fs::copy(path, path.with_file_name("0".repeat(64))).map(drop).expect("copied"),
            ];
            for (index, damage) in damage.into_iter().enumerate() {
                let store = sampled(40);
                damage(&store.first());
                let (found, hashed) = store.take(thoroughness, "");
                assert!(hashed >= 39, "{thoroughness:?} {index}");
                assert_eq!(found.count(), if index == 2 { 40 } else { 39 }, "{thoroughness:?} {index}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_found_by_a_sample_that_draws_its_object() {
        let store = sampled(20);
        let path = store.first();
        let mut bytes = fs::read(&path).expect("read");
        bytes[0] ^= 1;
        fs::write(&path, bytes).expect("written");
        // Twenty are fewer than the least sample: all are drawn.
        assert_eq!(store.take(Thoroughness::Sample, "x").0.corrupt().count(), 1);
        assert_eq!(store.take(Thoroughness::Sentinel, "x").0.corrupt().count(), 0);
        assert_eq!(store.take(Thoroughness::Full, "x").0.corrupt().count(), 1);
    }
}
