//! The outcome of cleaning: a plan, and the result for each entry that it deletes.

use std::fmt;
use std::time::Duration;

use super::entry::Entry;
use super::retention::plan::Amount;
use super::retention::{Pattern, Plan};
use super::unit::{ByteSize, counted};

/// The outcome of cleaning a store.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanOutcome {
    /// Whether a person chose the entries, and no policy.
    pub by_hand: bool,
    /// Human-readable location of the store.
    pub location: String,
    /// The plan that was shown or applied.
    pub plan: Plan,
    /// What was done; empty on a dry run. The first round applies the plan, later ones delete what has become
    /// due in the meantime.
    pub rounds: Vec<Round>,
    /// Why cleaning ended.
    pub end: End,
    /// Unfinished uploads; `None` on a dry run, or if the store cannot list them.
    pub swept: Option<Swept>,
    /// API requests; `None` if the store does not count them.
    pub calls: Option<ApiCalls>,
    /// Facts that the store could not determine, one sentence each; the affected entries are kept.
    pub notes: Vec<String>,
}

/// One application of a plan.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Round {
    /// The entries that the plan deletes, in its order.
    pub attempts: Vec<Attempt>,
}

/// The attempt to delete an entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The entry.
    pub entry: Entry,
    /// The key pattern that it is a generation of.
    pub pattern: Pattern,
    /// The result.
    pub fate: Fate,
}

/// The result of an attempt to delete an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was deleted.
    Deleted,
    /// It had already been deleted.
    AlreadyGone,
    /// It is kept after all, for a reason that arose after the plan was made: it is being read, or its pull request
    /// was reopened.
    Kept(String),
    /// It could not be deleted.
    Failed(String),
    /// It was not attempted: earlier failures showed that it would fail, or the deadline had passed.
    NotTried,
}

/// Why cleaning ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was a dry run.
    DryRun,
    /// Everything was done.
    Done,
    /// Some entries could not be deleted.
    Failed,
    /// The token lacks a permission.
    NotPermitted(String),
    /// It was stopped by a limit, the deadline or an interruption.
    Stopped(String),
}

/// Unfinished uploads in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Those of dead processes, which were removed.
    pub removed: u64,
    /// Their total size.
    pub bytes: ByteSize,
    /// Those that are, or may be, in progress.
    pub live: u64,
}

/// Requests to a rate-limited API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ApiCalls {
    /// All requests, including retries.
    pub requests: u64,
    /// Of these, `GraphQL` queries.
    pub graphql: u64,
    /// Of these, deletions.
    pub deletions: u64,
    /// Of these, retries after a failure or a rate limit.
    pub repeated: u64,
    /// Time spent waiting for rate limits.
    pub waited: Duration,
}

impl fmt::Display for ApiCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ApiCalls { requests, graphql, deletions, repeated, waited } = self;
        write!(
            f,
            "{} ({}, {graphql} in GraphQL, {repeated} repeated)",
            counted(*requests, "request"),
            counted(*deletions, "deletion")
        )?;
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
    /// The attempts of all rounds.
    pub fn attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.rounds.iter().flat_map(|round| &round.attempts)
    }

    /// Amount that this run deleted, as opposed to another process.
    pub fn freed(&self) -> Amount {
        self.amount(|fate| *fate == Fate::Deleted)
    }

    /// Amount that was kept after all.
    pub fn kept(&self) -> Amount {
        self.amount(|fate| matches!(fate, Fate::Kept(_)))
    }

    /// Amount that could not be deleted.
    pub fn failed(&self) -> Amount {
        self.amount(|fate| matches!(fate, Fate::Failed(_)))
    }

    /// Amount that was not attempted.
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
