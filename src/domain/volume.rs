//! What is free on a volume before and after a command.

use std::fmt;
use std::path::PathBuf;

use super::unit::ByteSize;

/// A volume before and after a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskChange {
    /// A path on it.
    pub at: PathBuf,
    /// Its size.
    pub total: ByteSize,
    /// What was free before.
    pub before: ByteSize,
    /// What is free after.
    pub after: ByteSize,
    /// Its inodes; `None` where there are as many as room allows.
    pub inodes: Option<InodeChange>,
}

/// The inodes of a volume before and after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InodeChange {
    /// All there are.
    pub total: u64,
    /// Those that were free before.
    pub before: u64,
    /// Those that are free after.
    pub after: u64,
}

impl fmt::Display for DiskChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DiskChange { at, total, before, after, inodes } = self;
        write!(f, "volume of `{}`: {before} free before, {after} after, of {total}", at.display())?;
        match inodes {
            Some(InodeChange { total, before, after }) => {
                write!(f, "; {before} inodes free before, {after} after, of {total}")
            }
            None => Ok(()),
        }
    }
}
