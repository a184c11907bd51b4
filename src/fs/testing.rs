//! What several tests need: volumes of their own, records, and damaged notes.

use std::path::Path;
#[cfg(unix)]
use std::{path::PathBuf, process::Command};

#[cfg(unix)]
use cachekeep_test_support::skip;

/// A small volume that is unmounted when dropped.
#[cfg(unix)]
pub(crate) struct Mount(PathBuf);

#[cfg(unix)]
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

#[cfg(unix)]
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

/// How many damaged notes a test tries; `CACHEKEEP_TEST_CASES` asks for more.
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "a test may be asked for more cases")]
pub(crate) fn case_count(normal: usize) -> usize {
    std::env::var("CACHEKEEP_TEST_CASES").ok().and_then(|count| count.parse().ok()).unwrap_or(normal)
}

/// Where many small files are made: in memory, where there is such a place.
#[cfg(unix)]
pub(crate) fn case_place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::path::PathBuf::from("/tmp") }
}

/// A small generator (xorshift64*), so that a seed gives the same cases every time.
#[cfg(unix)]
pub(crate) struct Random(u64);

#[cfg(unix)]
impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let next = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D);
        usize::try_from(next % bound as u64).expect("below a usize")
    }
}

/// Damages a note: flipped bits, other characters, numbers at their limits, cuts, repeats.
#[cfg(unix)]
pub(crate) fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const WORDS: [&[u8]; 10] =
        [b"0", b"-1", b"18446744073709551616", b"/", b"../", b"\\u0000", b"\xff", b"\"", b"[[[[", b"null"];
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        let end = bytes.len().min(at + random.below(32));
        match random.below(7) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
            5 => drop(bytes.splice(at..end, WORDS[random.below(WORDS.len())].iter().copied())),
            _ => {
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
}
