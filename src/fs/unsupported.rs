//! Errors that say that this system, volume or user can never have such a file: another attempt cannot help, and the file
//! is as good as any other.

use std::io::{self, ErrorKind};

/// Why nothing can have such a name here, in words that follow it; `None` if the error has another cause.
///
/// The error is that of making a file or a directory that does not exist.
pub(crate) fn name(error: &io::Error) -> Option<&'static str> {
    let is_name = matches!(error.kind(), ErrorKind::InvalidFilename | ErrorKind::InvalidInput);
    (is_name || is_illegal_sequence(error)).then_some("has a name that this volume cannot hold")
}

/// Why no symbolic link can be made here. The error is that of making one.
pub(crate) fn link(error: &io::Error) -> Option<&'static str> {
    let is_kind = error.kind() == ErrorKind::Unsupported || is_link_refusal(error);
    is_kind.then_some(LINK)
}

#[cfg(unix)]
const LINK: &str = "is a symbolic link, which this volume cannot hold";

#[cfg(not(unix))]
const LINK: &str = "is a symbolic link, which this user or this volume may not have: Windows lets administrators make them, and \
                    everyone in developer mode";

/// APFS refuses what is not Unicode.
#[cfg(unix)]
fn is_illegal_sequence(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::ILSEQ.raw_os_error())
}

#[cfg(not(unix))]
fn is_illegal_sequence(_: &io::Error) -> bool {
    false
}

/// POSIX: "the file system does not support the creation of symbolic links"; a directory that may not be written is another error.
#[cfg(unix)]
fn is_link_refusal(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error())
}

/// `ERROR_PRIVILEGE_NOT_HELD`, and `ERROR_INVALID_FUNCTION` of volumes like FAT.
#[cfg(not(unix))]
fn is_link_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(1314 | 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_never_be_made_is_unsupported() {
        let of = |kind: ErrorKind| io::Error::from(kind);
        for kind in [ErrorKind::InvalidFilename, ErrorKind::InvalidInput] {
            assert!(name(&of(kind)).is_some(), "{kind}");
        }
        assert!(link(&of(ErrorKind::Unsupported)).is_some());
        for kind in [
            ErrorKind::StorageFull,
            ErrorKind::PermissionDenied,
            ErrorKind::NotFound,
            ErrorKind::AlreadyExists,
        ] {
            let error = of(kind);
            assert_eq!((name(&error), link(&error)), (None, None), "{kind}");
        }
    }

    #[cfg(windows)]
    #[test]
    fn a_link_that_this_user_may_not_make_is_told_from_a_directory_that_may_not_be_written() {
        for (code, expect) in [(1314, true), (1, true), (5, false), (32, false)] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(
                link(&error).is_some_and(|reason| reason.contains("developer mode")),
                expect,
                "{error}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_too_long_are_told_from_directories_that_may_not_be_written() {
        let place = tempfile::tempdir().expect("a place");
        let error = std::fs::create_dir(place.path().join("x".repeat(300))).expect_err("too long");
        assert!(name(&error).is_some(), "{error}");
        let error = io::Error::from_raw_os_error(rustix::io::Errno::ACCESS.raw_os_error());
        assert_eq!((name(&error), link(&error)), (None, None));
        let error = io::Error::from_raw_os_error(rustix::io::Errno::PERM.raw_os_error());
        assert!(link(&error).is_some());
    }
}
