//! Bounds on archives that do not announce what they hold.

/// The most that an archive without a manifest may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files; in a release archive of everything that it decompresses to, headers included.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

impl Default for Limits {
    /// 64 GiB and four million entries: more than a CI cache can hold, less than a bomb.
    fn default() -> Self {
        Limits { bytes: 64 << 30, entries: 4_000_000 }
    }
}
