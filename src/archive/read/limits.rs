//! Bounds on archives that do not announce what they hold.

/// The most that an archive without a manifest may hold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}
