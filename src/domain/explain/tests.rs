//! The cause that is found for each way in which a lookup misses.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::domain::entry::EntryId;
use crate::domain::unit::ByteSize;

fn now() -> DateTime<Utc> {
    "2026-11-20T12:00:00Z".parse().expect("a time")
}

fn key(text: &str) -> Key {
    Key::new(text).expect(text)
}

fn scope(name: &str) -> Scope {
    Scope::new(name).expect(name)
}

fn version(root: &str) -> Version {
    Version::of_roots([root])
}

fn entry(name: &str, key_text: &str, root: &str, hours: i64) -> Entry {
    Entry {
        id: EntryId(format!("{name}/{key_text}/{root}")),
        scope: scope(name),
        key: key(key_text),
        version: version(root),
        created_at: now() - TimeDelta::hours(hours),
        last_used_at: None,
        size: ByteSize(1_000),
    }
}

fn question() -> Question {
    Question {
        key: key("c-2"),
        shape: KeyShape::of_key(&key("c-2")),
        restore_keys: vec![key("c-")],
        version: Some(version("x")),
        thin_version: Some(Version::of_thin_roots(["x"])),
        scopes: vec![scope("topic"), scope("main")],
        remembered: Vec::new(),
    }
}

fn answer(question: &Question, entries: Vec<Entry>) -> (Lookup, Option<&'static str>, Option<String>) {
    let mut facts = Facts::new(scope("main"), now());
    facts.entries = entries;
    let answer = question.answer(&StoreView::Listed(&facts));
    (answer.result, answer.cause.map(|cause| cause.name()), answer.witness.map(|entry| entry.id.0))
}

#[test]
fn the_nearest_entry_names_the_field() {
    let check = |entries: Vec<Entry>, result: Lookup, cause: Option<&'static str>, witness: Option<&str>| {
        assert_eq!(answer(&question(), entries), (result, cause, witness.map(str::to_owned)));
    };
    check(vec![entry("main", "c-2", "x", 1)], Lookup::Hit, None, None);
    check(vec![], Lookup::Miss, Some("nothing-saved"), None);
    check(vec![entry("main", "other", "x", 1)], Lookup::Miss, Some("nothing-saved"), None);
    check(vec![entry("main", "c-2", "y", 1)], Lookup::Miss, Some("version"), Some("main/c-2/y"));
    check(
        vec![entry("refs/pull/1/merge", "c-2", "x", 1)],
        Lookup::Miss,
        Some("scope"),
        Some("refs/pull/1/merge/c-2/x"),
    );
    check(vec![entry("main", "C-2", "x", 1)], Lookup::Miss, Some("spelling"), Some("main/C-2/x"));
    check(vec![entry("main", "c-1", "x", 1)], Lookup::Partial, Some("key-part"), Some("main/c-1/x"));
    check(vec![entry("main", "c-1", "y", 1)], Lookup::Miss, Some("version"), Some("main/c-1/y"));
}

#[test]
fn the_same_key_counts_before_a_prefix_and_fewer_fields_before_more() {
    let entries = vec![
        entry("main", "c-1", "x", 1),
        entry("refs/pull/1/merge", "c-2", "y", 1),
        entry("refs/pull/2/merge", "c-2", "x", 9),
    ];
    let expected = (Lookup::Partial, Some("scope"), Some("refs/pull/2/merge/c-2/x".to_owned()));
    assert_eq!(answer(&question(), entries), expected);
}

#[test]
fn without_restore_keys_a_similar_key_shows_its_part() {
    let question = Question { restore_keys: Vec::new(), ..question() };
    let expected = (Lookup::Miss, Some("key-part"), Some("main/c-1/x".to_owned()));
    assert_eq!(answer(&question, vec![entry("main", "c-1", "x", 1)]), expected);
    let unreadable = answer(&question, vec![entry("refs/pull/1/merge", "c-1", "x", 1)]);
    assert_eq!(unreadable.1, Some("nothing-saved"));
}

#[test]
fn without_a_version_every_version_hits() {
    let question = Question { version: None, ..question() };
    assert_eq!(answer(&question, vec![entry("main", "c-2", "y", 1)]).0, Lookup::Hit);
}

#[test]
fn a_recorded_entry_that_no_longer_exists_was_evicted_and_the_facts_are_cited() {
    let check = |days: i64, limit: Option<u64>, expect: &str| {
        let at = now() - TimeDelta::days(days);
        let remembered =
            Remembered { key: key("c-2"), version: version("x"), scope: scope("main"), at, saved: true };
        let question = Question { remembered: vec![remembered], ..question() };
        let mut facts = Facts::new(scope("main"), now());
        facts.entries = vec![entry("main", "c-1", "x", 1)];
        facts.limit = limit.map(ByteSize);
        let answer = question.answer(&StoreView::Listed(&facts));
        assert_eq!(answer.result, Lookup::Partial);
        let Some(Cause::Evicted { why, .. }) = answer.cause else { panic!("{:?}", answer.cause) };
        assert!(why.contains(expect), "{why}");
    };
    check(8, Some(1_000_000), "the last use known here was 8 d ago");
    check(1, Some(1_050), "holds 1.00 kB of 1.05 kB");
    check(1, Some(1_000_000), "it was deleted");
    check(8, None, "evicts nothing itself");
}

