//! Why a lookup misses, or hits: what was asked for against what there is, and the one field that differs.
//!
//! [`Question`] is the lookup, [`Stock`] what is known of the store; [`Question::answer`] compares them and touches
//! nothing. Of several entries that almost answer, the nearest one counts: the same key before a key that a prefix
//! matches, fewer differing fields before more, then the newest.

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
use super::version::Version;
use shape::{KeyShape, PartDifference};

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The primary key.
    pub key: Key,
    /// What its parts are.
    pub shape: KeyShape,
    /// Prefixes to fall back to, in order.
    pub restore_keys: Vec<Key>,
    /// The version that a match must have; without one every version matches.
    pub version: Option<Version>,
    /// The scopes that the job reads, in order.
    pub scopes: Vec<Scope>,
    /// Entries that this machine remembers, the newest first.
    pub remembered: Vec<Remembered>,
}

/// An entry that was saved or restored here before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Its key.
    pub key: Key,
    /// Its version.
    pub version: Version,
    /// Its scope.
    pub scope: Scope,
    /// When.
    pub at: DateTime<Utc>,
    /// Whether it was saved then; else restored.
    pub saved: bool,
}

/// What is known of the store.
#[derive(Debug, Clone, PartialEq)]
pub enum Stock<'a> {
    /// Every entry, and the states of their refs.
    Listed(&'a Facts),
    /// Only what lookups find.
    LookedUp {
        /// What answers the question.
        found: Option<Box<Entry>>,
        /// The newest entry with the longest part of the key, where nothing answers.
        nearest: Option<Box<Entry>>,
        /// Why there is no list.
        why: String,
    },
    /// The job may not read it.
    Denied {
        /// Who says so.
        why: String,
    },
}

/// What a lookup comes to.
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
    /// Entries are there, with another layout or compression.
    Version,
    /// Entries are there, in scopes that the job does not read.
    Scope,
    /// The key differs in these parts from the nearest one.
    KeyPart(Vec<PartDifference>),
    /// The key differs in letter case or space only.
    Spelling,
    /// It was there and is no more.
    Evicted {
        /// What is remembered of it.
        remembered: Remembered,
        /// What can have removed it, with its facts.
        why: String,
    },
    /// The job may not read the store.
    Denied(String),
    /// Nothing like it is there.
    NothingSaved,
    /// The store does not tell enough.
    Untold(String),
}

impl Cause {
    /// Its name in documents: the field that differs.
    pub fn name(&self) -> &'static str {
        match self {
            Cause::Version => "version",
            Cause::Scope => "scope",
            Cause::KeyPart(_) => "key-part",
            Cause::Spelling => "spelling",
            Cause::Evicted { .. } => "evicted",
            Cause::Denied(_) => "denied",
            Cause::NothingSaved => "nothing-saved",
            Cause::Untold(_) => "untold",
        }
    }
}

/// Which fields of an entry differ from what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Differing {
    /// Its key, more than a prefix allows.
    pub key: bool,
    /// Its layout and compression.
    pub version: bool,
    /// Its scope is none that the job reads.
    pub scope: bool,
}

impl Differing {
    /// The fields in words, in the order in which they are told.
    pub fn names(self) -> Vec<&'static str> {
        let fields = [(self.version, "version"), (self.scope, "scope"), (self.key, "key")];
        fields.into_iter().filter(|(differs, _)| *differs).map(|(_, name)| name).collect()
    }
}

/// How near the key of an entry is to what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Nearness {
    /// The same key.
    Same,
    /// The same but for letter case and space.
    Spelling,
    /// The key or a restore key is a prefix of it.
    Prefix,
    /// Of the same shape, or with a long common beginning.
    Similar,
}

/// An entry that answers or almost does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The entry.
    pub entry: Entry,
    /// How near its key is.
    pub nearness: Nearness,
    /// What else differs.
    pub differing: Differing,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What a lookup comes to.
    pub result: Lookup,
    /// What it finds.
    pub found: Option<Entry>,
    /// Why the key itself is not found; absent where it is.
    pub cause: Option<Cause>,
    /// The entry that shows the cause.
    pub witness: Option<Entry>,
    /// The entries that were compared, the nearest first.
    pub candidates: Vec<Candidate>,
}

impl Question {
    /// Compares what is asked for with what there is.
    pub fn answer(&self, stock: &Stock<'_>) -> Answer {
        match stock {
            Stock::Denied { why } => Answer::miss(Cause::Denied(why.clone())),
            Stock::LookedUp { found, nearest, why } => {
                self.answer_looked_up(found.as_deref(), nearest.as_deref(), why)
            }
            Stock::Listed(facts) => self.answer_listed(facts),
        }
    }

    /// Whether a lookup with a prefix finds this key.
    fn is_prefix_of(&self, key: &Key) -> bool {
        std::iter::once(&self.key).chain(&self.restore_keys).any(|wanted| wanted.is_prefix_of(key))
    }

    /// What a lookup finds among these entries.
    fn lookup<'a>(&self, entries: &'a [Entry]) -> Option<&'a Entry> {
        let of_version = |version: &Version| {
            let (key, restore_keys) = (self.key.clone(), self.restore_keys.clone());
            LookupRequest { key, restore_keys, version: version.clone(), scopes: self.scopes.clone() }
        };
        if let Some(version) = &self.version {
            return of_version(version).choose(entries);
        }
        let versions: BTreeSet<&Version> = entries.iter().map(|entry| &entry.version).collect();
        let found = versions.into_iter().filter_map(|version| of_version(version).choose(entries));
        found.max_by_key(|entry| (entry.key == self.key, entry.created_at))
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
            (_, Some(witness)) => Some(Cause::KeyPart(self.shape.difference(&witness.key))),
            (_, None) => Some(Cause::Untold(why.to_owned())),
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
        let found = self.lookup(&facts.entries);
        let result = self.result_of(found);
        let (cause, witness) = match result {
            Lookup::Hit => (None, None),
            _ => self.cause(facts, found, &candidates),
        };
        Answer { result, found: found.cloned(), cause, witness: witness.cloned(), candidates }
    }

    fn result_of(&self, found: Option<&Entry>) -> Lookup {
        match found {
            Some(entry) if entry.key == self.key => Lookup::Hit,
            Some(_) => Lookup::Partial,
            None => Lookup::Miss,
        }
    }
}

impl Answer {
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
