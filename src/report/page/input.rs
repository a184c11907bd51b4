//! What the page is made of.

use crate::domain::retention::usage::Forecast;
use crate::domain::retention::{Facts, Plan, Policy};
use crate::domain::unit::ByteSize;

/// What the page is about.
pub(crate) struct UsagePage<'a> {
    /// The store, for people.
    pub store: &'a str,
    /// What is known of it.
    pub facts: &'a Facts,
    /// What cleaning would do now.
    pub plan: &'a Plan,
    /// By which rules.
    pub policy: &'a Policy,
    /// How fast it fills, where there is a limit.
    pub forecast: Option<Forecast>,
}

impl UsagePage<'_> {
    /// What the bytes are to stay below: the store's own limit, else the policy's budget.
    pub(super) fn roof(&self) -> Option<ByteSize> {
        self.facts.limit.or(self.policy.budget)
    }
}
