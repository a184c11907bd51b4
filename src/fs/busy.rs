//! Files that another program holds for a moment: on Windows a scanner or an indexer opens what was just written, and until
//! it is done the file can be neither renamed nor removed.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Pauses before further attempts, in milliseconds: 1.27 seconds in all.
const PAUSES: [u64; 7] = [10, 20, 40, 80, 160, 320, 640];

/// Renames; a file with the new name is replaced, also one that is read-only.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    patiently(|| match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && make_writable(to) => {
            fs::rename(from, to)
        }
        renamed => renamed,
    })
}

/// Does what another program may stand in the way of for a moment.
pub(crate) fn patiently<T>(deed: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    retry(deed, is_busy, std::thread::sleep)
}

fn retry<T>(
    mut deed: impl FnMut() -> io::Result<T>,
    is_busy: impl Fn(&io::Error) -> bool,
    pause: impl Fn(Duration),
) -> io::Result<T> {
    for length in PAUSES.map(Duration::from_millis) {
        match deed() {
            Err(error) if is_busy(&error) => pause(length),
            done => return done,
        }
    }
    deed()
}

/// A file that is open can be renamed and removed.
#[cfg(unix)]
fn is_busy(_: &io::Error) -> bool {
    false
}

/// `ERROR_ACCESS_DENIED`, which also says that a file is about to go, `ERROR_SHARING_VIOLATION` and `ERROR_LOCK_VIOLATION`.
#[cfg(not(unix))]
fn is_busy(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(5 | 32 | 33))
}

/// A mode keeps no one from replacing or removing a file.
#[cfg(unix)]
fn make_writable(_: &Path) -> bool {
    false
}

/// Takes the attribute from a file that is read-only; false if it is not.
#[cfg(not(unix))]
#[expect(clippy::permissions_set_readonly_false, reason = "it is an attribute here, not a mode")]
pub(super) fn make_writable(path: &Path) -> bool {
    let Ok(metadata) = fs::symlink_metadata(path) else { return false };
    let mut permissions = metadata.permissions();
    if !permissions.readonly() || metadata.is_dir() {
        return false;
    }
    permissions.set_readonly(false);
    fs::set_permissions(path, permissions).is_ok()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn what_is_busy_is_tried_again_until_the_pauses_are_over() {
        let check = |busy: usize, kind: io::ErrorKind, (attempts, done): (usize, bool)| {
            let (count, paused) = (Cell::new(0), RefCell::new(Vec::new()));
            let deed = || {
                count.set(count.get() + 1);
                if count.get() <= busy { Err(io::Error::from(kind)) } else { Ok(()) }
            };
            let result = retry(
                deed,
                |error| error.kind() == io::ErrorKind::PermissionDenied,
                |length| paused.borrow_mut().push(length),
            );
            assert_eq!((count.get(), result.is_ok()), (attempts, done), "{busy} {kind}");
            let expect: Vec<_> = PAUSES[..attempts - 1].iter().copied().map(Duration::from_millis).collect();
            assert_eq!(paused.into_inner(), expect, "{busy} {kind}");
        };
        check(0, io::ErrorKind::PermissionDenied, (1, true));
        check(3, io::ErrorKind::PermissionDenied, (4, true));
        check(7, io::ErrorKind::PermissionDenied, (8, true));
        check(8, io::ErrorKind::PermissionDenied, (8, false));
        check(3, io::ErrorKind::NotFound, (1, false));
    }

    #[test]
    fn a_rename_replaces_a_file_that_is_read_only() {
        let place = tempfile::tempdir().expect("a place");
        let (from, to) = (place.path().join("from"), place.path().join("to"));
        fs::write(&from, "new").expect("written");
        fs::write(&to, "old").expect("written");
        let mut permissions = fs::metadata(&to).expect("there").permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&to, permissions).expect("read-only");
        rename(&from, &to).expect("renamed");
        assert_eq!(fs::read_to_string(&to).expect("read"), "new");
    }
}
