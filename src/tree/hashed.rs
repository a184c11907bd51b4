//! Files that were hashed, and are still as they were then.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::walk::Modified;
use crate::domain::digest::Sha256Digest;
#[cfg(unix)]
use crate::fs::mode;
use crate::fs::open::{self, Links};
use crate::fs::read;
use crate::threads::start;

/// A regular file of which size and time are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedFile {
    path: PathBuf,
    size: u64,
    modified: Modified,
}

impl HashedFile {
    /// The file at a path, if there is one of this size.
    pub(crate) fn candidate(path: PathBuf, size: u64) -> Option<Self> {
        let metadata = fs::symlink_metadata(&path).ok().filter(|it| it.is_file() && it.len() == size)?;
        Some(HashedFile { path, size, modified: Modified::of(&metadata) })
    }

    /// A file as a walk found it.
    pub(crate) fn found(path: PathBuf, size: u64, modified: Modified) -> Self {
        HashedFile { path, size, modified }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of its content.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// When its content was last changed.
    pub(crate) fn modified(&self) -> Modified {
        self.modified
    }

    /// Hashes files on up to `workers` threads and the calling one; `None` for those that cannot be read or have changed, and for
    /// those that are left when the work is cancelled.
    pub(crate) fn hash_all<'a>(
        files: impl Iterator<Item = &'a HashedFile>,
        workers: usize,
        cancel: &CancellationToken,
    ) -> Vec<Option<Sha256Digest>> {
        let files: Vec<&HashedFile> = files.collect();
        start::map(
            &files,
            "hash",
            workers,
            |file| {
                if cancel.is_cancelled() { None } else { file.hash(cancel).ok() }
            },
        )
    }

    /// Hashes its content.
    ///
    /// # Errors
    /// It cannot be read, or is not the file any more that it was.
    fn hash(&self, cancel: &CancellationToken) -> io::Result<Sha256Digest> {
        let digest = read::sha256_of_file(&self.path, Links::Refused, cancel)?;
        self.check(&fs::symlink_metadata(&self.path)?)?;
        Ok(digest)
    }

    /// Copies its content to an open file, where the system can without reading it.
    ///
    /// # Errors
    /// It cannot be read or written, or is not the file any more that it was.
    pub(crate) fn copy_to(&self, mut target: &File) -> io::Result<()> {
        let mut file = open::file(&self.path, Links::Refused)?;
        let copied = io::copy(&mut file, &mut target)?;
        if copied != self.size {
            return Err(changed());
        }
        self.check(&file.metadata()?)
    }

    /// Gives the file a second name at a path that does not exist yet, if it is already what is wanted there: mode and time are
    /// right, it is of this user, and has no other name, so that nothing is shared once its own name is gone. Returns whether
    /// it did; nothing is there otherwise.
    ///
    /// # Errors
    /// What was made cannot be removed.
    #[cfg(unix)]
    pub(crate) fn link_to(&self, path: &Path, mode: u32, modified: Option<Modified>) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt as _;
        let is_wanted = |found: &Metadata, names| {
            self.check(found).is_ok()
                && modified.is_none_or(|wanted| wanted == self.modified)
                && mode::of(found) == mode
                && found.uid() == rustix::process::geteuid().as_raw()
                && found.nlink() == names
        };
        if !fs::symlink_metadata(&self.path).is_ok_and(|found| is_wanted(&found, 1)) {
            return Ok(false);
        }
        if fs::hard_link(&self.path, path).is_err() {
            return Ok(false);
        }
        // Another file may have come in its place meanwhile.
        if is_wanted(&fs::symlink_metadata(path)?, 2) {
            return Ok(true);
        }
        fs::remove_file(path)?;
        Ok(false)
    }

    /// Never: the standard library does not tell whether a file has other names.
    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "Unix links")]
    pub(crate) fn link_to(&self, _: &Path, _: u32, _: Option<Modified>) -> io::Result<bool> {
        Ok(false)
    }

    fn check(&self, now: &Metadata) -> io::Result<()> {
        let is_same = now.is_file() && now.len() == self.size && Modified::of(now) == self.modified;
        if is_same { Ok(()) } else { Err(changed()) }
    }
}

fn changed() -> io::Error {
    io::Error::other("it has changed meanwhile")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of this user, with mode 640.
    #[cfg(unix)]
    fn linkable(place: PathBuf) -> HashedFile {
        use std::os::unix::fs::PermissionsExt as _;
        fs::write(&place, "1").expect("a file");
        fs::set_permissions(&place, fs::Permissions::from_mode(0o640)).expect("a mode");
        HashedFile::candidate(place, 1).expect("a file")
    }

    #[test]
    #[cfg(unix)]
    fn what_is_as_wanted_is_linked_and_nothing_that_others_share() {
        use std::os::unix::fs::MetadataExt as _;
        let temp = tempfile::tempdir().expect("a directory");
        let place = |name: &str| temp.path().join(name);
        let file = linkable(place("a"));
        let link = |file: &HashedFile, mode, modified| {
            file.link_to(&place("b"), mode, modified).expect("linked or not")
        };
        let earlier = Modified { seconds: 1, nanoseconds: 0 };
        for (mode, modified) in [(0o644, None), (0o640, Some(earlier))] {
            assert!(!link(&file, mode, modified));
            assert!(!place("b").exists());
        }
        assert!(link(&file, 0o640, Some(file.modified)));
        let inode = |name| fs::metadata(place(name)).expect("a file").ino();
        assert_eq!(inode("a"), inode("b"));
        // By now it has two names.
        fs::rename(place("b"), place("c")).expect("renamed");
        assert!(!link(&file, 0o640, None));
        assert!(!place("b").exists());
        fs::remove_file(place("c")).expect("removed");
        // It is not the file any more that was hashed.
        fs::write(place("a"), "22").expect("a file");
        assert!(!link(&file, 0o640, None));
    }

    #[test]
    fn files_are_hashed_and_copied_while_they_are_as_they_were() {
        let temp = tempfile::tempdir().expect("a directory");
        let place = |name: &str| temp.path().join(name);
        for (name, content) in [("a", "1"), ("b", "22"), ("c", "333")] {
            fs::write(place(name), content).expect("a file");
        }
        assert_eq!(HashedFile::candidate(place("a"), 2), None);
        assert_eq!(HashedFile::candidate(temp.path().to_owned(), 1), None);
        let files = [("a", 1), ("b", 2), ("c", 3)]
            .map(|(name, size)| HashedFile::candidate(place(name), size).expect(name));
        fs::write(place("b"), "4444").expect("a file");
        let cancel = CancellationToken::new();
        for workers in 0..3 {
            let hashes = HashedFile::hash_all(files.iter(), workers, &cancel);
            assert_eq!(hashes, [Some(Sha256Digest::of(b"1")), None, Some(Sha256Digest::of(b"333"))]);
        }
        let copy = |file: &HashedFile| file.copy_to(&File::create(place("copy")).expect("a file"));
        copy(&files[2]).expect("a copy");
        assert_eq!(fs::read_to_string(place("copy")).expect("text"), "333");
        assert!(copy(&files[1]).is_err());
        cancel.cancel();
        assert_eq!(HashedFile::hash_all(files.iter(), 1, &cancel), [None, None, None]);
    }
}
