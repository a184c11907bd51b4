//! Verdicts on files, remembered: what has not changed since it was hashed is not read again.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio_util::sync::CancellationToken;

use super::hash;
use super::proofs;
use crate::domain::digest::ObjectId;
use crate::domain::event::Meter;
use crate::domain::inventory::Presence;

/// What tells that a file is still the one that was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
    /// On Unix inode, device and time of the last change of either content or attributes; on Windows the time when it was made.
    identity: (u64, u64, i64, i64),
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        #[cfg(unix)]
        let identity = {
            use std::os::unix::fs::MetadataExt as _;
            (metadata.ino(), metadata.dev(), metadata.ctime(), metadata.ctime_nsec())
        };
        #[cfg(windows)]
        let identity = (std::os::windows::fs::MetadataExt::creation_time(metadata), 0, 0, 0);
        #[cfg(not(any(unix, windows)))]
        let identity = (0, 0, 0, 0);
        Stamp { size: metadata.len(), modified: metadata.modified().ok(), identity }
    }

    /// Whether this is the file of that stamp under another name: a move changes the attributes' time only.
    fn is_moved(&self, before: &Stamp) -> bool {
        let file = |stamp: &Stamp| (stamp.size, stamp.modified, stamp.identity.0, stamp.identity.1);
        file(self) == file(before)
    }
}

/// Verdicts on files, so that what has not changed since is not hashed again in the same process.
#[derive(Debug, Default)]
pub(crate) struct VerifiedFiles {
    allowed: BTreeSet<ObjectId>,
    verdicts: Mutex<HashMap<PathBuf, (Stamp, ObjectId, Presence)>>,
}

impl VerifiedFiles {
    /// An empty memory; these objects are [`Presence::Allowed`] where nothing can prove them.
    pub(crate) fn allowing(allowed: BTreeSet<ObjectId>) -> Self {
        VerifiedFiles { allowed, verdicts: Mutex::default() }
    }

    /// As [`hash::verify_file`], from memory where the file is as it was. What its bytes alone cannot prove is
    /// held against the proof that is kept beside the store at `root`, if there is one.
    pub(crate) fn verify(
        &self,
        root: &Path,
        path: &Path,
        object: &ObjectId,
        cancel: &CancellationToken,
        meter: Option<&Meter>,
    ) -> io::Result<Presence> {
        let before = Stamp::of(&fs::symlink_metadata(path)?);
        if let Some((stamp, known, presence)) = self.lock().get(path)
            && *stamp == before
            && known == object
        {
            if let Some(meter) = meter {
                meter.add_bytes(before.size);
            }
            return Ok(presence.clone());
        }
        let mut presence = hash::verify_file(path, object, cancel, meter)?;
        if let Presence::Unverifiable { .. } = presence {
            if let Some(proven) = proofs::check(root, object, path, cancel)? {
                presence = proven;
            } else if self.allowed.contains(object) {
                presence = Presence::Allowed { size: before.size };
            }
        }
        // What changed while it was hashed is not remembered, nor what a proof may still prove.
        let is_final = !matches!(presence, Presence::Unverifiable { .. } | Presence::Allowed { .. });
        if is_final && Stamp::of(&fs::symlink_metadata(path)?) == before {
            self.lock().insert(path.to_owned(), (before, object.clone(), presence.clone()));
        }
        Ok(presence)
    }

    /// Remembers below `to` what was found below `from`, after a directory was renamed.
    pub(crate) fn relocate(&self, from: &Path, to: &Path) {
        let moved: Vec<PathBuf> = self.lock().keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in moved {
            let relative = path.strip_prefix(from).expect("it starts with it");
            self.carry(&path, &to.join(relative));
        }
    }

    /// Remembers at `to` what was found at `from`, if it is the same file, moved or linked there.
    pub(super) fn carry(&self, from: &Path, to: &Path) {
        let Some((stamp, object, presence)) = self.lock().remove(from) else { return };
        if let Ok(now) = fs::symlink_metadata(to).map(|metadata| Stamp::of(&metadata))
            && now.is_moved(&stamp)
        {
            self.lock().insert(to.to_owned(), (now, object, presence));
        }
    }

