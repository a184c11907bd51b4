//! Thin entries: generations of a cache that hold what changed alone, and take the rest from entries before them.
//!
//! A thin entry is stored under `<key>~t<size>.<parent>.<parent>…`: the size in MiB that an archive of the whole tree would
//! have, in hexadecimal, and the entries that it takes content from, the base first. So a listing alone says which entries
//! others need, and a lookup of `<key>~t` finds them. Their version is one that no lookup of a full entry asks for.

use std::cmp::Reverse;
use std::fmt::{self, Write as _};

use data_encoding::BASE32_NOPAD;

use super::digest::Sha256Digest;
use super::entry::{Entry, LookupRequest};
use super::key::Key;
use super::unit::ByteSize;
use super::version::Version;

pub use super::key::THIN_MARK as MARK;

/// The entries that a thin entry takes content from, at most.
pub const MOST_PARENTS: usize = 8;

/// Characters of the longest key that thin entries are saved for: their own keys have some ninety more.
pub const LONGEST_KEY: usize = 420;

/// Characters of a [`ShortId`].
const LENGTH: usize = 8;

/// Names an entry in the keys of thin ones: a hash of its key and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortId([u8; 5]);

impl ShortId {
    /// The id of the entry that is stored under this key and version, in whatever scope.
    pub fn of(stored: &Key, version: &Version) -> Self {
        let digest = Sha256Digest::of_lines([stored.as_str(), version.as_str()]);
        ShortId(*digest.0.first_chunk().expect("a digest has 32 bytes"))
    }

    fn parse(text: &str) -> Option<Self> {
        let is_plain = text.len() == LENGTH && !text.bytes().any(|byte| byte.is_ascii_uppercase());
        let bytes = BASE32_NOPAD.decode(text.to_ascii_uppercase().as_bytes()).ok().filter(|_| is_plain)?;
        bytes.try_into().ok().map(ShortId)
    }
}

impl fmt::Display for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

/// The key of a thin entry, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThinKey {
    /// The key that it was saved for.
    pub key: Key,
    /// The size in MiB, rounded up, that an archive of the whole tree would have.
    pub mebibytes: u64,
    /// The entries that it takes content from, the base first: one to [`MOST_PARENTS`].
    pub parents: Vec<ShortId>,
}

impl ThinKey {
    /// The key of a thin entry for `key`; `None` where there can be none: the key is too long, or this is not a number of parents that an entry has.
    pub fn new(key: &Key, whole: ByteSize, parents: Vec<ShortId>) -> Option<Self> {
        let fits = key.as_str().chars().count() <= LONGEST_KEY && !key.as_str().contains(MARK);
        let thin = ThinKey { key: key.clone(), mebibytes: whole.0.div_ceil(1 << 20), parents };
        (fits && (1..=MOST_PARENTS).contains(&thin.parents.len())).then_some(thin)
    }

    /// Takes a stored key apart; `None` if it is not one of a thin entry.
    pub fn parse(stored: &Key) -> Option<Self> {
        let (key, rest) = stored.as_str().rsplit_once(MARK)?;
        let mut parts = rest.split('.');
        let size = parts.next()?;
        let mebibytes = u64::from_str_radix(size, 16).ok().filter(|number| format!("{number:x}") == size)?;
        let parents = parts.map(ShortId::parse).collect::<Option<Vec<_>>>()?;
        let thin = ThinKey { key: Key::new(key).ok()?, mebibytes, parents };
        (1..=MOST_PARENTS).contains(&thin.parents.len()).then_some(thin)
    }

    /// The key under which the entry is stored.
    pub fn to_key(&self) -> Key {
        let mut text = format!("{}{MARK}{:x}", self.key, self.mebibytes);
        for parent in &self.parents {
            let _ = write!(text, ".{parent}");
        }
        Key::new(text).expect("a key with letters, digits and dots behind it is one")
    }

    /// The size that an archive of the whole tree would have.
    pub fn whole(&self) -> ByteSize {
        ByteSize(self.mebibytes.saturating_mul(1 << 20))
    }
}

/// What a lookup asks for to find the thin entries of a key; `None` if it has none.
pub fn prefix_of(key: &Key) -> Option<Key> {
    if key.as_str().chars().count() > LONGEST_KEY {
        return None;
    }
    Key::new(format!("{key}{MARK}")).ok()
}

