//! Why a lookup misses or hits, for machines. Fields are only ever added.

use serde::Serialize;

use super::usage::EntryDocument;
use crate::domain::explain::files::FileChanges;
use crate::domain::explain::{Candidate, Cause, Lookup, Nearness};
use crate::report::text::explain::Explained;

/// Entries that are listed for each lookup; the count tells how many there are.
const MOST: usize = 100;

/// What `explain --json` prints.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ExplainDocument {
    /// `explain`.
    pub command: &'static str,
    /// The store, for people.
    pub store: String,
    /// One for each lookup.
    pub caches: Vec<CacheExplained>,
}

/// One lookup.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct CacheExplained {
    /// The cache; absent for a key that was typed.
    pub cache: Option<String>,
    /// The key.
    pub key: String,
    /// The prefixes to fall back to.
    pub restore_keys: Vec<String>,
    /// The version; absent where any will do.
    pub version: Option<String>,
    /// The refs that the job reads, in order.
    pub reads: Vec<String>,
    /// `hit`, `partial` or `miss`.
    pub result: &'static str,
    /// Why the key itself is not found: `version`, `paths`, `scope`, `key-part`, `spelling`, `evicted`, `denied`,
    /// `nothing-saved` or `unavailable`; or `parent-gone`, why a better entry is not restored. Absent where neither is the case.
    pub differs: Option<&'static str>,
    /// The verdict, for people.
    pub verdict: String,
    /// What to do about it, for people.
    pub hint: Option<String>,
    /// What a restore takes.
    pub found: Option<EntryDocument>,
    /// The entry that shows what differs.
    pub witness: Option<EntryDocument>,
    /// The parts of the key that differ from the witness's.
    pub parts: Vec<PartDocument>,
    /// The entries that were compared, the nearest first; at most a hundred.
    pub candidates: Vec<CandidateDocument>,
    /// How many there are.
    pub candidate_count: usize,
    /// How the files here differ from those of the entry that is found; absent where that was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<FilesCompared>,
}

/// How the files here differ from those of an entry, by their paths below the cache's roots.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct FilesCompared {
    /// In both, with other contents.
    pub changed: Vec<String>,
    /// Only here.
    pub added: Vec<String>,
    /// Only in the entry.
    pub removed: Vec<String>,
    /// How many are the same.
    pub same: usize,
}

/// A part of the key that differs.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct PartDocument {
    /// The placeholder as written, or where in the key it stands.
    pub part: String,
    /// Its value in the key.
    pub here: String,
    /// Its value in the witness's.
    pub there: String,
    /// What went into it here and not there, name and digest; absent where that is not known.
    pub only_here: Option<Vec<(String, String)>>,
    /// What went into it there and not here.
    pub only_there: Option<Vec<(String, String)>>,
}

/// An entry that was compared.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct CandidateDocument {
    /// The entry.
    pub entry: EntryDocument,
    /// How near its key is: `same`, `spelling`, `prefix` or `similar`.
    pub near: &'static str,
    /// What differs: any of `version`, `paths`, `scope` and `key`.
    pub differs: Vec<&'static str>,
}

impl ExplainDocument {
    /// All of it.
    pub(crate) fn new(store: &str, explained: &[Explained<'_>]) -> Self {
        let caches = explained.iter().map(CacheExplained::from).collect();
        ExplainDocument { command: "explain", store: store.to_owned(), caches }
    }
}

impl From<&Explained<'_>> for CacheExplained {
    fn from(one: &Explained<'_>) -> Self {
        let (question, answer) = (one.question, one.answer);
        let parts = match &answer.cause {
            Some(Cause::KeyPart(parts)) => parts.as_slice(),
            _ => &[],
        };
        let part = |part: &crate::domain::explain::shape::PartDifference| {
            let (come, gone) = one.inputs.get(&part.part).cloned().unzip();
            PartDocument {
                part: part.part.clone(),
                here: part.here.clone(),
                there: part.there.clone(),
                only_here: come,
                only_there: gone,
            }
        };
        CacheExplained {
            cache: one.cache.map(str::to_owned),
            key: question.key.to_string(),
            restore_keys: question.restore_keys.iter().map(ToString::to_string).collect(),
            version: question.version.as_ref().map(ToString::to_string),
            reads: question.scopes.iter().map(ToString::to_string).collect(),
            result: match answer.result {
                Lookup::Hit => "hit",
                Lookup::Partial => "partial",
                Lookup::Miss => "miss",
            },
            differs: answer.cause.as_ref().map(Cause::name),
            verdict: one.verdict(),
            hint: one.hint(),
            found: answer.found.as_ref().map(EntryDocument::from),
            witness: answer.witness.as_ref().map(EntryDocument::from),
            parts: parts.iter().map(part).collect(),
            candidates: answer.candidates.iter().take(MOST).map(CandidateDocument::from).collect(),
            candidate_count: answer.candidates.len(),
            files: one.files.as_ref().map(|FileChanges { changed, added, removed, same }| FilesCompared {
                changed: changed.clone(),
                added: added.clone(),
                removed: removed.clone(),
                same: *same,
            }),
        }
    }
}

impl From<&Candidate> for CandidateDocument {
    fn from(candidate: &Candidate) -> Self {
        CandidateDocument {
            entry: EntryDocument::from(&candidate.entry),
            near: match candidate.nearness {
                Nearness::Same => "same",
                Nearness::Spelling => "spelling",
                Nearness::Prefix => "prefix",
                Nearness::Similar => "similar",
            },
            differs: candidate.differing.names(),
        }
    }
}
