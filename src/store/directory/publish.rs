//! Giving a file its final name in one step, and only if the name is free; removing directories that became empty.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::lease::Locked;
use crate::fs::busy;
#[cfg(unix)]
use crate::fs::open;
use crate::store::backend::layout;

/// How often a directory is created that other processes remove as empty.
const ATTEMPTS: u32 = 100;

/// The file below `uploads` that is locked while an upload is published without hard links.
const LOCK: &str = "commit.lock";

/// The file at the root that is locked to remove empty directories, and by a process that lost a race against that.
const DIRECTORIES_LOCK: &str = "directories.lock";

/// Gives a file its final name; returns `false` if the name is taken. The file may keep its old name as well.
pub(super) fn publish(from: &Path, to: &Path, root: &Path) -> io::Result<bool> {
    let linked = in_directory_of(to, root, || match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // The upload itself is gone: creating the directory again would not help.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => {
            Err(io::Error::other("the upload has been removed"))
        }
        linked => linked.map(|()| true),
    });
    match linked {
        Err(error) if is_without_links(&error) => publish_by_rename(from, to, root),
        linked => linked,
    }
}

/// The same for file systems without hard links: a lock on the store makes the check and the rename one step.
fn publish_by_rename(from: &Path, to: &Path, root: &Path) -> io::Result<bool> {
    let _lock = Locked::wait(&root.join(layout::UPLOADS).join(LOCK))?;
    in_directory_of(to, root, || {
        if to.symlink_metadata().is_ok() {
            return Ok(false);
        }
        busy::rename(from, to).map(|()| true)
    })
}

/// Runs `act`, which creates `path`. Creates the directory of `path` if it does not exist, again if a process that
/// deletes an entry removes it as empty in between.
fn in_directory_of(path: &Path, root: &Path, act: impl Fn() -> io::Result<bool>) -> io::Result<bool> {
    let directory = path.parent().unwrap_or(root);
    let mut attempt = 0;
    // Held from the second try on: it keeps other processes from removing directories.
    let mut lock = None;
    loop {
        match act() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {
                attempt += 1;
                if attempt == 2 {
                    // Without locks, trying again has to do.
                    lock = Locked::wait(&root.join(DIRECTORIES_LOCK)).ok();
                }
                match fs::create_dir_all(directory) {
                    // Another process removed a directory just before or after this one created it.
                    Err(error)
                        if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists)
                            && attempt < ATTEMPTS => {}
                    made => made?,
                }
                if attempt > ATTEMPTS / 2 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            Ok(true) => {
                let directories = directory.ancestors().take_while(|ancestor| ancestor.starts_with(root));
                directories.take(if attempt == 0 { 1 } else { usize::MAX }).for_each(sync_directory);
                drop(lock);
                return Ok(true);
            }
            other => return other,
        }
    }
}

/// Removes the directories above a deleted entry that are empty now, but for the root of the store and those directly
/// in it. A process that creates an entry there at the same time creates them again.
///
/// Skipped while another process holds the lock: empty directories cost nothing.
pub(super) fn remove_empty_directories(entry: &Path, root: &Path) {
    // Where the lock file cannot be opened, a race costs the other process another attempt.
    let lock = Locked::try_now(&root.join(DIRECTORIES_LOCK));
    if matches!(lock, Ok(None)) {
        return;
    }
    let directories = entry
        .ancestors()
        .skip(1)
        .take_while(|directory| *directory != root && directory.parent().is_some_and(|above| above != root));
    for directory in directories {
        if fs::remove_dir(directory).is_err() {
            break;
        }
    }
}

/// Whether an error means that the file system has no hard links, rather than that this one is not allowed.
fn is_without_links(error: &io::Error) -> bool {
    // Linux reports EPERM for FAT and some FUSE file systems, and EACCES for missing rights.
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) {
        return true;
    }
    // FAT and network drives report ERROR_INVALID_FUNCTION and ERROR_NOT_SUPPORTED.
    #[cfg(windows)]
    if matches!(error.raw_os_error(), Some(1 | 50)) {
        return true;
    }
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::TooManyLinks | io::ErrorKind::CrossesDevices
    )
}