/// The lookup of thin entries, of this version, that goes with a lookup of full ones; `None` if the key has none.
pub fn lookup_beside(full: &LookupRequest, version: Version) -> Option<LookupRequest> {
    let restore_keys = if full.exact { Vec::new() } else { full.restore_keys.clone() };
    Some(LookupRequest {
        key: prefix_of(&full.key)?,
        restore_keys,
        version,
        scopes: full.scopes.clone(),
        exact: false,
    })
}

/// The better of the two answers to a lookup and the one beside it ([`lookup_beside`]): an entry of the nearest scope, then of the
/// key itself, then of the restore key that comes first, then the newer. Of two that are as good the full one, which needs no
/// other entry.
pub fn better<'a>(
    request: &LookupRequest,
    full: Option<&'a Entry>,
    thin: Option<&'a Entry>,
) -> Option<&'a Entry> {
    let (Some(of_full), Some(of_thin)) = (full, thin) else { return full.or(thin) };
    let place = |entry: &Entry| {
        let key = saved_for(&entry.key);
        let mut wanted = std::iter::once(&request.key).chain(&request.restore_keys);
        let prefix = wanted.position(|wanted| wanted.is_prefix_of(&key)).unwrap_or(usize::MAX);
        // A service that does not tell the scope has looked through all of them.
        let scope = request.scopes.iter().position(|scope| *scope == entry.scope);
        (scope, key != request.key, prefix, Reverse(entry.created_at))
    };
    if place(of_thin) < place(of_full) { thin } else { full }
}

/// The key that an entry was saved for, which is the one that people know it by.
pub fn saved_for(stored: &Key) -> Key {
    ThinKey::parse(stored).map_or_else(|| stored.clone(), |thin| thin.key)
}

/// An entry by the key that it was saved for, with a word for one that is thin: `k-9 (thin)`.
pub fn title(stored: &Key) -> String {
    ThinKey::parse(stored).map_or_else(|| stored.to_string(), |thin| format!("{} (thin)", thin.key))
}

/// The same within a sentence, with the key as code.
pub fn quoted(stored: &Key) -> String {
    ThinKey::parse(stored).map_or_else(|| format!("`{stored}`"), |thin| format!("`{}` (thin)", thin.key))
}

/// The size of the tree's archive: an entry's own, or of a thin one that which all of the tree would have.
pub fn whole_size(entry: &Entry) -> ByteSize {
    ThinKey::parse(&entry.key).map_or(entry.size, |thin| thin.whole())
}

/// How a tree has grown since its base, in bytes that archives of it have or would have, about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// An archive of the whole tree.
    pub whole: u64,
    /// What no earlier archive has.
    pub new: u64,
    /// What of the tree is in the base.
    pub in_base: u64,
    /// What of it is in other parents.
    pub elsewhere: u64,
    /// What a restore reads of all parents: whole frames, and small gaps between them.
    pub read: u64,
    /// The base.
    pub base: u64,
}

/// Why a tree is saved in full though an earlier entry has a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FullBecause {
    /// A full archive is small anyway.
    #[error("its whole archive would have {whole}, less than {least}", whole = .0, least = .1)]
    Small(ByteSize, ByteSize),
    /// More than half of the tree is new.
    #[error("more than half of it is new")]
    New,
    /// More than half as much as the base has is elsewhere.
    #[error("much of it is not in the base any more")]
    Elsewhere,
    /// What is left of the parents lies so scattered that a restore would read much more than that.
    #[error("a restore would read {read} to get {live}", read = .0, live = .1)]
    Scattered(ByteSize, ByteSize),
}

