//! An entry while a plan is made: what was collected about it so far.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::facts::ScopeState;
use super::pattern::Pattern;
use super::plan::Reason;
use crate::domain::entry::{Entry, EntryId};

/// An entry with what was collected about it so far.
pub(super) struct Candidate<'a> {
    pub(super) entry: &'a Entry,
    pub(super) state: &'a ScopeState,
    pub(super) pattern: Pattern,
    /// The last use, clamped to the time of the plan.
    pub(super) last_use: DateTime<Utc>,
    /// Reasons that keep it regardless of the rules, most important first.
    pub(super) holds: Vec<Reason>,
    /// Reasons to delete it.
    pub(super) wants: Vec<Reason>,
    /// Reasons to keep it that do not override a rule.
    pub(super) notes: Vec<Reason>,
    pub(super) superseded_by: Arc<[EntryId]>,
}

impl Candidate<'_> {
    /// Whether something would delete it and nothing holds it.
    pub(super) fn goes(&self) -> bool {
        self.holds.is_empty() && !self.wants.is_empty()
    }
}
