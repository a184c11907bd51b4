//! How the files of a cache differ from those of an entry.

/// The files that differ, by their paths below the cache's roots.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileChanges {
    /// They are in both, with other contents or as something else.
    pub changed: Vec<String>,
    /// They are only here.
    pub added: Vec<String>,
    /// They are only in the entry.
    pub removed: Vec<String>,
    /// How many are the same.
    pub same: usize,
}