impl Growth {
    /// Why a tree that has grown so is to be saved in full, where archives of at least `least` bytes are saved thin.
    pub fn full_because(&self, least: ByteSize) -> Option<FullBecause> {
        let live = self.in_base.saturating_add(self.elsewhere);
        let outside = self.new.saturating_add(self.elsewhere);
        if self.whole < least.0 {
            Some(FullBecause::Small(ByteSize(self.whole), least))
        } else if self.new > self.whole / 2 {
            Some(FullBecause::New)
        } else if outside > self.base / 2 {
            Some(FullBecause::Elsewhere)
        } else if self.read > live.saturating_add(live / 5) {
            Some(FullBecause::Scattered(ByteSize(self.read), ByteSize(live)))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::entry::EntryId;
    use crate::domain::scope::Scope;

    fn key(text: &str) -> Key {
        Key::new(text).expect(text)
    }

    #[test]
    fn an_id_is_a_hash_of_key_and_version() {
        // printf 'k-1\n6737d9c7d71eae29ab75d6435cec0ae7617674fa33200f52ab4d946fddf8d38f\n' | sha256sum | xxd -r -p | base32
        let version = Version::parse("6737d9c7d71eae29ab75d6435cec0ae7617674fa33200f52ab4d946fddf8d38f")
            .expect("a version");
        assert_eq!(ShortId::of(&key("k-1"), &version).to_string(), "rp6el4z3");
        assert_ne!(ShortId::of(&key("k-2"), &version), ShortId::of(&key("k-1"), &version));
    }

    #[test]
    fn a_key_names_size_and_parents() {
        let parents = vec![ShortId([0; 5]), ShortId([0xFF; 5])];
        let thin = ThinKey::new(&key("ccache-v4"), ByteSize((26 << 20) - 1), parents).expect("a thin key");
        assert_eq!(thin.to_key(), key("ccache-v4~t1a.aaaaaaaa.77777777"));
        assert_eq!(thin.whole(), ByteSize(26 << 20));
        assert_eq!(saved_for(&thin.to_key()), key("ccache-v4"));
        assert_eq!(saved_for(&key("a~tmp")), key("a~tmp"));
    }

    #[test]
    fn there_is_no_thin_key_without_parents_or_for_a_long_key() {
        let make = |key: &str, parents: usize| {
            ThinKey::new(&self::key(key), ByteSize(1), vec![ShortId([1; 5]); parents]).is_some()
        };
        assert!(make("k", 1) && make("k", MOST_PARENTS) && make(&"k".repeat(LONGEST_KEY), 1));
        assert!(!make("k", 0) && !make("k", MOST_PARENTS + 1) && !make(&"k".repeat(LONGEST_KEY + 1), 1));
        assert!(!make("a~tb", 1));
    }

    fn entry(stored: &str, hour: i64) -> Entry {
        Entry {
            id: EntryId(stored.to_owned()),
            scope: Scope::new("main").expect("a scope"),
            key: key(stored),
            version: Version::of_roots(["x"]),
            created_at: DateTime::from_timestamp(hour * 3_600, 0).expect("a time"),
            last_used_at: None,
            size: ByteSize(1),
        }
    }

    fn request(exact: bool) -> LookupRequest {
        LookupRequest {
            key: key("k-9"),
            restore_keys: vec![key("k-"), key("j-")],
            version: Version::of_roots(["x"]),
            scopes: vec![Scope::new("main").expect("a scope")],
            exact,
        }
    }

    #[test]
    fn thin_entries_are_looked_up_by_what_their_keys_begin_with() {
        let version = Version::of_thin_roots(["x"]);
        let beside = lookup_beside(&request(false), version.clone()).expect("a lookup");
        assert_eq!((&beside.key, &beside.version, beside.exact), (&key("k-9~t"), &version, false));
        assert_eq!(beside.restore_keys, request(false).restore_keys);
        let beside = lookup_beside(&request(true), version.clone()).expect("a lookup");
        assert!(beside.restore_keys.is_empty() && !beside.exact, "{beside:?}");
        let long = LookupRequest { key: key(&"k".repeat(LONGEST_KEY + 1)), ..request(false) };
        assert_eq!(lookup_beside(&long, version), None);
    }

    #[test]
    fn the_key_itself_is_better_than_a_prefix_and_then_the_newer() {
        let check = |full: Option<(&str, i64)>, thin: Option<(&str, i64)>, expect: Option<&str>| {
            let [full, thin] = [full, thin].map(|side| side.map(|(stored, hour)| entry(stored, hour)));
            let found = better(&request(false), full.as_ref(), thin.as_ref());
            assert_eq!(found.map(|entry| entry.key.as_str()), expect);
        };
        check(None, None, None);
        check(Some(("k-1", 1)), None, Some("k-1"));
        check(None, Some(("k-1~t1.aaaaaaaa", 1)), Some("k-1~t1.aaaaaaaa"));
        check(Some(("k-9", 1)), Some(("k-8~t1.aaaaaaaa", 2)), Some("k-9"));
        check(Some(("k-8", 2)), Some(("k-9~t1.aaaaaaaa", 1)), Some("k-9~t1.aaaaaaaa"));
        check(Some(("k-7", 1)), Some(("k-8~t1.aaaaaaaa", 2)), Some("k-8~t1.aaaaaaaa"));
        check(Some(("k-8", 2)), Some(("k-7~t1.aaaaaaaa", 1)), Some("k-8"));
        check(Some(("j-1", 2)), Some(("k-7~t1.aaaaaaaa", 1)), Some("k-7~t1.aaaaaaaa"));
        check(Some(("k-9", 1)), Some(("k-9~t1.aaaaaaaa", 1)), Some("k-9"));
        check(Some(("k-9", 1)), Some(("k-9~t1.aaaaaaaa", 2)), Some("k-9~t1.aaaaaaaa"));
    }

    #[test]
    fn people_read_the_key_that_an_entry_was_saved_for() {
        assert_eq!((title(&key("k-9")), quoted(&key("k-9"))), ("k-9".to_owned(), "`k-9`".to_owned()));
        let thin = key("k-9~t1.aaaaaaaa");
        assert_eq!((title(&thin), quoted(&thin)), ("k-9 (thin)".to_owned(), "`k-9` (thin)".to_owned()));
    }

    #[test]
    fn other_keys_are_no_thin_ones() {
        for text in [
            "k",
            "k~t",
            "k~t1",
            "k~t1.",
            "k~t1.aaaaaaa",
            "k~t1.aaaaaaaaa",
            "k~t1.AAAAAAAA",
            "k~t01.aaaaaaaa",
            "k~tg.aaaaaaaa",
            "k~t1.aaaaaaa1",
            "k~t1.aaaaaaaa.",
            "k~t.aaaaaaaa",
            "~t1.aaaaaaaa",
            "k~t+1.aaaaaaaa",
        ] {
            assert_eq!(ThinKey::parse(&key(text)), None, "{text}");
        }
        let nine = format!("k~t1{}", ".aaaaaaaa".repeat(9));
        assert_eq!(ThinKey::parse(&key(&nine)), None);
    }

    #[test]
    fn an_entry_of_a_nearer_scope_is_better_whatever_its_key() {
        let at = |scope: &str, stored: &str, hour: i64| Entry {
            scope: Scope::new(scope).expect(scope),
            ..entry(stored, hour)
        };
        let scopes = ["topic", "main"].map(|scope| Scope::new(scope).expect(scope)).to_vec();
        let request = LookupRequest { scopes, ..request(false) };
        let (full, thin) = (at("main", "k-9", 9), at("topic", "k-1~t1.aaaaaaaa", 1));
        assert_eq!(better(&request, Some(&full), Some(&thin)), Some(&thin));
        let (full, thin) = (at("topic", "k-1", 1), at("main", "k-9~t1.aaaaaaaa", 9));
        assert_eq!(better(&request, Some(&full), Some(&thin)), Some(&full));
    }

    #[test]
    fn a_tree_is_saved_in_full_where_little_of_it_is_in_its_base() {
        let grown = Growth { whole: 1000, new: 100, in_base: 800, elsewhere: 100, read: 1000, base: 1000 };
        let least = ByteSize(1000);
        let why = |growth: Growth| growth.full_because(least);
        assert_eq!(why(grown), None);
        assert_eq!(why(Growth { whole: 999, ..grown }), Some(FullBecause::Small(ByteSize(999), least)));
        assert_eq!(why(Growth { new: 500, in_base: 500, elsewhere: 0, read: 500, ..grown }), None);
        assert_eq!(why(Growth { new: 501, ..grown }), Some(FullBecause::New));
        assert_eq!(why(Growth { elsewhere: 401, ..grown }), Some(FullBecause::Elsewhere));
        assert_eq!(why(Growth { read: 1080, ..grown }), None);
        let scattered = FullBecause::Scattered(ByteSize(1081), ByteSize(900));
        assert_eq!(why(Growth { read: 1081, ..grown }), Some(scattered));
    }

    proptest! {
        #[test]
        fn a_thin_key_reads_back(
            text in "[a-z~t.]{0,20}[a-z]", whole: u64, ids in proptest::collection::vec(any::<[u8; 5]>(), 1..=8),
        ) {
            let parents: Vec<_> = ids.into_iter().map(ShortId).collect();
            if let Some(thin) = ThinKey::new(&key(&text), ByteSize(whole), parents) {
                prop_assert_eq!(ThinKey::parse(&thin.to_key()), Some(thin));
            }
        }
    }
}
