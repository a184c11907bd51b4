//! The outcome of cleaning, as JSON.

use std::collections::BTreeMap;

use serde::Serialize;

use super::plan::PlanDocument;
use crate::domain::clean::{CleanOutcome, End, Fate, Round};
use crate::domain::retention::plan::Amount;

/// What `clean --json` and `delete --json` print. The plan is the same whether it was carried out or not.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct CleanDocument {
    /// `clean` or `delete`.
    pub command: &'static str,
    /// The plan.
    pub plan: PlanDocument,
    /// `dry-run`, `done`, `failed`, `not-permitted` or `stopped`.
    pub end: &'static str,
    /// Why it was stopped or is not permitted.
    pub reason: Option<String>,
    /// What was deleted.
    pub freed: Sum,
    /// Entries that were planned for deletion and stay, since a reader uses them or their pull request was opened again.
    pub spared: Sum,
    /// What could not be deleted.
    pub failed: Sum,
    /// What was not tried.
    pub not_tried: Sum,
    /// What was done, plan by plan; those after the first are about what became due meanwhile.
    pub rounds: Vec<RoundDocument>,
    /// What a rule would delete and may not go, by the reason.
    pub blocked: BTreeMap<&'static str, Sum>,
    /// Uploads that did not end.
    pub swept: Option<SweptDocument>,
    /// Requests that it took.
    pub calls: Option<Calls>,
    /// What the store could not report.
    pub notes: Vec<String>,
}

/// A number of entries and their total size.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Sum {
    /// Entries.
    pub entries: usize,
    /// Bytes.
    pub bytes: u64,
}

/// The entries of one plan by what happened to them, as ids.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct RoundDocument {
    /// Deleted.
    pub deleted: Vec<String>,
    /// Gone already.
    pub already_gone: Vec<String>,
    /// Stay for a reason that was not there when the plan was made.
    pub spared: Vec<Failure>,
    /// Could not be deleted.
    pub failed: Vec<Failure>,
    /// Not tried.
    pub not_tried: Vec<String>,
}

/// Uploads that did not end.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct SweptDocument {
    /// Those of dead processes, which were removed.
    pub removed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are in progress, or may be.
    pub live: u64,
}

/// An entry that was not deleted.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    /// Its id.
    pub id: String,
    /// Why not.
    pub why: String,
}

/// Requests to a service that limits them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Calls {
    /// All of them.
    pub requests: u64,
    /// Questions in `GraphQL`.
    pub graphql: u64,
    /// Deletions.
    pub deletions: u64,
    /// Repetitions.
    pub repeated: u64,
    /// Seconds waited for limits.
    pub waited: f64,
}

impl From<Amount> for Sum {
    fn from(amount: Amount) -> Self {
        Sum { entries: amount.entries, bytes: amount.bytes.0 }
    }
}

impl From<&Round> for RoundDocument {
    fn from(round: &Round) -> Self {
        let mut document = RoundDocument::default();
        for attempt in &round.attempts {
            let id = attempt.entry.id.0.clone();
            match &attempt.fate {
                Fate::Deleted => document.deleted.push(id),
                Fate::AlreadyGone => document.already_gone.push(id),
                Fate::Kept(why) => document.spared.push(Failure { id, why: why.clone() }),
                Fate::Failed(why) => document.failed.push(Failure { id, why: why.clone() }),
                Fate::NotTried => document.not_tried.push(id),
            }
        }
        document
    }
}

impl From<&CleanOutcome> for CleanDocument {
    fn from(outcome: &CleanOutcome) -> Self {
        let (end, reason) = match &outcome.end {
            End::DryRun => ("dry-run", None),
            End::Done => ("done", None),
            End::Failed => ("failed", None),
            End::NotPermitted(why) => ("not-permitted", Some(why.clone())),
            End::Stopped(why) => ("stopped", Some(why.clone())),
        };
        CleanDocument {
            command: if outcome.by_hand { "delete" } else { "clean" },
            plan: PlanDocument::of(&outcome.plan, &outcome.location),
            end,
            reason,
            freed: outcome.freed().into(),
            spared: outcome.kept().into(),
            failed: outcome.failed().into(),
            not_tried: outcome.not_tried().into(),
            rounds: outcome.rounds.iter().map(RoundDocument::from).collect(),
            blocked: outcome
                .plan
                .blocked()
                .into_iter()
                .map(|(rule, sum)| (rule.name(), sum.into()))
                .collect(),
            swept: outcome.swept.map(|swept| SweptDocument {
                removed: swept.removed,
                bytes: swept.bytes.0,
                live: swept.live,
            }),
            calls: outcome.calls.map(|calls| Calls {
                requests: calls.requests,
                graphql: calls.graphql,
                deletions: calls.deletions,
                repeated: calls.repeated,
                waited: calls.waited.as_secs_f64(),
            }),
            notes: outcome.notes.clone(),
        }
    }
}
