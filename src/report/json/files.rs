//! What `ls ENTRY --json` prints.

use serde::Serialize;

use super::usage::EntryDocument;

/// The files of an entry.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct FilesDocument {
    /// `ls`.
    pub command: &'static str,
    /// The store, for people.
    pub store: String,
    /// The entry.
    pub entry: EntryDocument,
    /// The digest that its archive carries.
    pub digest: String,
    /// The path patterns that each of its roots was saved by.
    pub roots: Vec<Vec<String>>,
    /// All that it holds, in the order of the archive.
    pub files: Vec<FileDocument>,
}

/// What lies at a path.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct FileDocument {
    /// Which root it lies in, from 0.
    pub root: usize,
    /// The path there; `.` for the root. Bytes that are not text are escaped.
    pub path: String,
    /// `file`, `directory`, `symlink`, `hard-link`.
    pub kind: &'static str,
    /// Bytes of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The SHA-256 of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Where a link leads: that of a hard link by its name in the archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Permissions, in octal digits.
    pub mode: String,
    /// When it was modified: seconds since 1970, with nine digits behind the point.
    pub modified: String,
}
