//! Giving a file its final name in one step, and only if the name is free; and tidying up after names that
//! are gone.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::Duration;

use super::layout;

/// How often a folder is made again that someone else removes as empty.
const ATTEMPTS: u32 = 100;

/// The file below `uploads` that is locked where there are no hard links.
const LOCK: &str = "commit.lock";

/// The file at the root that is locked by who removes empty folders, and by who lost a race against that.
const FOLDERS_LOCK: &str = "folders.lock";

/// Gives a file its final name if nothing has it; `false` if something does. The file may keep its old
/// name beside the new one.
pub(super) fn publish(from: &Path, to: &Path, root: &Path) -> io::Result<bool> {
    let linked = in_folder_of(to, root, || match fs::hard_link(from, to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        // The upload itself is gone: making the folder again would not help.
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

/// The same for file systems without hard links: of those who hold the store's lock, one at a time looks
/// whether the name is taken.
fn publish_by_rename(from: &Path, to: &Path, root: &Path) -> io::Result<bool> {
    let lock_path = root.join(layout::UPLOADS).join(LOCK);
    let lock = File::options().create(true).truncate(false).write(true).open(lock_path)?;
    // Held until `lock` is dropped.
    lock.lock()?;
    in_folder_of(to, root, || {
        if to.symlink_metadata().is_ok() {
            return Ok(false);
        }
        fs::rename(from, to).map(|()| true)
    })
}

/// Does something in the folder of `path` that makes `path`. The folder is made if it is not there, also
/// again if someone who deletes an entry removes it as empty in between.
fn in_folder_of(path: &Path, root: &Path, act: impl Fn() -> io::Result<bool>) -> io::Result<bool> {
    let folder = path.parent().unwrap_or(root);
    let mut attempt = 0;
    // Held from the second try on: nobody removes folders meanwhile.
    let mut quiet = None;
    loop {
        match act() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => {
                attempt += 1;
                if attempt == 2 {
                    // A file system without locks is left with trying again.
                    quiet = folders_lock(root).and_then(|lock| lock.lock().map(|()| lock)).ok();
                }
                match fs::create_dir_all(folder) {
                    // Another removes a folder just before or just after this one finds or makes it.
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
                let folders = folder.ancestors().take_while(|ancestor| ancestor.starts_with(root));
                folders.take(if attempt == 0 { 1 } else { usize::MAX }).for_each(sync_folder);
                drop(quiet);
                return Ok(true);
            }
            other => return other,
        }
    }
}

/// Removes the folders above a deleted entry that are empty now. Whoever creates an entry there at the
/// same time makes them again.
///
/// Skipped while somebody needs them: empty folders cost nothing.
pub(super) fn prune(entry: &Path, entries: &Path) {
    let lock = entries.parent().and_then(|root| folders_lock(root).ok());
    if let Some(lock) = &lock
        && matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock))
    {
        return;
    }
    let folders =
        entry.ancestors().skip(1).take_while(|folder| folder.starts_with(entries) && *folder != entries);
    for folder in folders {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

fn folders_lock(root: &Path) -> io::Result<File> {
    File::options().create(true).truncate(false).write(true).open(root.join(FOLDERS_LOCK))
}

/// Whether an error says that a file system has no hard links, rather than that this one is not allowed.
fn is_without_links(error: &io::Error) -> bool {
    // EPERM is what Linux says for FAT and some FUSE file systems; missing rights are EACCES.
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) {
        return true;
    }
    // ERROR_INVALID_FUNCTION and ERROR_NOT_SUPPORTED are what FAT and network drives say.
    #[cfg(windows)]
    if matches!(error.raw_os_error(), Some(1 | 50)) {
        return true;
    }
    matches!(
        error.kind(),
        io::ErrorKind::Unsupported | io::ErrorKind::TooManyLinks | io::ErrorKind::CrossesDevices
    )
}

/// Takes a file system's word that it has nothing to flush.
pub(super) fn durable(synced: io::Result<()>) -> io::Result<()> {
    match synced {
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput) => {
            Ok(())
        }
        other => other,
    }
}

/// Makes the names in a folder outlive a power failure, where the system can. The entry is visible by
/// now: an error would only claim that it is not.
#[cfg_attr(not(unix), expect(unused_variables, reason = "only Unix opens folders"))]
fn sync_folder(folder: &Path) {
    #[cfg(unix)]
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join(layout::UPLOADS)).expect("a folder");
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
    fn pruning_removes_empty_folders_below_the_entries_only() {
        let root = store();
        let entries = root.path().join("entries");
        fs::create_dir_all(entries.join("a/b/c")).expect("folders");
        fs::write(entries.join("a/kept"), "").expect("a file");
        prune(&entries.join("a/b/c/gone.tar.zst"), &entries);
        assert!(!entries.join("a/b").exists());
        assert!(entries.join("a/kept").exists());
        fs::create_dir_all(entries.join("d")).expect("folders");
        fs::remove_file(entries.join("a/kept")).expect("removed");
        prune(&entries.join("a/gone.tar.zst"), &entries);
        prune(&entries.join("d/gone.tar.zst"), &entries);
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
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    prune(&path(0), &entries);
                }
            });
            let published: io::Result<()> = (0..500).try_for_each(|n| {
                assert!(publish(&from, &path(n), root.path())?, "the name is free");
                fs::remove_file(path(n))
            });
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            published.expect("each was published and was there");
        });
    }
}
