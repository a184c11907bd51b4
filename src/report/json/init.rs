//! What `init` proposes, as JSON.

use serde::Serialize;

use super::check::FindingDocument;
use crate::domain::proposal::{InitOutcome, MovedCache, ProposedFile};

/// The outcome of `init`.
#[derive(Debug, Serialize)]
pub(crate) struct InitDocument<'a> {
    written: bool,
    moved: Vec<MovedDocument<'a>>,
    left: Vec<FindingDocument<'a>>,
    files: Vec<InitFileDocument<'a>>,
    notes: &'a [String],
}

#[derive(Debug, Serialize)]
struct MovedDocument<'a> {
    keeper: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache: Option<&'a str>,
    file: String,
    line: usize,
    differences: &'a [String],
}

#[derive(Debug, Serialize)]
struct InitFileDocument<'a> {
    path: String,
    new: bool,
    diff: &'a str,
}

impl<'a> From<&'a InitOutcome> for InitDocument<'a> {
    fn from(outcome: &'a InitOutcome) -> Self {
        InitDocument {
            written: outcome.is_written,
            moved: outcome.moved.iter().map(Into::into).collect(),
            left: outcome.left.iter().map(Into::into).collect(),
            files: outcome.files.iter().map(Into::into).collect(),
            notes: &outcome.notes,
        }
    }
}

impl<'a> From<&'a MovedCache> for MovedDocument<'a> {
    fn from(cache: &'a MovedCache) -> Self {
        MovedDocument {
            keeper: &cache.keeper,
            cache: cache.name.as_deref(),
            file: cache.location.file.display().to_string(),
            line: cache.location.line,
            differences: &cache.differences,
        }
    }
}

impl<'a> From<&'a ProposedFile> for InitFileDocument<'a> {
    fn from(file: &'a ProposedFile) -> Self {
        InitFileDocument { path: file.path.display().to_string(), new: file.is_new, diff: &file.diff }
    }
}
