//! Why a lookup hits or misses: compares the request with the entries of the store and names the field that differs.
//!
//! [`Question`] is the lookup, [`StoreView`] what is known about the store; [`Question::answer`] compares them and has no
//! effects. Of several near matches the nearest counts: the same key before a key that a prefix matches, fewer
//! differing fields before more, then the newest.

pub mod files;
pub mod origin;
pub mod shape;

mod nearest;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::entry::{Entry, LookupRequest};
use super::key::Key;
use super::retention::Facts;
use super::scope::Scope;
use super::thin::{self, ShortId, ThinKey};
use super::version::Version;
use shape::{KeyShape, PartDifference};

/// The lookup to explain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The primary key.
    pub key: Key,
    /// The parts of the primary key.
    pub shape: KeyShape,
    /// Prefixes to fall back to, in order.
    pub restore_keys: Vec<Key>,
    /// The version that a match must have; `None` matches every version.
    pub version: Option<Version>,
    /// The version of its thin entries, where the version is that of a cache.
    pub thin_version: Option<Version>,
    /// The scopes that the job reads, in order.
    pub scopes: Vec<Scope>,
    /// Entries that this machine recorded when it saved or restored them, newest first.
    pub remembered: Vec<Remembered>,
}

/// The record of an entry that this machine saved or restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Its key.
    pub key: Key,
    /// Its version.
    pub version: Version,
    /// Its scope.
    pub scope: Scope,
    /// When it was saved or restored.
    pub at: DateTime<Utc>,
    /// Whether it was saved, as opposed to restored.
    pub saved: bool,
}

/// What is known about the store.
#[derive(Debug, Clone, PartialEq)]
pub enum StoreView<'a> {
    /// All entries and the states of their refs.
    Listed(&'a Facts),
    /// Only the results of lookups.
    LookedUp {
        /// The entry that the lookup finds.
        found: Option<Box<Entry>>,
        /// If it finds none, the newest entry that shares the longest prefix with the key.
        nearest: Option<Box<Entry>>,
        /// Why the entries cannot be listed.
        why: String,
    },
    /// The job may not read the store.
    Denied {
        /// The refusal.
        why: String,
    },
}

/// The result of a lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lookup {
    /// The key itself is found.
    Hit,
    /// An entry is found by a prefix.
    Partial,
    /// Nothing is found.
    Miss,
}

/// Why the key itself is not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Entries exist with another layout or compression.
    Version,
    /// The entry that the lookup finds was saved by other path patterns.
    Paths {
        /// The patterns that it was saved by.
        theirs: Vec<String>,
        /// Those of the cache.
        own: Vec<String>,
    },
    /// Entries exist in scopes that the job does not read.
    Scope,
    /// The key differs in these parts from the nearest entry's.
    KeyPart(Vec<PartDifference>),
    /// The key differs only in letter case or whitespace.
    Spelling,
    /// An entry existed and no longer does.
    Evicted {
        /// The record of it.
        remembered: Remembered,
        /// What may have deleted it, with the facts that suggest so.
        why: String,
    },
    /// The job may not read the store.
    Denied(String),
    /// The lookup finds a thin entry that cannot be restored, since an entry that it takes content from does not exist.
    ParentGone {
        /// Whether that is its base.
        is_base: bool,
        /// What is known of that entry.
        parent: GoneParent,
    },
    /// No similar entry exists.
    NothingSaved,
    /// The store does not reveal enough to tell.
    Unavailable(String),
}

/// An entry that a thin one takes content from and that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GoneParent {
    /// It is not known here.
    Unknown {
        /// What the thin entry calls it.
        id: ShortId,
    },
    /// This machine saved or restored it.
    Remembered {
        /// The record of it.
        remembered: Remembered,
        /// What may have deleted it, with the facts that suggest so.
        why: String,
    },
}

impl Cause {
    /// Its name in JSON documents: the field that differs.
    pub fn name(&self) -> &'static str {
        match self {
            Cause::Version => "version",
            Cause::Paths { .. } => "paths",
            Cause::Scope => "scope",
            Cause::KeyPart(_) => "key-part",
            Cause::Spelling => "spelling",
            Cause::Evicted { .. } => "evicted",
            Cause::ParentGone { .. } => "parent-gone",
            Cause::Denied(_) => "denied",
            Cause::NothingSaved => "nothing-saved",
            Cause::Unavailable(_) => "unavailable",
        }
    }
}

/// The fields of an entry that differ from the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent fields, any of which may differ")]
pub struct Differing {
    /// Its key, and no prefix matches it.
    pub key: bool,
    /// Its layout and compression.
    pub version: bool,
    /// The paths that it was saved from.
    pub paths: bool,
    /// Its scope, which the job does not read.
    pub scope: bool,
}

impl Differing {
    /// The names of the differing fields, in display order.
    pub fn names(self) -> Vec<&'static str> {
        let fields =
            [(self.version, "version"), (self.paths, "paths"), (self.scope, "scope"), (self.key, "key")];
        fields.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| name).collect()
    }
}

/// How similar the key of an entry is to the requested one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// The same key.
    Same,
    /// The same except for letter case and whitespace.
    Spelling,
    /// The key or a restore key is a prefix of it.
    Prefix,
    /// It has the same shape or a long common prefix.
    Similar,
}

/// An entry that matches or almost does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The entry.
    pub entry: Entry,
    /// How similar its key is.
    pub nearness: Nearness,
    /// Which fields differ.
    pub differing: Differing,
}

