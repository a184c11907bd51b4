//! What is stored, for machines.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::clean::Sum;
use crate::domain::entry::{Entry, EntryId};
use crate::domain::retention::plan::Amount;
use crate::domain::retention::usage::{AgeBucket, Forecast, Reach, Usage};
use crate::domain::thin::{self, ThinKey};

/// What `ls --json` prints.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ListDocument {
    /// `ls`.
    pub command: &'static str,
    /// The store, for people.
    pub store: String,
    /// Whether these are all entries.
    pub complete: bool,
    /// The entries.
    pub entries: Vec<EntryDocument>,
}

/// An entry.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct EntryDocument {
    /// The store's name for it.
    pub id: String,
    /// The ref it belongs to.
    pub r#ref: String,
    /// The part of the store that it lies in, unless that is this repository's: `shared`, `old`, or a repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<String>,
    /// The key that it was saved for.
    pub key: String,
    /// Its version.
    pub version: String,
    /// Bytes of its archive.
    pub size: u64,
    /// What a thin entry has besides; absent in a full one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thin: Option<ThinDocument>,
    /// When it was saved.
    pub created_at: String,
    /// When it was restored last, where that is known.
    pub last_used_at: Option<String>,
}

/// What a thin entry has besides.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ThinDocument {
    /// The key under which it is stored.
    pub stored_key: String,
    /// Bytes that an archive of the whole tree would have, in whole MiB.
    pub whole_size: u64,
    /// The entries that it takes content from, the base first, as in its key.
    pub parents: Vec<String>,
    /// The key of its base, where that was listed as well.
    pub base: Option<String>,
}

impl EntryDocument {
    /// The document of an entry in a list with these bases of thin entries.
    pub(crate) fn listed(entry: &Entry, bases: &BTreeMap<&EntryId, &Entry>) -> Self {
        let mut document = EntryDocument::from(entry);
        if let (Some(thin), Some(base)) = (&mut document.thin, bases.get(&entry.id)) {
            thin.base = Some(thin::saved_for(&base.key).to_string());
        }
        document
    }
}

impl From<&Entry> for EntryDocument {
    fn from(entry: &Entry) -> Self {
        EntryDocument {
            id: entry.id.0.clone(),
            r#ref: entry.scope.as_str().to_owned(),
            section: entry.scope.section().name().map(str::to_owned),
            key: thin::saved_for(&entry.key).to_string(),
            version: entry.version.to_string(),
            size: entry.size.0,
            thin: ThinKey::parse(&entry.key).map(|thin| ThinDocument {
                stored_key: entry.key.to_string(),
                whole_size: thin.whole().0,
                parents: thin.parents.iter().map(ToString::to_string).collect(),
                base: None,
            }),
            created_at: instant(entry.created_at),
            last_used_at: entry.last_used_at.map(instant),
        }
    }
}

/// What `usage --json` prints.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct UsageDocument {
    /// `usage`.
    pub command: &'static str,
    /// The store, for people.
    pub store: String,
    /// Whether all entries are counted.
    pub complete: bool,
    /// Everything.
    pub total: Sum,
    /// Bytes beyond which the store evicts, where that is known.
    pub limit: Option<u64>,
    /// By ref, the largest first.
    pub by_ref: Vec<NamedBytes>,
    /// By key pattern, the largest first.
    pub by_pattern: Vec<NamedBytes>,
    /// By time since the last use.
    pub by_age: Vec<NamedBytes>,
    /// By who can still restore it.
    pub by_reach: Vec<NamedBytes>,
    /// What would be evicted next, the first first.
    pub next: Vec<EntryDocument>,
    /// Bytes saved in a day, of late.
    pub per_day: Option<u64>,
    /// When the limit is reached at that rate.
    pub runs_out_at: Option<String>,
}

/// A sum with what it is about.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct NamedBytes {
    /// What it is about.
    pub name: String,
    /// Entries.
    pub entries: usize,
    /// Bytes.
    pub bytes: u64,
}

fn named<N: ToString>(rows: &[(N, Amount)]) -> Vec<NamedBytes> {
    let row = |(name, amount): &(N, Amount)| NamedBytes {
        name: name.to_string(),
        entries: amount.entries,
        bytes: amount.bytes.0,
    };
    rows.iter().map(row).collect()
}

impl UsageDocument {
    /// What is stored where, and what comes next.
    pub(crate) fn new(
        store: &str,
        complete: bool,
        usage: &Usage,
        limit: Option<u64>,
        next: &[&Entry],
        forecast: Option<Forecast>,
    ) -> Self {
        UsageDocument {
            command: "usage",
            store: store.to_owned(),
            complete,
            total: usage.total.into(),
            limit,
            by_ref: named(&usage.by_ref),
            by_pattern: named(&usage.by_pattern),
            by_age: named::<AgeBucket>(&usage.by_age),
            by_reach: named::<Reach>(&usage.by_reach),
            next: next.iter().map(|entry| EntryDocument::from(*entry)).collect(),
            per_day: forecast.map(|forecast| forecast.per_day.0),
            runs_out_at: forecast.and_then(|forecast| forecast.runs_out_at).map(instant),
        }
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}
