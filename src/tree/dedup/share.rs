//! One file is replaced by one that shares the bytes of another.
//!
//! The new file is made in a temporary directory and compared with the old one, byte by byte, before both change places in one
//! step. Then the old one is looked at once more: if it was written meanwhile, they change places again.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use filetime::FileTime;

use super::survey::DedupFile;
use crate::domain::dedup::{LeftReason, Sharing};
use crate::domain::fault::Fault;
use crate::fs::lease::LeasedDirectory;
use crate::fs::mode;
use crate::fs::open::{self, Links};
use crate::fs::staging;

/// Why a file was not shared.
#[derive(Debug)]
pub(super) enum ShareError {
    /// The volume has no reflinks.
    NoReflinks,
    /// It stays as it is.
    Left(LeftReason),
}

/// Whatever the system says, the file stays as it is.
impl From<io::Error> for ShareError {
    fn from(_: io::Error) -> Self {
        ShareError::Left(LeftReason::Refused)
    }
}

/// Why a file may not take part, as far as the survey tells.
pub(super) fn obstacle(original: &DedupFile, file: &DedupFile, by: Sharing) -> Option<LeftReason> {
    let traits = |found: &DedupFile| (found.mode, found.identity.owner, found.modified);
    match by {
        Sharing::Reflink if file.identity.names > 1 => Some(LeftReason::Linked),
        Sharing::HardLink if traits(original) != traits(file) => Some(LeftReason::Metadata),
        _ => None,
    }
}

/// A temporary directory on the volume of the files.
pub(super) struct Workbench {
    lease: LeasedDirectory,
}

impl Workbench {
    pub(super) fn new(lease: LeasedDirectory) -> Self {
        Workbench { lease }
    }

    /// Removes it.
    pub(super) fn close(self) -> Result<(), Fault> {
        self.lease.close().map_err(Fault::from)
    }

    /// Has a file share the bytes of another one.
    pub(super) fn share(
        &mut self,
        original: &DedupFile,
        file: &DedupFile,
        by: Sharing,
    ) -> Result<(), ShareError> {
        let new = self.lease.payload().join("new");
        let shared = make(original, file, by, &new).and_then(|()| exchange(file, &new));
        // What is there now is the old file, or the new one that was not needed.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => shared,
        }
    }
}

/// Makes the new file, with the bytes of the original, and the mode and times of the old one.
fn make(original: &DedupFile, file: &DedupFile, by: Sharing, new: &Path) -> Result<(), ShareError> {
    let source = open::file(&original.path, Links::Refused)?;
    let old = open::file(&file.path, Links::Refused)?;
    let are_unchanged = || -> io::Result<bool> {
        Ok(original.is_unchanged(&source.metadata()?) && file.is_unchanged(&old.metadata()?))
    };
    if !are_unchanged()? {
        return Err(ShareError::Left(LeftReason::Changed));
    }
    match by {
        Sharing::HardLink => {
            fs::hard_link(&original.path, new)?;
            if !original.is_unchanged(&fs::symlink_metadata(new)?) {
                return Err(ShareError::Left(LeftReason::Changed));
            }
        }
        Sharing::Reflink => {
            if has_attributes(&old) {
                return Err(ShareError::Left(LeftReason::Attributes));
            }
            let made = open::file_with(
                File::options().read(true).write(true).create_new(true),
                new,
                Links::Refused,
            )?;
            clone(&source, &made)?;
            let metadata = old.metadata()?;
            mode::set_of_file(&made, file.mode)?;
            let accessed = metadata.accessed().unwrap_or(file.modified);
            made.set_times(fs::FileTimes::new().set_modified(file.modified).set_accessed(accessed))?;
            let owner = DedupFile::of(new, file.root, &made.metadata()?).map(|made| made.identity.owner);
            if owner != Some(file.identity.owner) {
                return Err(ShareError::Left(LeftReason::Attributes));
            }
        }
    }
    // Whatever was written since the survey shows here.
    if !is_equal(&open::file(new, Links::Refused)?, &old)? {
        return Err(ShareError::Left(LeftReason::Changed));
    }
    Ok(())
}

/// The time of a directory, put back when the value is dropped: names in it change places, and what it holds stays equal.
pub(super) struct DirectoryTime {
    directory: PathBuf,
    before: Option<FileTime>,
}

impl DirectoryTime {
    /// That of a directory in which names are about to change.
    pub(super) fn of(directory: &Path) -> Self {
        let found = fs::symlink_metadata(directory).ok();
        let before = found.map(|metadata| FileTime::from_last_modification_time(&metadata));
        DirectoryTime { directory: directory.to_owned(), before }
    }
}

