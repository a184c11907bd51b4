//! What several tests of this room need: volumes of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use cachekeep_test_support::skip;

/// A small volume that is unmounted when dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts an empty volume of a size (`1m`) over a directory. `None`, with a message, without the right to mount.
    pub(crate) fn tmpfs(over: &Path, size: &str) -> Option<Mount> {
        let made = cfg!(target_os = "linux")
            && Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "tmpfs"])
                .arg(over)
                .output()
                .is_ok_and(|output| output.status.success());
        Self::made(made, over)
    }

    /// Shows a directory at a second place. `None`, with a message, without the right to mount.
    #[cfg(unix)]
    pub(crate) fn bind(source: &Path, over: &Path) -> Option<Mount> {
        let made = cfg!(target_os = "linux")
            && Command::new("mount")
                .arg("--bind")
                .args([source, over])
                .output()
                .is_ok_and(|output| output.status.success());
        Self::made(made, over)
    }

    fn made(made: bool, over: &Path) -> Option<Mount> {
        if !made {
            skip("a test of volumes", "it must be root on Linux, to mount something");
        }
        made.then(|| Mount(over.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

thread_local! {
    static RECORDS: tempfile::TempDir = tempfile::tempdir().expect("a place for records");
}

/// Records of this test alone, which go with its thread: recovery looks for what others left in them.
pub(crate) fn records() -> super::records::Records {
    RECORDS.with(|place| records_in(place.path()))
}

/// Records below a directory, where the processes of a test find the same ones.
pub(crate) fn records_in(place: &Path) -> super::records::Records {
    super::records::Records::in_directories(vec![place.join("state/journals")])
}
