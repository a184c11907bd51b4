//! The policy: what a repository wants to keep and delete.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::time::Duration;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::pattern::DeclaredPattern;
use crate::domain::key::Key;
use crate::domain::quota::Marks;
use crate::domain::scope::{Scope, Section};
use crate::domain::unit::{ByteSize, Span};

/// The deletion rules. A rule that is `None` is off; the others apply together.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Deletes entries of pull requests that have been closed for at least this long.
    pub closed_pull_requests: Option<Span>,
    /// Deletes entries of branches, tags and merge-queue refs that were deleted at least this long ago.
    pub deleted_refs: Option<Span>,
    /// Keeps this number of newest generations per ref, version and key pattern.
    pub superseded: Option<NonZeroUsize>,
    /// Deletes entries that have not been used for this long.
    pub unused_for: Option<Span>,
    /// Deletes entries that were saved at least this long ago.
    pub older_than: Option<Span>,
    /// Deletes the least recently used entries until the rest is no larger than this.
    pub budget: Option<ByteSize>,
    /// Once the store is over its budget, entries are deleted until it is no larger than this, so that not every save
    /// deletes; but none that would make it smaller than this.
    pub low_mark: Option<ByteSize>,
    /// Room that the budget leaves for the next save.
    pub headroom: Headroom,
    /// Keys and refs that are never deleted.
    pub protect: Protect,
    /// The same for the entries of other repositories. `None`: `protect` is for theirs as well.
    pub protect_elsewhere: Option<BTreeMap<Section, Protect>>,
    /// Whether the newest generations and recent uses keep entries. A quota has no room for that: what was used last
    /// is deleted last.
    pub keeps_used: bool,
    /// How long a use by the default branch or an open pull request keeps an entry.
    pub recent: Span,
    /// When the newest generation on the default branch has not been used for this long, its pattern counts as
    /// abandoned (the cache was renamed, for example) and the rules apply to it as to any other. `None`: never.
    pub abandoned_after: Option<Span>,
    /// When a newer generation is too small to replace an older one.
    pub guard: Guard,
    /// The key templates of the configuration, which define generations more reliably than the shape of keys.
    pub patterns: Vec<DeclaredPattern>,
    /// Restricts deletion to entries of this pull request.
    pub only_pull_request: Option<u64>,
    /// Restricts deletion to entries of this ref.
    pub only_ref: Option<Scope>,
}

/// Room to leave for the next save, below the store's limit, or below the budget if no limit is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Headroom {
    /// The size of the largest entry of the default branch that the other rules keep: the next run probably saves one
    /// of that size.
    #[default]
    NextSave,
    /// A fixed size.
    Bytes(ByteSize),
}

/// When a newer generation is too small to replace an older one: a broken build saves a small cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// Minimum size of the newer generation, in percent of the older one's.
    pub percent: u8,
    /// How long after its last use an older generation is guarded; later the small size is assumed to be intended.
    pub lasts: Span,
}

impl Default for Guard {
    /// Half the size, for 7 days: caches usually change by less than half between builds, and GitHub evicts entries
    /// after a week without use.
    fn default() -> Self {
        Guard { percent: 50, lasts: days(7) }
    }
}

impl Guard {
    /// Whether a newer generation of `newer` bytes may replace an older one of `older` bytes.
    pub(super) fn replaces(self, newer: ByteSize, older: ByteSize) -> bool {
        u128::from(newer.0) * 100 >= u128::from(older.0) * u128::from(self.percent)
    }
}

impl Default for Policy {
    /// Every rule off; a use counts as recent for one day, the interval of nightly cleaning.
    fn default() -> Self {
        Policy {
            closed_pull_requests: None,
            deleted_refs: None,
            superseded: None,
            unused_for: None,
            older_than: None,
            budget: None,
            low_mark: None,
            headroom: Headroom::default(),
            protect: Protect::default(),
            protect_elsewhere: None,
            keeps_used: true,
            recent: days(1),
            abandoned_after: None,
            guard: Guard::default(),
            patterns: Vec::new(),
            only_pull_request: None,
            only_ref: None,
        }
    }
}

impl Policy {
    /// The policy that keeps a store below its high mark: only the least recently used entries are deleted.
    pub fn of_quota(marks: Marks, protect: Protect, elsewhere: BTreeMap<Section, Protect>) -> Self {
        Policy {
            budget: Some(marks.high),
            low_mark: Some(marks.low),
            headroom: Headroom::Bytes(ByteSize(0)),
            protect,
            protect_elsewhere: Some(elsewhere),
            keeps_used: false,
            ..Policy::default()
        }
    }

