//! The table `[clean]`: its meaning and its findings.

use super::{found, load};
use crate::domain::retention::{Guard, Headroom, Policy};
use crate::domain::unit::{ByteSize, Span};

fn days(count: u64) -> Span {
    Span(std::time::Duration::from_secs(count * 86_400))
}

fn policy(text: &str) -> Policy {
    load(text).expect("a configuration").spec.clean
}

#[test]
fn every_rule_is_read() {
    let policy = policy(
        r#"
[cache.ccache]
path = "ccache"
key = "ccache-v4-{os}-{sha}"

[clean]
closed-pull-requests = { grace = "3d" }
deleted-refs = { grace = "0s" }
superseded = { keep = 2 }
unused-for = "7d"
older-than = "4w"
budget = "9GB"
headroom = "1GB"
protect = ["externaldata-*", "refs/tags/*"]
recent = "12h"
abandoned-after = "14d"
guard = { percent = 30, lasts = "2d" }
"#,
    );
    let expect = Policy {
        closed_pull_requests: Some(days(3)),
        deleted_refs: Some(days(0)),
        superseded: std::num::NonZeroUsize::new(2),
        unused_for: Some(days(7)),
        older_than: Some(days(28)),
        budget: Some(ByteSize(9_000_000_000)),
        low_mark: None,
        protect_elsewhere: None,
        keeps_used: true,
        headroom: Headroom::Bytes(ByteSize(1_000_000_000)),
        protect: policy.protect.clone(),
        recent: Span(std::time::Duration::from_hours(12)),
        abandoned_after: Some(days(14)),
        guard: Guard { percent: 30, lasts: days(2) },
        patterns: policy.patterns.clone(),
        only_pull_request: None,
        only_ref: None,
    };
    assert_eq!(policy, expect);
    assert_eq!(policy.protect.globs(), ["externaldata-*", "refs/tags/*"]);
    assert_eq!(policy.patterns.len(), 1);
    assert_eq!(policy.patterns[0].source(), "ccache-v4-{os}-{sha}");
}

#[test]
fn rules_that_are_not_given_are_off_and_without_the_table_unreachable_entries_are_deleted() {
    assert_eq!(
        policy("[clean]\nunused-for = '7d'"),
        Policy { unused_for: Some(days(7)), ..Policy::default() }
    );
    assert_eq!(policy("[clean]"), Policy::default());
    assert_eq!(policy(""), Policy::unreachable());
}

#[test]
fn mistakes() {
    let each = [
        "closed-pull-requests = '3d'",
        "closed-pull-requests = {}",
        "deleted-refs = { grace = '3 days' }",
        "superseded = { keep = 0 }",
        "superseded = { keep = -1 }",
        "superseded = { keep = '1' }",
        "superseded = 1",
        "unused-for = '0s'",
        "budget = '0'",
        "budget = '90%'",
        "budget = '9GB'\nheadroom = '9GB'",
        "headroom = '1GB'",
        "protect = 'a-*'",
        "protect = ['[', '']",
        "guard = { percent = 50 }",
        "superseded = { keep = 1 }\nguard = { percent = 101 }",
        "unused-after = '7d'",
    ];
    let texts: Vec<String> = each.iter().map(|text| format!("[clean]\n{text}")).collect();
    insta::assert_snapshot!(found(&texts.iter().map(String::as_str).collect::<Vec<_>>()), @r#"
2:24 error: `clean.closed-pull-requests` must be a table, not a string | write `closed-pull-requests = { grace = "3d" }`
2:1 error: `[clean.closed-pull-requests]` has no `grace` | add `grace`: how long they are kept
2:26 error: `days` in `3 days` is not a unit; write one of s, m, h, d, w | (none)
2:23 error: `keep` cannot be 0 | write at least 1; with 0, restore keys would find nothing
2:23 error: `keep` cannot be -1 | write at least 1; with 0, restore keys would find nothing
2:23 error: `clean.superseded.keep` must be a whole number, not a string | (none)
2:14 error: `clean.superseded` must be a table, not a whole number | write `superseded = { keep = 1 }`
2:14 error: a span of zero would delete every entry | write how long entries are kept, such as `"7d"`
2:10 error: a budget of zero would delete every entry | write a size such as `"9GB"`
2:10 error: `%` in `90%` is not a unit; write one of B, kB, MB, GB, TB, KiB, MiB, GiB, TiB | (none)
3:12 error: a headroom of 9.00 GB uses up the budget of 9.00 GB | write the size of one entry, or omit it
2:12 warning: `headroom` has no effect without a `budget` | add `budget = "9GB"`
2:11 error: `clean.protect` must be a list of strings, not a string | write `protect = ["a-*"]`
2:12 error: `[` is not a glob: unclosed character class; missing ']' | write a glob for keys such as `externaldata-*`, or for refs such as `refs/tags/*`
2:17 error: `` is not a glob: it is empty | write a glob for keys such as `externaldata-*`, or for refs such as `refs/tags/*`
1:1 warning: `guard` has no effect without `superseded` | add `superseded = { keep = 1 }`
3:21 error: `percent` must be from 0 to 100 | write `percent = 50`
2:1 error: unknown field `unused-after` in `[clean]` | did you mean `unused-for`?
"#);
}

#[test]
fn caches_that_may_exceed_the_budget_are_a_warning() {
    let lane = |name: &str| {
        format!("[cache.{name}]\npath = '{name}'\nkey = '{name}'\ntrim = {{ max-size = '5GB' }}\n")
    };
    let text = format!("{}{}[clean]\nbudget = '9GB'", lane("a"), lane("b"));
    insta::assert_snapshot!(found(&[&text]), @r#"10:10 warning: the caches may grow to 10.0 GB, which is more than the budget of 9.00 GB | lower `max-size` in `trim`, or raise `budget`"#);
}
