//! An error of the disk that says what was being done, and to which path.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::hint::Hint;

/// Something could not be done to a path.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{}`: {source}", path.display())]
pub struct PathError {
    /// What was being done, as a verb: `rename`, `remove`.
    pub action: &'static str,
    /// What it was done to.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl PathError {
    /// Makes a closure for `map_err`: `fs::rename(a, b).map_err(PathError::on("rename", a))`.
    pub fn on<'a, E: Into<io::Error>>(action: &'static str, path: &'a Path) -> impl Fn(E) -> PathError + 'a {
        move |source| PathError { action, path: path.to_owned(), source: source.into() }
    }

    /// Whether a volume or a quota is full.
    pub fn is_no_space(&self) -> bool {
        is_no_space(&self.source)
    }
}

impl Hint for PathError {
    fn hint(&self) -> Option<String> {
        match self.source.kind() {
            _ if self.is_no_space() => {
                Some("free room on that volume, or list what may be removed under `[disk] free`".to_owned())
            }
            io::ErrorKind::PermissionDenied => {
                Some("let the user who runs the job own that path and the directory it is in".to_owned())
            }
            io::ErrorKind::ReadOnlyFilesystem => {
                Some("choose a path on a volume that can be written".to_owned())
            }
            _ => None,
        }
    }
}

/// Whether an error says that a volume is full or a quota is used up.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_the_deed_and_the_path() {
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = PathError { action: "rename", path: "/x/y".into(), source };
        assert_eq!(error.to_string(), "cannot rename `/x/y`: permission denied");
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_full_volume_is_told_from_other_errors() {
        assert!(is_no_space(&io::Error::from(io::ErrorKind::StorageFull)));
        assert!(is_no_space(&io::Error::from(io::ErrorKind::QuotaExceeded)));
        assert!(!is_no_space(&io::Error::from(io::ErrorKind::PermissionDenied)));
        #[cfg(unix)]
        assert!(is_no_space(&rustix::io::Errno::NOSPC.into()));
    }
}
