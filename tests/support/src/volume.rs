//! Volumes of their own, and what is used on them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A small volume in memory that is unmounted when dropped.
pub struct Volume(PathBuf);

impl Volume {
    /// Mounts an empty volume (`size=8m`, `size=8m,nr_inodes=100`) over a directory, which is made; `None` where
    /// this process may not.
    pub fn mount(over: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir_all(over).expect("a directory");
        let mounted = cfg!(target_os = "linux")
            && Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("{options},mode=755"), "tmpfs"])
                .arg(over)
                .output()
                .is_ok_and(|output| output.status.success());
        mounted.then(|| Volume(over.to_owned()))
    }

    /// Makes a file system in a file (`mkfs.xfs`, `mkfs.btrfs`) and mounts it over a directory, which is made; `None` where
    /// this process may not, or the program is missing.
    pub fn in_file(image: &Path, bytes: u64, make: &str, over: &Path) -> Option<Self> {
        std::fs::create_dir_all(over).expect("a directory");
        std::fs::File::create(image).and_then(|file| file.set_len(bytes)).expect("an image");
        let succeeds = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let mounted = cfg!(target_os = "linux")
            && succeeds(Command::new(make).arg("-q").arg(image))
            && succeeds(Command::new("mount").args(["-o", "loop"]).arg(image).arg(over));
        mounted.then(|| Volume(over.to_owned()))
    }

    /// Bytes and inodes in use.
    pub fn used(&self) -> Used {
        used(&self.0)
    }

    /// Takes all the room there is; what it wrote is removed when dropped.
    pub fn fill(&self) -> Filler {
        let path = self.0.join("filler");
        let file = std::fs::File::create(&path).expect("a file");
        let step = 64 << 10;
        let mut length = 0;
        while rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), length, step).is_ok() {
            length += step;
        }
        Filler(path)
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

/// Room that is taken.
pub struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What is in use on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Used {
    /// Bytes.
    pub bytes: u64,
    /// Inodes.
    pub inodes: u64,
}

/// What is in use on the volume of a path.
pub fn used(path: &Path) -> Used {
    let found = rustix::fs::statvfs(path).expect("a volume");
    Used { bytes: (found.f_blocks - found.f_bfree) * found.f_frsize, inodes: found.f_files - found.f_ffree }
}
