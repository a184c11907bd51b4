//! What to explain, and how far the store can be looked into.

use std::path::PathBuf;
use std::sync::Arc;

use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::version::Version;
use crate::store::Catalog;

/// What is asked about.
pub(crate) enum Subject {
    /// Declared caches by name; none means all.
    Declared(Vec<String>),
    /// A key that was typed.
    Key {
        /// The key.
        key: Key,
        /// Prefixes to fall back to.
        restore_keys: Vec<Key>,
        /// The version of its entries.
        version: Option<Version>,
        /// The cache it belongs to.
        cache: Option<String>,
    },
}

/// What to explain, and with what.
pub(crate) struct ExplainOptions {
    /// What is asked about.
    pub subject: Subject,
    /// Whether the files of each cache are compared with those of the entry that is found.
    pub files: bool,
    /// Keys that another job printed.
    pub diff: Option<PathBuf>,
    /// Whether the store is GitHub's cache service, which answers lookups.
    pub has_service: bool,
    /// The scopes that the job's token opens, where it says so.
    pub scopes: Option<Vec<Scope>>,
}

/// How far the store can be looked into.
pub(crate) enum StoreReach {
    /// All of it.
    Listing(Arc<dyn Catalog>),
    /// Lookups only.
    Lookups {
        /// Why the store cannot be listed.
        why: String,
        /// What would give one.
        hint: Option<String>,
    },
    /// Not at all: the job may not read it.
    Denied(String),
}
