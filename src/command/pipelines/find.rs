//! The workflows and pipelines of a checkout, by the names that people give them.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Directories that hold workflows and pipelines, besides the top of a checkout.
const DIRECTORIES: [&str; 7] = [
    ".azure",
    ".azure-pipelines",
    ".azuredevops",
    ".github/workflows",
    ".pipelines",
    "azure-pipelines",
    "pipelines",
];

/// How deep they are searched.
const MAX_DEPTH: usize = 6;

/// Where composite actions of a repository lie.
pub(in crate::command) const ACTIONS: &str = ".github/actions";

/// Files with YAML at the top of a checkout, in the directories above and in others, sorted.
pub(in crate::command) fn files(workspace: &Path, others: &[&str]) -> Vec<PathBuf> {
    let top = WalkDir::new(workspace).max_depth(1);
    let below =
        DIRECTORIES.iter().chain(others).map(|name| WalkDir::new(workspace.join(name)).max_depth(MAX_DEPTH));
    let mut found: Vec<PathBuf> = std::iter::once(top)
        .chain(below)
        .flat_map(IntoIterator::into_iter)
        .flatten()
        .filter(|item| item.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml"))
        .collect();
    found.sort();
    found.dedup();
    found
}
