//! What belongs to a cache only where a path of it says so: the repository that a checkout belongs to, and the configuration.
//!
//! A cache of the whole checkout that brought them back would undo what was committed and edited since it was saved.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The directory, or the file that leads to it, in which git keeps a repository.
const GIT: &str = ".git";

/// Such things below a root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Unnamed {
    /// The checkout, relative to the root, where it is the root or lies below it.
    checkout: Option<PathBuf>,
    /// Configurations, relative to the root.
    files: Vec<PathBuf>,
}

impl Unnamed {
    /// Those below a root: the checkout's repositories, and these files. All paths are absolute and spelled alike.
    pub(crate) fn below(root: &Path, checkout: &Path, files: &[PathBuf]) -> Self {
        let relative = |path: &Path| path.strip_prefix(root).ok().map(Path::to_owned);
        Unnamed {
            checkout: relative(checkout),
            files: files.iter().filter_map(|file| relative(file)).collect(),
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.checkout.is_none() && self.files.is_empty()
    }

    /// Whether a path is or lies in such a thing, and the rule that takes it, the `whole` root or a part of it, does not name it.
    ///
    /// Repositories inside of what a rule takes by a name of its own (`build`, `**/node_modules`) are that directory's content.
    pub(super) fn holds(&self, relative: &Path, whole: bool, is_named: impl Fn(&OsStr) -> bool) -> bool {
        if self.is_empty() {
            return false;
        }
        let is_file = || self.files.iter().any(|file| relative == file);
        if let Some(name) = relative.file_name().filter(|_| is_file()) {
            return !is_named(name);
        }
        let below = self.checkout.as_ref().and_then(|checkout| relative.strip_prefix(checkout).ok());
        let mut parts = below.into_iter().flat_map(Path::iter);
        let is_git = |name: &OsStr| name.eq_ignore_ascii_case(GIT);
        let is_inside = if whole { parts.any(is_git) } else { parts.next().is_some_and(is_git) };
        is_inside && !is_named(GIT.as_ref())
    }
}
