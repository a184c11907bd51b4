//! What lies under a name in a directory.

/// What lies under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whether it is a directory, and not a link to one.
    pub is_dir: bool,
    /// Whether it is a regular file.
    pub is_file: bool,
    /// Whether it is a link.
    pub is_link: bool,
    /// Its volume; 0 where the OS does not tell.
    pub device: u64,
    /// The file on its volume; 0 where the OS does not tell.
    pub inode: u64,
    /// Bytes of its content.
    pub size: u64,
    /// Its permission bits; `None` where the OS has none.
    pub mode: Option<u32>,
    /// Its owner and group; `None` where the OS has none.
    pub owner: Option<(u32, u32)>,
    /// When its content was last changed: seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
}

impl Found {
    /// Whether both are names of one file; `false` where the OS does not tell.
    pub(crate) fn is_same_file(&self, other: &Found) -> bool {
        self.inode != 0 && (self.device, self.inode) == (other.device, other.inode)
    }
}