/// The explanation of a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The result of a lookup.
    pub result: Lookup,
    /// The entry that the lookup finds.
    pub found: Option<Entry>,
    /// Why the primary key is not found, or why a better entry is not restored; `None` if neither is the case.
    pub cause: Option<Cause>,
    /// The entry that demonstrates the cause.
    pub witness: Option<Entry>,
    /// The compared entries, nearest first.
    pub candidates: Vec<Candidate>,
}

impl Question {
    /// Explains the lookup from what is known about the store.
    pub fn answer(&self, view: &StoreView<'_>) -> Answer {
        match view {
            StoreView::Denied { why } => Answer::miss(Cause::Denied(why.clone())),
            StoreView::LookedUp { found, nearest, why } => {
                self.answer_looked_up(found.as_deref(), nearest.as_deref(), why)
            }
            StoreView::Listed(facts) => self.answer_listed(facts),
        }
    }

    /// Whether the key or a restore key is a prefix of this key.
    fn is_prefix_of(&self, key: &Key) -> bool {
        std::iter::once(&self.key).chain(&self.restore_keys).any(|wanted| wanted.is_prefix_of(key))
    }

    /// The full and the thin entry that the two lookups find among these.
    fn lookups<'a>(&self, entries: &'a [Entry]) -> [Option<&'a Entry>; 2] {
        let of_thin =
            |version: &Version| thin::lookup_beside(&self.request(version), version.clone())?.choose(entries);
        if let Some(version) = &self.version {
            let full = self.request(version).choose(entries);
            return [full, self.thin_version.as_ref().and_then(of_thin)];
        }
        let versions: BTreeSet<&Version> = entries.iter().map(|entry| &entry.version).collect();
        let is_thin = |entry: &&Entry| ThinKey::parse(&entry.key).is_some();
        let best = |found: &mut dyn Iterator<Item = &'a Entry>| {
            found.max_by_key(|entry| (thin::saved_for(&entry.key) == self.key, entry.created_at))
        };
        let full = versions.iter().filter_map(|version| self.request(version).choose(entries));
        let thin = versions.iter().filter_map(|version| of_thin(version));
        [best(&mut full.filter(|entry| !is_thin(entry))), best(&mut thin.filter(is_thin))]
    }

    fn request(&self, version: &Version) -> LookupRequest {
        LookupRequest {
            exact: false,
            key: self.key.clone(),
            restore_keys: self.restore_keys.clone(),
            version: version.clone(),
            scopes: self.scopes.clone(),
        }
    }

    fn answer_looked_up(&self, found: Option<&Entry>, nearest: Option<&Entry>, why: &str) -> Answer {
        let result = self.result_of(found);
        let candidate = |entry: &Entry| {
            self.candidate(entry).unwrap_or_else(|| Candidate {
                entry: entry.clone(),
                nearness: Nearness::Similar,
                differing: Differing { key: true, ..Differing::default() },
            })
        };
        let witness = found.or(nearest);
        let cause = match (result, witness) {
            (Lookup::Hit, _) => None,
            (_, Some(witness)) => Some(Cause::KeyPart(self.shape.difference(&thin::saved_for(&witness.key)))),
            (_, None) => Some(Cause::Unavailable(why.to_owned())),
        };
        Answer {
            result,
            found: found.cloned(),
            witness: witness.filter(|_| cause.is_some()).cloned(),
            cause,
            candidates: witness.map(candidate).into_iter().collect(),
        }
    }

    fn answer_listed(&self, facts: &Facts) -> Answer {
        let candidates = self.candidates(&facts.entries);
        let [full, thin] = self.lookups(&facts.entries);
        let any_version = Version::of_roots([]);
        let request = self.request(self.version.as_ref().unwrap_or(&any_version));
        let mut found = thin::better(&request, full, thin);
        let broken = found.and_then(|found| Some((found, self.gone_parent(found, facts)?)));
        if broken.is_some() {
            found = full;
        }
        let result = self.result_of(found);
        let (cause, witness) = match (broken, result) {
            (Some((thin, cause)), _) => (Some(cause), Some(thin)),
            (None, Lookup::Hit) => (None, None),
            (None, _) => self.cause(facts, found, &candidates),
        };
        Answer { result, found: found.cloned(), cause, witness: witness.cloned(), candidates }
    }

    fn result_of(&self, found: Option<&Entry>) -> Lookup {
        match found {
            Some(entry) if thin::saved_for(&entry.key) == self.key => Lookup::Hit,
            Some(_) => Lookup::Partial,
            None => Lookup::Miss,
        }
    }
}

impl Answer {
    /// The same where what the lookup finds was saved by other path patterns: it is not restored.
    #[must_use]
    pub fn with_other_paths(mut self, theirs: Vec<String>, own: Vec<String>) -> Self {
        self.result = Lookup::Miss;
        self.witness = self.found.take();
        self.cause = Some(Cause::Paths { theirs, own });
        let is_witness = |candidate: &&mut Candidate| Some(&candidate.entry) == self.witness.as_ref();
        self.candidates.iter_mut().filter(is_witness).for_each(|candidate| candidate.differing.paths = true);
        self
    }

    fn miss(cause: Cause) -> Self {
        Answer {
            result: Lookup::Miss,
            found: None,
            cause: Some(cause),
            witness: None,
            candidates: Vec::new(),
        }
    }
}
