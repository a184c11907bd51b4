//! Which entries a list, a report or a deletion by hand is about.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::entry::{Entry, EntryId};
use super::scope::Scope;
use super::thin;
use super::unit::{ByteSize, Span};
use super::version::Version;

/// Conditions that an entry must meet, all of them; a field that is not set admits every entry.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryFilter {
    /// It has one of these ids, unless there are none.
    pub ids: BTreeSet<EntryId>,
    /// Its key is exactly this; for a thin entry, the key that it was saved for.
    pub key: Option<String>,
    /// Its key starts with this.
    pub key_prefix: Option<String>,
    /// It belongs to this scope.
    pub scope: Option<Scope>,
    /// It has this version.
    pub version: Option<Version>,
    /// It was saved at this time or before.
    pub saved_before: Option<DateTime<Utc>>,
    /// It has been neither saved nor restored since this time.
    pub unused_since: Option<DateTime<Utc>>,
    /// It is at least this large.
    pub at_least: Option<ByteSize>,
    /// It is at most this large.
    pub at_most: Option<ByteSize>,
}

/// A filter with ages instead of times, which become times by the clock of the store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntryQuery {
    /// The conditions that do not depend on the time.
    pub filter: EntryFilter,
    /// It was saved at least this long ago.
    pub older_than: Option<Span>,
    /// It has been neither saved nor restored for this long.
    pub unused_for: Option<Span>,
}

impl EntryQuery {
    /// The filter at this time.
    pub fn at(&self, now: DateTime<Utc>) -> EntryFilter {
        let before = |span: Option<Span>| {
            // A span beyond the calendar admits nothing.
            let past = |span: Span| now.checked_sub_signed(TimeDelta::from_std(span.0).ok()?);
            span.map(|span| past(span).unwrap_or(DateTime::<Utc>::MIN_UTC))
        };
        EntryFilter {
            saved_before: before(self.older_than),
            unused_since: before(self.unused_for),
            ..self.filter.clone()
        }
    }

    /// Whether every entry meets it.
    pub fn is_empty(&self) -> bool {
        *self == EntryQuery::default()
    }
}

impl EntryFilter {
    /// Whether an entry meets every condition.
    pub fn matches(&self, entry: &Entry) -> bool {
        let EntryFilter {
            ids,
            key,
            key_prefix,
            scope,
            version,
            saved_before,
            unused_since,
            at_least,
            at_most,
        } = self;
        let last_use = entry.last_used_at.map_or(entry.created_at, |used| used.max(entry.created_at));
        (ids.is_empty() || ids.contains(&entry.id))
            && key
                .as_ref()
                .is_none_or(|key| key == entry.key.as_str() || key == thin::saved_for(&entry.key).as_str())
            && key_prefix.as_ref().is_none_or(|prefix| entry.key.as_str().starts_with(prefix))
            && scope.as_ref().is_none_or(|scope| *scope == entry.scope)
            && version.as_ref().is_none_or(|version| *version == entry.version)
            && saved_before.is_none_or(|time| entry.created_at <= time)
            && unused_since.is_none_or(|time| last_use <= time)
            && at_least.is_none_or(|size| size <= entry.size)
            && at_most.is_none_or(|size| entry.size <= size)
    }

    /// The names of what is asked for, such as `key and ref`; times are left to their own sentences.
    pub(super) fn subjects(&self) -> String {
        let subjects = [
            (!self.ids.is_empty(), "id"),
            (self.key.is_some(), "key"),
            (self.key_prefix.is_some(), "prefix"),
            (self.scope.is_some(), "ref"),
            (self.version.is_some(), "version"),
            (self.saved_before.is_some() || self.unused_since.is_some(), "age"),
            (self.at_least.is_some() || self.at_most.is_some(), "size"),
        ];
        let named: Vec<&str> = subjects.iter().filter(|(given, _)| *given).map(|(_, name)| *name).collect();
        named.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key::Key;

    #[test]
    fn an_entry_meets_every_condition_or_is_left_out() {
        let now: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().expect("a time");
        let entry = Entry {
            id: EntryId("7".to_owned()),
            scope: Scope::new("main").expect("a scope"),
            key: Key::new("ccache-linux-1").expect("a key"),
            version: Version::of_roots(["x"]),
            created_at: now - TimeDelta::days(9),
            last_used_at: Some(now - TimeDelta::days(2)),
            size: ByteSize(500),
        };
        let any = EntryFilter::default;
        let ago = |days| Some(now - TimeDelta::days(days));
        let check = |filter: EntryFilter, expect: bool| {
            assert_eq!(filter.matches(&entry), expect, "{filter:?}");
            assert_eq!(filter == any(), filter.subjects().is_empty(), "{filter:?}");
        };
        check(any(), true);
        check(EntryFilter { ids: [EntryId("7".to_owned())].into(), ..any() }, true);
        check(EntryFilter { ids: [EntryId("70".to_owned())].into(), ..any() }, false);
        check(EntryFilter { key: Some("ccache-linux-1".to_owned()), ..any() }, true);
        check(EntryFilter { key: Some("ccache-linux-".to_owned()), ..any() }, false);
        check(EntryFilter { key_prefix: Some("ccache-linux-".to_owned()), ..any() }, true);
        check(EntryFilter { key_prefix: Some("linux".to_owned()), ..any() }, false);
        check(EntryFilter { scope: Scope::new("main"), ..any() }, true);
        check(EntryFilter { scope: Scope::parse("main (shared)"), ..any() }, false);
        check(EntryFilter { version: Some(Version::of_roots(["y"])), ..any() }, false);
        check(EntryFilter { saved_before: ago(9), ..any() }, true);
        check(EntryFilter { saved_before: ago(10), ..any() }, false);
        check(EntryFilter { unused_since: ago(2), ..any() }, true);
        check(EntryFilter { unused_since: ago(3), ..any() }, false);
        check(EntryFilter { at_least: Some(ByteSize(500)), at_most: Some(ByteSize(500)), ..any() }, true);
        check(EntryFilter { at_least: Some(ByteSize(501)), ..any() }, false);
        check(EntryFilter { at_most: Some(ByteSize(499)), ..any() }, false);
        let both = EntryFilter { key_prefix: Some("cc".to_owned()), scope: Scope::new("topic"), ..any() };
        check(both, false);
    }

    #[test]
    fn ages_count_from_the_clock_of_the_store() {
        let now: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().expect("a time");
        let query = EntryQuery { older_than: Some("9d".parse().expect("a span")), ..EntryQuery::default() };
        assert_eq!(query.at(now).saved_before, Some(now - TimeDelta::days(9)));
        let forever =
            EntryQuery { unused_for: Some(Span(std::time::Duration::MAX)), ..EntryQuery::default() };
        assert_eq!(forever.at(now).unused_since, Some(DateTime::<Utc>::MIN_UTC));
        assert!(EntryQuery::default().is_empty() && !forever.is_empty());
    }
}
