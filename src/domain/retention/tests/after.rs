//! Plans after they were made: stale ones are refused, fingerprints identify them, totals add up.

use super::*;
use crate::domain::retention::PullRequestState;
use crate::domain::scope::Access;

/// Two entries of a closed pull request, and two generations on the default branch.
fn swept() -> Facts {
    let mut facts = facts();
    facts.pull_requests.insert(12, PullRequestState::Closed { at: days_ago(9.0) });
    facts.entries = vec![
        entry("refs/pull/12/merge", "c", 5.0, 1),
        entry("refs/pull/12/head", "c", 5.0, 1),
        entry("main", "c-1234561", 3.0, 5),
        entry("main", "c-1234562", 2.0, 7),
    ];
    facts
}

fn policy() -> Policy {
    Policy { superseded: keep(1), closed_pull_requests: Some(days(3.0)), ..Policy::default() }
}

#[test]
fn a_plan_is_refused_once_the_facts_have_changed() {
    let facts = swept();
    let plan = policy().plan(&facts);
    assert_eq!(plan.deletions().count(), 3);
    let check = |change: &dyn Fn(&mut Facts), expect: Option<&str>| {
        let mut later = facts.clone();
        later.now += TimeDelta::minutes(5);
        change(&mut later);
        assert_eq!(plan.is_stale(&later).map(|stale| stale.to_string()).as_deref(), expect);
    };
    check(&|_| {}, None);
    check(&|f| drop(f.entries.remove(0)), None);
    check(&|f| f.entries.push(entry("main", "c-1234563", -0.001, 1)), None);
    check(&|f| f.entries[3].last_used_at = Some(now()), None);
    check(
        &|f| f.entries[1].last_used_at = Some(now()),
        Some("entry refs/pull/12/head c was used at 2027-01-15 08:00:00 UTC, after the plan was made"),
    );
    check(
        &|f| drop(f.pull_requests.insert(12, PullRequestState::Open)),
        Some(
            "entry refs/pull/12/head c was planned for as of `pull request 12, closed at \
             2027-01-06T08:00:00+00:00`; now it is `pull request 12, open`",
        ),
    );
    check(
        &|f| drop(f.pull_requests.insert(12, PullRequestState::Closed { at: now() })),
        Some(
            "entry refs/pull/12/head c was planned for as of `pull request 12, closed at \
             2027-01-06T08:00:00+00:00`; now it is `pull request 12, closed at 2027-01-15T08:00:00+00:00`",
        ),
    );
    check(
        &|f| f.leases.extend([EntryId("refs/pull/12/merge c".to_owned())]),
        Some("entry refs/pull/12/merge c is being read"),
    );
    check(
        &|f| drop(f.entries.remove(3)),
        Some("entry main c-1234561 was superseded by main c-1234562, which no longer exists"),
    );
    check(
        &|f| f.entries[2].size = ByteSize(2),
        Some("entry main c-1234561 has been replaced since the plan was made"),
    );
    check(
        &|f| f.use_key(key("c-1234561"), &Access::new(scope("main"), None, None)),
        Some("entry main c-1234561 has a key that is in use now"),
    );
    check(
        &|f| f.now = days_ago(1.0),
        Some("the plan was made at 2027-01-15 08:00:00 UTC, after these facts"),
    );
}

#[test]
fn two_plans_share_a_fingerprint_only_when_they_are_equal() {
    let facts = swept();
    let plan = strict().plan(&facts);
    assert_eq!(plan.fingerprint(), strict().plan(&facts).fingerprint());
    let changes: [&dyn Fn(&mut Plan); 7] = [
        &|p| p.now += TimeDelta::nanoseconds(1),
        &|p| p.budget = None,
        &|p| p.decisions[0].verdict = Verdict::Keep,
        &|p| p.decisions[0].entry.size = ByteSize(2),
        &|p| p.decisions[0].reasons[0].text.push('!'),
        &|p| p.decisions.swap(0, 1),
        &|p| drop(p.decisions.pop()),
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut other = plan.clone();
        change(&mut other);
        assert_ne!(other.fingerprint(), plan.fingerprint(), "change {index}");
    }
}

#[test]
fn totals_add_up_by_ref_pattern_and_rule() {
    let totals = policy().plan(&swept()).totals();
    assert_eq!((totals.all.freed.bytes, totals.all.kept.bytes), (ByteSize(7), ByteSize(7)));
    assert_eq!(totals.by_ref[&scope("main")].freed.bytes, ByteSize(5));
    assert_eq!(totals.by_pattern["c-*"].kept.entries, 1);
    assert_eq!(totals.by_rule[&Rule::ClosedPullRequest].entries, 2);
    assert_eq!(totals.all.freed.to_string(), "7 B in 3 entries");
}
