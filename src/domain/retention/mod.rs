//! What to keep and what to delete: policy + facts → a [`Plan`] with reasons for every entry.
//!
//! [`Policy::plan`] is the whole engine. It decides from [`Facts`] that an adapter collected (entries, states of
//! pull requests and refs, leases, the time) and has no effects. A dry run shows the plan, a real run applies the
//! same value. `docs/design/retention.md` explains the rules and their order.
//!
//! Read [`policy`] and [`facts`] for what goes in, [`plan`] and [`stale`] for what comes out, [`pattern`]
//! for what counts as a generation of the same thing, and [`usage`] for reports without a policy.

pub mod elapsed;
pub mod pattern;

pub mod facts;
pub mod policy;

pub mod budget;
pub mod by_hand;
mod candidate;
mod decide;
mod generation;
mod in_use;
mod needs;
pub mod parents;
pub mod plan;
pub mod stale;

pub mod usage;

pub use elapsed::Elapsed;
pub use facts::{Facts, PullRequestState, RefState, ScopeState};
pub use pattern::{DeclaredPattern, Pattern};
pub use plan::{Decision, Plan, Reason, Rule, Verdict};
pub use policy::{Guard, Headroom, Policy, Protect};
pub use stale::Stale;

#[cfg(test)]
mod tests;
