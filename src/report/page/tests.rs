//! The page for no entry, one, many and hostile ones.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::domain::entry::{Entry, EntryId};
use crate::domain::key::Key;
use crate::domain::retention::{Facts, Policy};
use crate::domain::scope::Scope;
use crate::domain::unit::Span;
use crate::domain::version::Version;

fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().expect("a time")
}

fn entry(id: usize, name: &str, key: &str, size: u64) -> Entry {
    let idle = TimeDelta::minutes(i64::try_from(id * 17).expect("a small number"));
    Entry {
        id: EntryId(id.to_string()),
        scope: Scope::new(name).expect(name),
        key: Key::new(key).expect(key),
        version: Version::of_roots(["x"]),
        created_at: now() - idle,
        last_used_at: None,
        size: ByteSize(size),
    }
}

fn page(entries: Vec<Entry>, limit: Option<u64>) -> String {
    let week = Span(std::time::Duration::from_hours(168));
    page_by(&Policy { unused_for: Some(week), ..Policy::default() }, entries, limit)
}

fn page_by(policy: &Policy, entries: Vec<Entry>, limit: Option<u64>) -> String {
    let mut facts = Facts::new(Scope::new("main").expect("a scope"), now());
    for entry in &entries {
        facts.refs.insert(entry.scope.clone(), crate::domain::retention::RefState::Exists);
    }
    facts.entries = entries;
    facts.limit = limit.map(ByteSize);
    let plan = policy.plan(&facts);
    let forecast = facts.limit.map(|limit| Forecast::of(&facts, limit));
    render(&UsagePage {
        store: "GitHub's caches of <octo>/hello",
        facts: &facts,
        plan: &plan,
        policy,
        forecast,
    })
}

#[test]
fn an_empty_store_has_a_page() {
    let html = page(Vec::new(), Some(10_000_000_000));
    assert!(html.contains("There is no entry") && html.contains("caches of &lt;octo&gt;/hello"));
    assert!(!html.contains("NaN") && !html.contains("inf"));
    // A store without a limit, and entries without bytes.
    let html = page(vec![entry(1, "main", "k", 0)], None);
    assert!(html.contains("By key pattern") && !html.contains("NaN") && !html.contains("inf%"));
}

#[test]
fn one_entry_fills_the_picture() {
    let html = page(vec![entry(1, "main", "only-key", 5_000_000)], Some(10_000_000));
    assert_eq!(html.matches("class=\"tile").count(), 1);
    assert!(
        html.contains("<span class=\"value\">5.00 MB</span> <span class=\"note\">50 % of 10.0 MB, 1 entry")
    );
}

#[test]
fn a_store_without_a_limit_is_measured_by_the_budget_of_the_policy() {
    let policy = Policy { budget: Some(ByteSize(20_000_000)), ..Policy::default() };
    let html = page_by(&policy, vec![entry(1, "main", "only-key", 5_000_000)], None);
    assert!(html.contains("25 % of 20.0 MB") && html.contains("until cleaning deletes"), "{html}");
    assert!(!html.contains("key goes\""), "nothing goes");
}

#[test]
fn ten_thousand_entries_make_a_bounded_page() {
    let entries = (0..10_000)
        .map(|id| {
            let name = format!("branch-{}-{}", id % 997, "n".repeat(60));
            entry(id, &name, &format!("pattern{}x-{}", id % 307, "k".repeat(400)), 1_000_000 + id as u64)
        })
        .collect();
    let html = page(entries, Some(10_000_000_000));
    assert!(html.len() < 400_000, "{} bytes", html.len());
    assert!(html.contains("other patterns") && html.contains(" more</td>"));
}

#[test]
fn hostile_names_are_text() {
    let names = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "a\u{202e}b",
        "'--><svg onload=x>",
        "</style>",
    ];
    let entries = names
        .iter()
        .enumerate()
        .map(|(id, name)| {
            entry(id * 2_000, &format!("refs/heads/{}", name.replace([' ', '['], "_")), name, 1_000)
        })
        .collect();
    let html = page(entries, Some(10_000));
    assert!(!html.contains("<script>alert") && !html.contains("<img") && !html.contains("onload=x>"));
    assert!(html.contains(r"a\u{202e}b"));
    assert_eq!(html.matches("<script").count(), 1, "only the page's own");
    assert_eq!(html.matches("</style>").count(), 1);
}

#[test]
fn the_policy_names_the_only_script_and_nothing_is_loaded() {
    let html = page(vec![entry(1, "main", "k", 1)], None);
    let script =
        html.split("<script>").nth(1).and_then(|rest| rest.split("</script>").next()).expect("a script");
    let hash = BASE64.encode(&Sha256::digest(script));
    assert!(html.contains(&format!("script-src 'sha256-{hash}'")));
    assert!(html.contains("default-src 'none'"));
    for loading in [" src=", "url(h", "url(\"", "url(/", "@import", "http:", "https:", "<link"] {
        assert!(!html.contains(loading), "{loading}");
    }
}