impl Drop for DirectoryTime {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // Another user's directory keeps the time of the change.
            let _ = filetime::set_file_mtime(&self.directory, before);
        }
    }
}

/// Puts the new file in the place of the old one, unless that was written meanwhile.
fn exchange(file: &DedupFile, new: &Path) -> Result<(), ShareError> {
    let _unchanged = file.path.parent().map(DirectoryTime::of);
    match staging::exchange(new, &file.path) {
        Ok(()) => {}
        // Not on every system and volume: then the moment between this look and the rename is not covered.
        Err(_) if file.is_unchanged(&fs::symlink_metadata(&file.path)?) => {
            return Ok(fs::rename(new, &file.path)?);
        }
        Err(_) => return Err(ShareError::Left(LeftReason::Changed)),
    }
    if fs::symlink_metadata(new).is_ok_and(|old| file.is_unchanged(&old)) {
        return Ok(());
    }
    staging::exchange(new, &file.path)?;
    Err(ShareError::Left(LeftReason::Changed))
}

/// Has an empty file share all bytes of another one.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn clone(source: &File, new: &File) -> Result<(), ShareError> {
    use rustix::io::Errno;
    rustix::fs::ioctl_ficlone(new, source).map_err(|error| match error {
        Errno::NOTSUP | Errno::NOTTY | Errno::NOSYS => ShareError::NoReflinks,
        _ => ShareError::Left(LeftReason::Refused),
    })
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn clone(_: &File, _: &File) -> Result<(), ShareError> {
    Err(ShareError::NoReflinks)
}

/// Whether a file has extended attributes beside its security label, which every file of a system has.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn has_attributes(file: &File) -> bool {
    let mut names = [0_u8; 4_096];
    match rustix::fs::flistxattr(file, &mut names[..]) {
        Ok(length) => {
            names[..length].split(|byte| *byte == 0).any(|name| !matches!(name, b"" | b"security.selinux"))
        }
        Err(error) => error != rustix::io::Errno::NOTSUP,
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn has_attributes(_: &File) -> bool {
    false
}

fn is_equal(one: &File, other: &File) -> io::Result<bool> {
    let (mut one, mut other) =
        (io::BufReader::with_capacity(1 << 20, one), io::BufReader::with_capacity(1 << 20, other));
    let (mut left, mut right) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let count = one.read(&mut left)?;
        if count == 0 {
            return Ok(other.read(&mut right)? == 0);
        }
        match other.read_exact(&mut right[..count]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        if left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Utc;

    fn found(path: &Path) -> DedupFile {
        DedupFile::of(path, 0, &fs::symlink_metadata(path).expect("a file")).expect("a time")
    }

    #[test]
    fn a_file_that_changed_since_it_was_found_is_left_alone() {
        let place = tempfile::tempdir().expect("a place");
        let (one, two) = (place.path().join("one"), place.path().join("two"));
        fs::write(&one, "equal").expect("written");
        fs::copy(&one, &two).expect("copied");
        let time = fs::metadata(&one).and_then(|metadata| metadata.modified()).expect("a time");
        let touch = |path: &Path| {
            let file = File::options().write(true).open(path).expect("opened");
            file.set_modified(time).expect("touched");
        };
        touch(&two);
        let lease = LeasedDirectory::create_in(place.path(), "a test", Utc::now()).expect("leased");
        let mut bench = Workbench::new(lease);
        for (changed, text) in [(&two, "EQUAL"), (&one, "other")] {
            fs::write(&one, "equal").expect("written");
            fs::write(&two, "equal").expect("written");
            touch(&one);
            touch(&two);
            let (original, file) = (found(&one), found(&two));
            fs::write(changed, text).expect("written");
            // Even with the old time: what was read is compared.
            touch(changed);
            let shared = bench.share(&original, &file, Sharing::HardLink);
            assert!(matches!(shared, Err(ShareError::Left(LeftReason::Changed))), "{shared:?}");
            assert_eq!(fs::read_to_string(changed).expect("read"), text);
        }
        fs::write(&one, "EQUAL").expect("written");
        fs::write(&two, "EQUAL").expect("written");
        touch(&one);
        touch(&two);
        bench.share(&found(&one), &found(&two), Sharing::HardLink).expect("shared");
        bench.close().expect("closed");
        assert_eq!(fs::read_dir(place.path()).expect("read").count(), 2);
    }
}