/// The result of a flush, where a file system that cannot flush counts as flushed.
pub(super) fn durable(synced: io::Result<()>) -> io::Result<()> {
    match synced {
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => {
            Ok(())
        }
        other => other,
    }
}

/// Makes the names in a directory survive a power failure, where the system can. Errors are ignored: the entry is
/// visible already.
#[cfg_attr(not(unix), expect(unused_variables, reason = "only Unix opens directories"))]
fn sync_directory(directory: &Path) {
    #[cfg(unix)]
    let _ = open::directory(directory).and_then(|directory| directory.sync_all());
}

#[cfg(test)]
mod tests {
    use cachekeep_test_support::threads::SetAtTheEnd;

    use super::*;

    fn store() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join(layout::UPLOADS)).expect("a directory");
        root
    }

    #[test]
    fn both_ways_to_publish_take_a_name_once() {
        for publish in [publish, publish_by_rename] {
            let root = store();
            let to = root.path().join("entries/a/b/c.tar.zst");
            for (content, expect) in [("one", true), ("two", false)] {
                let from = root.path().join("uploads").join(content);
                fs::write(&from, content).expect("a file");
                assert_eq!(publish(&from, &to, root.path()).expect("published or not"), expect);
            }
            assert_eq!(fs::read_to_string(&to).expect("an entry"), "one");
        }
    }

    #[test]
    fn of_many_renames_at_once_one_wins() {
        let root = store();
        let to = root.path().join("entries/a.tar.zst");
        let publish_one = |n: usize| {
            let from = root.path().join(format!("uploads/{n}"));
            fs::write(&from, n.to_string()).expect("a file");
            publish_by_rename(&from, &to, root.path()).expect("published or not")
        };
        let won: Vec<bool> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || publish_one(n))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        let winner = won.iter().position(|won| *won).expect("one has won");
        assert_eq!(fs::read_to_string(&to).expect("an entry"), winner.to_string());
    }

    #[test]
    fn an_upload_that_was_removed_is_an_error_and_not_an_endless_attempt() {
        let root = store();
        let to = root.path().join("entries/a.tar.zst");
        assert!(publish(&root.path().join("uploads/none"), &to, root.path()).is_err());
        assert!(!to.exists());
    }

    #[test]
    fn pruning_removes_empty_directories_below_the_entries_only() {
        let root = store();
        let entries = root.path().join("entries");
        fs::create_dir_all(entries.join("a/b/c")).expect("directories");
        fs::write(entries.join("a/kept"), "").expect("a file");
        remove_empty_directories(&entries.join("a/b/c/gone.tar.zst"), root.path());
        assert!(!entries.join("a/b").exists());
        assert!(entries.join("a/kept").exists());
        fs::create_dir_all(entries.join("d")).expect("directories");
        fs::remove_file(entries.join("a/kept")).expect("removed");
        remove_empty_directories(&entries.join("a/gone.tar.zst"), root.path());
        remove_empty_directories(&entries.join("d/gone.tar.zst"), root.path());
        assert!(entries.exists());
        assert_eq!(fs::read_dir(&entries).expect("a list").count(), 0);
    }

    #[test]
    fn publishing_and_pruning_at_once_lose_nothing() {
        let root = store();
        let entries = root.path().join("entries");
        let path = |n: u32| entries.join(format!("a/b/{n}.tar.zst"));
        let from = root.path().join("uploads/x");
        fs::write(&from, "x").expect("a file");
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let _done_at_the_end = SetAtTheEnd(&done);
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    remove_empty_directories(&path(0), root.path());
                }
            });
            for n in 0..500 {
                let published = publish(&from, &path(n), root.path());
                assert!(published.expect("published"), "the name is free");
                fs::remove_file(path(n)).expect("it was there");
            }
        });
    }
}
