//! Where both sides work: one workspace and one temp directory, on volumes of their own where that is allowed.

use std::fs;
use std::path::{Path, PathBuf};

use cachekeep_test_support::volume::Volume;

/// A workspace with the tree, and a temp directory.
pub(crate) struct Place {
    /// Holds `workspace`, `temp` and `home`.
    pub(crate) root: PathBuf,
    /// The volumes of the workspace and of the temp directory; none without root.
    pub(crate) volumes: Option<(Volume, Volume)>,
    // Dropped last: what is mounted in it must go first.
    _directory: tempfile::TempDir,
}

/// Bytes in use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    workspace: u64,
    temp: u64,
}

impl Used {
    /// The larger of both, each for itself.
    pub(crate) fn most(self, other: Used) -> Used {
        Used { workspace: self.workspace.max(other.workspace), temp: self.temp.max(other.temp) }
    }

    /// What was used beyond the states before and after.
    pub(crate) fn beyond(self, before: Used, after: Used) -> u64 {
        let usual = before.most(after);
        self.workspace.saturating_sub(usual.workspace) + self.temp.saturating_sub(usual.temp)
    }
}

impl Place {
    /// Fresh directories in the directory for temporary files.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temp dir");
        let root = directory.path().canonicalize().expect("it is there");
        for name in ["workspace", "temp", "home"] {
            fs::create_dir(root.join(name)).expect("a fresh directory");
        }
        let volumes = Volume::mount(&root.join("workspace"), "size=12g")
            .zip(Volume::mount(&root.join("temp"), "size=6g"));
        Place { root, volumes, _directory: directory }
    }

    /// The checkout.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.root.join("workspace")
    }

    /// The tree that is saved and restored.
    pub(crate) fn tree(&self) -> PathBuf {
        self.root.join("workspace/tree")
    }

    /// What is in use now. Without volumes of their own, what lies in the temp directory.
    pub(crate) fn used(&self) -> Used {
        match &self.volumes {
            Some((workspace, temp)) => Used { workspace: workspace.used().bytes, temp: temp.used().bytes },
            None => Used { workspace: 0, temp: bytes_below(&self.root.join("temp")) },
        }
    }

    /// Forgets what a run left for the next.
    pub(crate) fn sweep(&self) {
        for name in ["temp", "home"] {
            for entry in fs::read_dir(self.root.join(name)).expect("a directory").flatten() {
                let path = entry.path();
                if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
                    .expect("removed");
            }
        }
    }
}

/// Bytes of all files below a directory.
pub(crate) fn bytes_below(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(bytes).sum()
}
