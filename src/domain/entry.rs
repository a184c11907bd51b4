//! Entries and how a lookup chooses among them.

use std::fmt;

use chrono::{DateTime, Utc};

use super::key::Key;
use super::scope::Scope;
use super::unit::ByteSize;
use super::version::Version;

/// The identifier that a store gives to an entry; opaque outside the store.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(pub String);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One saved, immutable generation of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The store's identifier.
    pub id: EntryId,
    /// The git ref it belongs to.
    pub scope: Scope,
    /// Its key.
    pub key: Key,
    /// Hash of its layout and compression.
    pub version: Version,
    /// When it became visible, by the store's clock.
    pub created_at: DateTime<Utc>,
    /// When it was last restored; `None` if the store does not record that.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Size of its archive.
    pub size: ByteSize,
}

/// A lookup in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupRequest {
    /// The primary key.
    pub key: Key,
    /// Prefixes to fall back to, in order.
    pub restore_keys: Vec<Key>,
    /// The version that a match must have.
    pub version: Version,
    /// The scopes to search, in order.
    pub scopes: Vec<Scope>,
    /// Whether only an entry with exactly this key counts, in whichever of the scopes.
    pub exact: bool,
}

impl LookupRequest {
    /// The entry that this request restores, chosen from entries in any order.
    ///
    /// Scopes are searched in order. Within a scope the key is tried as an exact match, then as a prefix, then each
    /// restore key likewise; the newest of several matches wins (GitHub, "Cache key matching"). Ties in creation
    /// time are broken by key, so that every reader chooses the same entry. An exact request skips the prefixes.
    pub fn choose<'a>(&self, entries: &'a [Entry]) -> Option<&'a Entry> {
        self.scopes.iter().find_map(|scope| {
            let candidates =
                || entries.iter().filter(move |e| e.scope == *scope && e.version == self.version);
            std::iter::once(&self.key).chain(&self.restore_keys).find_map(|wanted| {
                candidates().find(|e| e.key == *wanted).or_else(|| {
                    candidates()
                        .filter(|e| !self.exact && wanted.is_prefix_of(&e.key))
                        .max_by_key(|e| (e.created_at, e.key.clone()))
                })
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(scope: &str, key: &str, created: i64) -> Entry {
        Entry {
            id: EntryId(format!("{scope}/{key}")),
            scope: Scope::new(scope).expect(scope),
            key: Key::new(key).expect(key),
            version: Version::of_roots(["x"]),
            created_at: DateTime::from_timestamp(created, 0).expect("a time"),
            last_used_at: None,
            size: ByteSize(1),
        }
    }

    fn chosen(entries: &[Entry], key: &str, restore_keys: &[&str], scopes: &[&str]) -> Option<String> {
        let request = LookupRequest {
            exact: false,
            key: Key::new(key).expect(key),
            restore_keys: restore_keys.iter().map(|k| Key::new(*k).expect("a key")).collect(),
            version: Version::of_roots(["x"]),
            scopes: scopes.iter().map(|s| Scope::new(s).expect("a scope")).collect(),
        };
        request.choose(entries).map(|e| e.id.0.clone())
    }

    #[test]
    fn an_exact_key_wins_over_a_newer_prefix_match() {
        let entries = [entry("main", "a-1", 1), entry("main", "a-12", 2)];
        assert_eq!(chosen(&entries, "a-1", &[], &["main"]).as_deref(), Some("main/a-1"));
    }

    #[test]
    fn of_several_prefix_matches_the_newest_wins() {
        let entries = [entry("main", "a-1", 1), entry("main", "a-3", 3), entry("main", "a-2", 2)];
        assert_eq!(chosen(&entries, "a-9", &["a-"], &["main"]).as_deref(), Some("main/a-3"));
    }

    #[test]
    fn a_prefix_in_the_own_scope_wins_over_an_exact_key_elsewhere() {
        let entries = [entry("main", "a-9", 9), entry("topic", "a-1", 1)];
        assert_eq!(chosen(&entries, "a-9", &["a-"], &["topic", "main"]).as_deref(), Some("topic/a-1"));
    }

    #[test]
    fn restore_keys_are_tried_in_order() {
        let entries = [entry("main", "b-1", 9), entry("main", "a-1", 1)];
        assert_eq!(chosen(&entries, "x", &["a-", "b-"], &["main"]).as_deref(), Some("main/a-1"));
    }

    #[test]
    fn other_scopes_and_versions_are_never_chosen() {
        let mut other = entry("main", "a-1", 1);
        other.version = Version::of_roots(["y"]);
        let entries = [other, entry("refs/pull/1/merge", "a-1", 2)];
        assert_eq!(chosen(&entries, "a-1", &["a"], &["main"]), None);
    }
}