/// A thin entry of the cache `x` on main.
fn thin(key_text: &str, hours: i64, parents: &[&Entry]) -> Entry {
    let ids = parents.iter().map(|parent| ShortId::of(&parent.key, &parent.version)).collect();
    let stored = ThinKey::new(&key(key_text), ByteSize(9 << 20), ids).expect("a thin key").to_key();
    Entry { version: Version::of_thin_roots(["x"]), ..entry("main", stored.as_str(), "x", hours) }
}

#[test]
fn the_better_of_a_full_and_a_thin_entry_is_found() {
    let base = entry("main", "c-1", "x", 9);
    let check = |entries: Vec<Entry>, result: Lookup, cause: Option<&'static str>, witness: Option<&str>| {
        assert_eq!(answer(&question(), entries), (result, cause, witness.map(str::to_owned)));
    };
    check(vec![base.clone(), thin("c-2", 8, &[&base])], Lookup::Hit, None, None);
    let newer = thin("c-3", 8, &[&base]);
    let id = newer.id.0.clone();
    check(vec![base.clone(), newer], Lookup::Partial, Some("key-part"), Some(&id));
    let exact = entry("main", "c-2", "x", 9);
    check(vec![exact.clone(), thin("c-3", 8, &[&exact])], Lookup::Hit, None, None);
    let of_other = Question { thin_version: None, ..question() };
    let found = answer(&of_other, vec![base.clone(), thin("c-2", 8, &[&base])]);
    assert_eq!((found.0, found.1), (Lookup::Partial, Some("version")));
    let any = Question { version: None, thin_version: None, ..question() };
    assert_eq!(answer(&any, vec![base.clone(), thin("c-2", 8, &[&base])]).0, Lookup::Hit);
}

#[test]
fn a_thin_entry_whose_parent_is_gone_is_not_found_and_shows_why() {
    let base = entry("main", "c-0", "x", 9);
    let broken = thin("c-2", 8, &[&base]);
    let expected = |result| (result, Some("parent-gone"), Some(broken.id.0.clone()));
    assert_eq!(answer(&question(), vec![broken.clone()]), expected(Lookup::Miss));
    let unread = entry("refs/pull/1/merge", "c-0", "x", 9);
    assert_eq!(answer(&question(), vec![broken.clone(), unread]), expected(Lookup::Miss));
    let instead = entry("main", "c-1", "x", 10);
    assert_eq!(answer(&question(), vec![broken.clone(), instead]), expected(Lookup::Partial));
    let remembered = Remembered {
        key: base.key.clone(),
        version: base.version.clone(),
        scope: scope("main"),
        at: now() - TimeDelta::hours(9),
        saved: true,
    };
    let mut facts = Facts::new(scope("main"), now());
    facts.entries = vec![broken];
    let cause = |question: &Question| question.answer(&StoreView::Listed(&facts)).cause;
    let id = ShortId::of(&base.key, &base.version);
    let unknown = Cause::ParentGone { is_base: true, parent: GoneParent::Unknown { id } };
    assert_eq!(cause(&question()), Some(unknown));
    let known = cause(&Question { remembered: vec![remembered.clone()], ..question() });
    let Some(Cause::ParentGone { parent: GoneParent::Remembered { remembered: found, why }, .. }) = known
    else {
        panic!("{known:?}")
    };
    assert_eq!(found, remembered);
    assert!(why.contains("evicts nothing itself"), "{why}");
}

#[test]
fn lookups_alone_explain_hits_and_key_parts_and_nothing_else() {
    let name = |found: Option<Entry>, nearest: Option<Entry>| {
        let view = StoreView::LookedUp {
            found: found.map(Box::new),
            nearest: nearest.map(Box::new),
            why: "no list".to_owned(),
        };
        let answer = question().answer(&view);
        (answer.result, answer.cause.map(|cause| cause.name()))
    };
    assert_eq!(name(Some(entry("main", "c-2", "x", 1)), None), (Lookup::Hit, None));
    assert_eq!(name(Some(entry("main", "c-1", "x", 1)), None), (Lookup::Partial, Some("key-part")));
    let base = entry("main", "c-0", "x", 9);
    assert_eq!(name(Some(thin("c-2", 1, &[&base])), None), (Lookup::Hit, None));
    assert_eq!(name(None, Some(entry("main", "cc", "x", 1))), (Lookup::Miss, Some("key-part")));
    assert_eq!(name(None, None), (Lookup::Miss, Some("unavailable")));
}
