//! Who uses directories: a directory that is in use is never replaced.

use std::path::{Path, PathBuf};

use crate::fs::link;

/// Directories that must stay what they are, links resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    workspace: Option<PathBuf>,
    working: Vec<PathBuf>,
}

impl Usage {
    /// The workspace, and the working directories of this process, which a command that it starts inherits, and of those that
    /// started it.
    pub(crate) fn of(workspace: &Path, current: &Path) -> Self {
        let mut working: Vec<PathBuf> = link::resolved(current).into_iter().collect();
        working.extend(of_ancestors());
        Usage { workspace: link::resolved(workspace), working }
    }

    /// Whether the workspace is this directory or lies in it.
    pub(super) fn is_workspace_in(&self, directory: &Path) -> bool {
        self.workspace.as_ref().is_some_and(|workspace| workspace.starts_with(directory))
    }

    /// Whether a working directory is this directory or lies in it.
    pub(super) fn is_working_in(&self, directory: &Path) -> bool {
        self.working.iter().any(|working| working.starts_with(directory))
    }
}

/// The working directories of the processes that started this one, as far as the system shows them: the shell of a step may stand
/// elsewhere than the command that it runs.
#[cfg(target_os = "linux")]
fn of_ancestors() -> Vec<PathBuf> {
    /// Upper bound for the processes that are looked at.
    const MOST: usize = 64;
    let mut found = Vec::new();
    let mut process = parent_of("self");
    while let Some(id) = process.filter(|id| *id > 0 && found.len() < MOST) {
        let process_directory = PathBuf::from(format!("/proc/{id}"));
        let Ok(working) = std::fs::read_link(process_directory.join("cwd")) else { break };
        found.push(working);
        process = parent_of(&id.to_string());
    }
    found
}

#[cfg(target_os = "linux")]
fn parent_of(process: &str) -> Option<u32> {
    /// Upper bound for what the kernel says about a process, in bytes.
    const MAX_STAT: u64 = 64 << 10;
    let stat = crate::fs::read::read_bounded(
        Path::new(&format!("/proc/{process}/stat")),
        crate::fs::open::Links::Followed,
        MAX_STAT,
    );
    let stat = String::from_utf8_lossy(&stat.ok()?).into_owned();
    // The name of the program is in parentheses, and may hold any characters.
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

/// Only Linux shows the working directories of other processes as files.
#[cfg(not(target_os = "linux"))]
fn of_ancestors() -> Vec<PathBuf> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_above_count_and_links_are_resolved() {
        let place = tempfile::tempdir().expect("a place");
        let place = place.path().canonicalize().expect("resolved");
        std::fs::create_dir_all(place.join("workspace/sub/deep")).expect("made");
        let usage = Usage::of(&place.join("workspace"), &place.join("workspace/sub"));
        for (directory, is_workspace, is_working) in [
            ("", true, true),
            ("workspace", true, true),
            ("workspace/sub", false, true),
            ("workspace/sub/deep", false, false),
            ("work", false, false),
        ] {
            let directory = place.join(directory);
            assert_eq!(usage.is_workspace_in(&directory), is_workspace, "{}", directory.display());
            assert_eq!(usage.is_working_in(&directory), is_working, "{}", directory.display());
        }
        assert!(!Usage::default().is_workspace_in(&place));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn processes_that_started_this_one_count() {
        let parent = parent_of("self").expect("a parent");
        let working = std::fs::read_link(format!("/proc/{parent}/cwd")).expect("a working directory");
        assert!(of_ancestors().contains(&working));
        assert!(Usage::of(Path::new("/"), Path::new("/")).is_working_in(&working));
    }
}
