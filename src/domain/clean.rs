//! What came of cleaning: a plan, and what became of each entry that was to go.

use std::fmt;
use std::time::Duration;

use super::entry::Entry;
use super::retention::plan::Amount;
use super::retention::{Pattern, Plan};
use super::unit::ByteSize;

/// What came of cleaning a store.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanOutcome {
    /// The store, for people.
    pub location: String,
    /// The plan that was shown, or carried out.
    pub plan: Plan,
    /// What was done; nothing on a dry run. The first round carries the plan out, later ones what became
    /// due meanwhile.
    pub rounds: Vec<Round>,
    /// Why it ended.
    pub end: End,
    /// What was found of uploads that did not end; nothing on a dry run, or where it cannot be told.
    pub swept: Option<Swept>,
    /// Requests that it took, where they are counted.
    pub calls: Option<ApiCalls>,
    /// What the store could not tell, one sentence each; such entries are kept.
    pub notes: Vec<String>,
}

/// A plan that was carried out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Round {
    /// Every entry that was to go, in the order of the plan.
    pub attempts: Vec<Attempt>,
}

/// An entry that was to go.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The entry.
    pub entry: Entry,
    /// What it is a generation of.
    pub pattern: Pattern,
    /// What became of it.
    pub fate: Fate,
}

/// What became of an entry that was to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was deleted.
    Deleted,
    /// It was gone already.
    AlreadyGone,
    /// It stays, for this reason that was not there when the plan was made: somebody reads it, or its pull request
    /// was opened again.
    Spared(String),
    /// It could not be deleted.
    Failed(String),
    /// It was not tried, since what had happened before showed that it would fail, or time was up.
    NotTried,
}

/// Why cleaning ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// A dry run: nothing was to be done.
    DryRun,
    /// Nothing is left to do.
    Done,
    /// Some entries could not be deleted.
    Failed,
    /// A right is missing.
    NotPermitted(String),
    /// It was stopped: a limit, the deadline, an interruption.
    Stopped(String),
}

/// Uploads that did not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Those of dead processes, which were removed.
    pub removed: u64,
    /// Their bytes.
    pub bytes: ByteSize,
    /// Those that are in progress, or may be.
    pub live: u64,
}

/// Requests to a service that limits them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApiCalls {
    /// Requests, repeated ones included.
    pub requests: u64,
    /// Of these: questions in `GraphQL`.
    pub graphql: u64,
    /// Of these: deletions.
    pub deletions: u64,
    /// Of these: repetitions after a failure or a limit.
    pub repeated: u64,
    /// Time that was waited for limits.
    pub waited: Duration,
}

impl fmt::Display for ApiCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApiCalls { requests, graphql, deletions, repeated, waited } = self;
        write!(f, "{requests} requests ({deletions} deletions, {graphql} in GraphQL, {repeated} repeated)")?;
        match waited.as_secs() {
            0 => Ok(()),
            seconds => write!(f, ", {seconds} s waited for limits"),
        }
    }
}

impl fmt::Display for Swept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Swept { removed, bytes, live } = self;
        write!(f, "{removed} unfinished uploads of {bytes} removed, {live} in progress")
    }
}

impl CleanOutcome {
    /// All that was tried, over all rounds.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.rounds.iter().flat_map(|round| &round.attempts)
    }

    /// What was freed: deleted here, not by another.
    pub fn freed(&self) -> Amount {
        self.amount(|fate| *fate == Fate::Deleted)
    }

    /// What was spared after all.
    pub fn spared(&self) -> Amount {
        self.amount(|fate| matches!(fate, Fate::Spared(_)))
    }

    /// What could not be deleted.
    pub fn failed(&self) -> Amount {
        self.amount(|fate| matches!(fate, Fate::Failed(_)))
    }

    /// What was not tried.
    pub fn not_tried(&self) -> Amount {
        self.amount(|fate| *fate == Fate::NotTried)
    }

    fn amount(&self, counts: impl Fn(&Fate) -> bool) -> Amount {
        let mut amount = Amount::default();
        self.attempts()
            .filter(|attempt| counts(&attempt.fate))
            .for_each(|attempt| amount.add(attempt.entry.size));
        amount
    }
}
