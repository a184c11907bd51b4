//! Entries in the fallback scopes of open pull requests are kept.

use super::*;
use crate::domain::retention::{PullRequestState, RefState};

/// Pull request 5 into `release`, with a recently used entry; equal keys in its fallback scopes, unused for long.
fn behind(state: PullRequestState, used_days_ago: f64) -> Facts {
    let mut facts = facts();
    facts.pull_requests.insert(5, state);
    facts.bases.insert(5, scope("release"));
    facts.refs.insert(scope("release"), RefState::Exists);
    facts.refs.insert(scope("other"), RefState::Exists);
    facts.entries.push(used(entry("refs/pull/5/merge", "deps-v1", 9.0, 1), used_days_ago));
    for name in ["main", "release", "other"] {
        facts.entries.push(entry(name, "deps-v1", 9.0, 1));
        facts.entries.push(entry(name, "deps-v2", 9.0, 1));
    }
    facts
}

/// Deletes entries that were not used for a day, including the newest on the default branch.
fn unused() -> Policy {
    Policy { unused_for: Some(days(1.0)), abandoned_after: Some(days(2.0)), ..Policy::default() }
}

fn kept(facts: &Facts, policy: &Policy) -> BTreeSet<String> {
    let plan = policy.plan(facts);
    assert_eq!(policy.plan(&carried_out(facts, &plan)).deletions().count(), 0);
    let kept = plan.decisions.iter().filter(|decision| decision.verdict == Verdict::Keep);
    kept.map(|decision| decision.entry.id.0.clone()).collect()
}

#[test]
fn the_equal_entry_in_the_base_and_on_the_default_branch_of_an_open_pull_request_is_kept() {
    let facts = behind(PullRequestState::Open, 0.5);
    let expected = ["refs/pull/5/merge deps-v1", "main deps-v1", "release deps-v1"].map(str::to_owned);
    assert_eq!(kept(&facts, &unused()), expected.clone().into());
    // A directory store does not know that it is closed.
    assert_eq!(kept(&behind(PullRequestState::Untracked, 0.5), &unused()), expected.into());
    let plan = unused().plan(&facts);
    let behind = plan.decisions.iter().find(|d| d.entry.id.0 == "release deps-v1").expect("it is decided");
    assert_eq!(behind.reasons[0].rule, Rule::KeyInUse);
    let text = "pull request 5 uses its key, and also reads refs/heads/release";
    assert_eq!(behind.reasons[0].text, text);
    assert_eq!(behind.despite[0].rule, Rule::Unused);
}

#[test]
fn a_use_long_ago_or_of_a_closed_pull_request_or_of_another_version_keeps_nothing() {
    let closed = PullRequestState::Closed { at: days_ago(0.5) };
    let own = || BTreeSet::from(["refs/pull/5/merge deps-v1".to_owned()]);
    assert_eq!(kept(&behind(PullRequestState::Open, 1.5), &unused()), BTreeSet::new());
    assert_eq!(kept(&behind(closed, 0.5), &unused()), own());
    let mut facts = behind(PullRequestState::Open, 0.5);
    for entry in facts.entries.iter_mut().skip(1) {
        entry.version = Version::of_roots(["other"]);
    }
    assert_eq!(kept(&facts, &unused()), own());
}
