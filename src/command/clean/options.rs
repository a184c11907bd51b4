//! What can be asked of `clean`.

use std::path::PathBuf;

use crate::domain::retention::Policy;
use crate::domain::retention::by_hand::Choice;
use crate::domain::unit::Span;

/// What to clean, and how far to go.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CleanOptions {
    /// Which entries go.
    pub policy: Policy,
    /// Where the plan comes from.
    pub source: PlanSource,
    /// Only make the plan.
    pub dry_run: bool,
    /// Where the plan is saved.
    pub plan_out: Option<PathBuf>,
}

/// Where a plan comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PlanSource {
    /// It is made now, by the policy.
    Policy,
    /// It is made now, of the entries that a person chose.
    Chosen(Box<Choice>),
    /// It was saved earlier; it is refused where it is stale.
    Saved(PathBuf),
}

/// The policy for a pull request that was closed just now: its entries go at once, whatever grace others have.
/// How full the store is matters to the sweep, which sees all of it.
pub(crate) fn about_pull_request(policy: Policy, number: u64) -> Policy {
    Policy {
        closed_pull_requests: Some(Span(std::time::Duration::ZERO)),
        budget: None,
        only_pull_request: Some(number),
        ..policy
    }
}