    /// Remembers a file as it is now, after another name of it was removed.
    pub(super) fn restamp(&self, path: &Path) {
        self.carry(path, path);
    }

    /// Whether a verdict on the file as it is now would come from memory.
    #[cfg(test)]
    pub(super) fn remembers(&self, path: &Path) -> bool {
        let now = fs::symlink_metadata(path).map(|metadata| Stamp::of(&metadata)).ok();
        self.lock().get(path).is_some_and(|(stamp, ..)| Some(*stamp) == now)
    }

    /// Forgets what was found there.
    pub(super) fn forget(&self, path: &Path) {
        self.lock().remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, (Stamp, ObjectId, Presence)>> {
        self.verdicts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Algorithm;
    use crate::domain::event::Phase;
    use crate::domain::template::Template;
    use crate::objects::layout::ObjectLayout;

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

    fn object(algorithm: Algorithm, hash: &str) -> ObjectId {
        ObjectId::new(algorithm, hash).expect(hash)
    }

    #[test]
    fn a_second_inventory_reads_only_what_changed() {
        let store = store(&[(&format!("MD5/{ABC_MD5}"), "abc"), (&format!("SHA1/{ABC_SHA1}"), "abc")]);
        let verified = VerifiedFiles::default();
        let cancel = CancellationToken::new();
        let take = || {
            verified
                .inventory(store.path(), &layout(), 2, &cancel, &Meter::new("x", Phase::Verify))
                .expect("an inventory")
        };
        assert_eq!(take().count(), 2);
        // A verdict that only memory can give.
        let path = store.path().join("MD5").join(ABC_MD5);
        let mark = Presence::Unverifiable { why: "remembered".to_owned() };
        verified.lock().get_mut(&path).expect("a verdict").2 = mark.clone();
        assert_eq!(take().objects[&object(Algorithm::Md5, ABC_MD5)], mark);
        // Same size, other content.
        fs::write(&path, "abd").expect("a file");
        assert!(matches!(take().objects[&object(Algorithm::Md5, ABC_MD5)], Presence::Corrupt { .. }));
        fs::remove_file(&path).expect("removed");
        assert_eq!(take().objects.len(), 1);
    }

    /// A file that takes the place of another one, with its size and its time.
    #[test]
    #[cfg(unix)]
    fn another_file_of_the_same_size_and_time_is_read() {
        let store = store(&[("it", "abc"), ("other", "abd")]);
        let verified = VerifiedFiles::default();
        let wanted = object(Algorithm::Md5, ABC_MD5);
        let (it, other) = (store.path().join("it"), store.path().join("other"));
        let verify = || verified.verify(store.path(), &it, &wanted, &CancellationToken::new(), None);
        assert!(matches!(verify().expect("a verdict"), Presence::Verified { .. }));
        let time = filetime::FileTime::from_last_modification_time(&fs::metadata(&it).expect("facts"));
        filetime::set_file_mtime(&other, time).expect("touched");
        fs::rename(&other, &it).expect("replaced");
        assert!(matches!(verify().expect("a verdict"), Presence::Corrupt { .. }));
    }

    #[test]
    fn a_verdict_goes_along_with_a_file_that_is_moved() {
        let store = store(&[("from", "abc"), ("other", "abc")]);
        let verified = VerifiedFiles::default();
        let wanted = object(Algorithm::Md5, ABC_MD5);
        let (from, to) = (store.path().join("from"), store.path().join("to"));
        verified.verify(store.path(), &from, &wanted, &CancellationToken::new(), None).expect("a verdict");
        fs::rename(&from, &to).expect("moved");
        verified.carry(&from, &to);
        assert!(verified.lock().contains_key(&to) && !verified.lock().contains_key(&from));
        // Another file is another matter.
        let other = store.path().join("other");
        filetime::set_file_mtime(&other, filetime::FileTime::from_unix_time(1, 0)).expect("touched");
        verified.carry(&to, &other);
        assert_eq!(verified.lock().len(), 0);
    }
}
