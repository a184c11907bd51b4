//! What this machine remembers of entries it saved and restored: which keys, and what went into them.
//!
//! It lies beside the receipts and serves `explain` alone: that an entry was there, and which object or file made its
//! key another one. A job that cannot write it goes on without.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::receipt;
use crate::command::cache::{Cache, Keys};
use crate::command::key::Part;
use crate::domain::event::Level;
use crate::domain::explain::Remembered;
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::version::Version;
use crate::fs::open::Links;
use crate::fs::{atomic, read};
use crate::report::failure;

/// How many entries of a cache are recorded.
const MOST: usize = 8;

/// Upper bound for the inputs of one key, in bytes; above it only the placeholders are recorded.
const MOST_INPUTS: usize = 1 << 20;

/// Upper bound for the file, in bytes: names and digests with their quotes, for every entry.
const MAX_BYTES: u64 = 32 << 20;

/// An entry that was saved or restored here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownEntry {
    store: String,
    key: String,
    version: String,
    scope: String,
    at: String,
    saved: bool,
    /// What its key was made of, where this job made it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) parts: Vec<Part>,
}

impl KnownEntry {
    /// What the domain needs to know of it; nothing where it is damaged.
    pub(crate) fn entry(&self) -> Option<Remembered> {
        Some(Remembered {
            key: Key::new(self.key.clone()).ok()?,
            version: Version::parse(&self.version)?,
            scope: Scope::parse(&self.scope)?,
            at: self.at.parse::<DateTime<Utc>>().ok()?,
            saved: self.saved,
        })
    }

    /// Whether it is of this key.
    pub(crate) fn is_of(&self, key: &Key) -> bool {
        self.key == key.as_str()
    }
}

/// What went into a key, without its inputs where they are too many to be kept.
pub(super) fn bounded_parts(keys: &Keys) -> Vec<Part> {
    let mut parts: Vec<Part> = keys.parts.iter().cloned().map(Part::from).collect();
    let bytes: usize =
        parts.iter().flat_map(|part| &part.inputs).map(|(name, digest)| name.len() + digest.len()).sum();
    if bytes > MOST_INPUTS {
        for part in &mut parts {
            part.inputs.clear();
        }
    }
    parts
}

/// Remembers an entry that was just saved or restored.
pub(crate) fn remember(cache: &Cache<'_>, keys: &Keys, key: &Key, scope: &Scope, saved: bool) {
    let parts = if *key == keys.key { bounded_parts(keys) } else { Vec::new() };
    let record = KnownEntry {
        store: cache.ctx.store().location(),
        key: key.to_string(),
        version: cache.version().to_string(),
        scope: scope.to_string(),
        at: cache.ctx.now.to_rfc3339_opts(SecondsFormat::Secs, true),
        saved,
        parts,
    };
    let mut records = all(cache);
    let is_other = |other: &KnownEntry| {
        (&other.store, &other.key, &other.version) != (&record.store, &record.key, &record.version)
    };
    // An entry that is restored keeps what its key was made of, which only its saver knew.
    let parts = records.iter().find(|other| !is_other(other)).map(|other| other.parts.clone());
    let parts = if record.parts.is_empty() { parts.unwrap_or_default() } else { record.parts.clone() };
    records.retain(is_other);
    records.insert(0, KnownEntry { parts, ..record });
    records.truncate(MOST);
    let bytes = serde_json::to_vec(&records).expect("only strings");
    let path = receipt::note(cache, "known.json");
    let written = atomic::write_below(&path, &bytes, cache.ctx.now);
    if let Err(error) = written {
        cache.ctx.report(Level::Debug, cache.name(), format!("not remembered: {}", failure::chain(&error)));
    }
}

/// The entries of a cache in this job's store that were saved or restored here, the newest first.
pub(crate) fn read(cache: &Cache<'_>) -> Vec<KnownEntry> {
    let store = cache.ctx.store().location();
    let mut records = all(cache);
    records.retain(|record| record.store == store);
    records
}

fn all(cache: &Cache<'_>) -> Vec<KnownEntry> {
    let text = read::text(&receipt::note(cache, "known.json"), Links::Refused, MAX_BYTES).ok();
    text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}