    /// The glob that protects an entry of this key in this scope.
    pub(super) fn protecting(&self, key: &Key, scope: &Scope) -> Option<&str> {
        let protect = match (&self.protect_elsewhere, scope.section()) {
            (Some(elsewhere), section @ Section::Other(_)) => elsewhere.get(section)?,
            _ => &self.protect,
        };
        protect.matching(key, scope)
    }

    /// The policy for a store without configured rules: deletes entries of pull requests and refs that have been closed
    /// or deleted for three days. No job can restore them.
    pub fn unreachable() -> Self {
        Policy { closed_pull_requests: Some(days(3)), deleted_refs: Some(days(3)), ..Policy::default() }
    }
}

const fn days(count: u64) -> Span {
    Span(Duration::from_secs(count * 86_400))
}

/// Globs over keys, and over refs where they start with `refs/`. `*` also matches `/`.
#[derive(Clone, Default)]
pub struct Protect {
    globs: Vec<String>,
    set: GlobSet,
}

/// A glob that could not be parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{glob}` is not a glob: {why}")]
pub struct ProtectError {
    /// The glob.
    pub glob: String,
    /// The cause.
    pub why: String,
}

impl Protect {
    /// Parses globs. If several match, messages name the first.
    pub fn new<G: AsRef<str>>(globs: impl IntoIterator<Item = G>) -> Result<Self, ProtectError> {
        let mut set = GlobSetBuilder::new();
        let mut sources = Vec::new();
        for glob in globs {
            let glob = glob.as_ref();
            let refuse = |error: &globset::Error| ProtectError {
                glob: glob.to_owned(),
                why: error.kind().to_string(),
            };
            if glob.is_empty() {
                return Err(ProtectError { glob: String::new(), why: "it is empty".to_owned() });
            }
            set.add(GlobBuilder::new(glob).backslash_escape(true).build().map_err(|e| refuse(&e))?);
            sources.push(glob.to_owned());
        }
        let set = set
            .build()
            .map_err(|error| ProtectError { glob: sources.join(" "), why: error.kind().to_string() })?;
        Ok(Protect { globs: sources, set })
    }

    /// The globs as they were written.
    pub fn globs(&self) -> &[String] {
        &self.globs
    }

    /// The first glob that protects an entry of this key in this scope.
    pub fn matching(&self, key: &Key, scope: &Scope) -> Option<&str> {
        if self.globs.is_empty() {
            return None;
        }
        let of_key = self.set.matches(key.as_str()).into_iter().min();
        let mut of_scope = self.set.matches(scope.as_str()).into_iter();
        let of_scope = of_scope.find(|index| self.globs[*index].starts_with("refs/"));
        [of_key, of_scope].into_iter().flatten().min().map(|index| self.globs[index].as_str())
    }
}

impl PartialEq for Protect {
    fn eq(&self, other: &Self) -> bool {
        self.globs == other.globs
    }
}

impl fmt::Debug for Protect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Protect").field(&self.globs).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_keys_and_those_of_refs_match_refs() {
        let protect = Protect::new(["externaldata-*", "refs/tags/*", "a/*"]).expect("globs");
        let check = |key: &str, scope: &str, glob| {
            let (key, scope) = (Key::new(key).expect(key), Scope::new(scope).expect(scope));
            assert_eq!(protect.matching(&key, &scope), glob, "{key} {scope}");
        };
        check("externaldata-v1-x", "main", Some("externaldata-*"));
        check("my-externaldata-v1", "main", None);
        check("ccache", "refs/tags/v1", Some("refs/tags/*"));
        check("a/b/c", "main", Some("a/*"));
        check("ccache", "a/x", None);
    }

    #[test]
    fn invalid_globs_are_rejected() {
        for glob in ["", "[", "{a"] {
            assert!(Protect::new([glob]).is_err(), "{glob}");
        }
    }

    #[test]
    fn half_the_size_replaces_and_less_does_not() {
        let guard = Guard::default();
        assert!(guard.replaces(ByteSize(50), ByteSize(100)));
        assert!(!guard.replaces(ByteSize(49), ByteSize(100)));
        assert!(guard.replaces(ByteSize(u64::MAX), ByteSize(u64::MAX)));
        assert!(guard.replaces(ByteSize(0), ByteSize(0)));
    }
}
