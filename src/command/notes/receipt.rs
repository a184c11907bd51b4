//! Receipts: what a restore left behind for the save of the same job, perhaps in another process.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::archive::Unpacked;
use crate::command::cache::Cache;
use crate::domain::digest::Sha256Digest;
use crate::domain::entry::Entry;
use crate::domain::event::Level;
use crate::domain::key::Key;
use crate::domain::thin;
use crate::fs::atomic;
use crate::fs::open::Links;
use crate::fs::{read, remove};
use crate::report::failure;
use crate::tree::fingerprint::{Quick, Uncounted};

/// Upper bound for receipts, in bytes.
const MAX_BYTES: u64 = 64 << 10;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    /// The key that the entry is stored under.
    pub(crate) key: String,
    /// Its scope.
    pub(crate) scope: String,
    /// Its version: that of the cache's layout, or of thin entries of the same.
    pub(crate) version: String,
    /// The digest of the restored tree's contents.
    pub(crate) content: String,
    /// How many files there were.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
    /// The quick fingerprint after the restore, if nothing but the entry is in the target.
    pub(crate) quick: Option<String>,
    /// The entry proved corrupt and was not restored: a save may replace it.
    #[serde(default)]
    pub(crate) corrupt: bool,
    /// The stored key of a thin entry that proved corrupt before this one was tried in its place.
    #[serde(default)]
    damaged: Option<String>,
}

impl Receipt {
    /// The receipt of an entry that was restored; `quick` where nothing else is in the target.
    /// `uncounted` is what of the entry makes no change.
    pub(crate) fn of_restored(
        entry: &Entry,
        unpacked: &Unpacked,
        uncounted: &Uncounted,
        quick: Option<&Quick>,
    ) -> Self {
        let files = unpacked.counts.files + unpacked.counts.hard_links;
        Receipt {
            content: unpacked.content.without(uncounted.content).to_string(),
            files: files.saturating_sub(uncounted.files),
            bytes: unpacked.unpacked_bytes.saturating_sub(uncounted.bytes),
            quick: quick.and_then(digest_of),
            ..Receipt::of(entry)
        }
    }

    /// The receipt of what another program unpacked, whose contents were not read.
    pub(crate) fn of_wrapped(key: &str, scope: &str, version: &str, quick: &Quick) -> Self {
        Receipt {
            key: key.to_owned(),
            scope: scope.to_owned(),
            version: version.to_owned(),
            content: String::new(),
            files: quick.files,
            bytes: quick.bytes,
            quick: digest_of(quick),
            corrupt: false,
            damaged: None,
        }
    }

    /// The receipt of an entry that proved corrupt.
    pub(crate) fn of_corrupt(entry: &Entry) -> Self {
        Receipt { corrupt: true, ..Receipt::of(entry) }
    }

    fn of(entry: &Entry) -> Self {
        Receipt {
            key: entry.key.to_string(),
            scope: entry.scope.to_string(),
            version: entry.version.to_string(),
            content: String::new(),
            files: 0,
            bytes: 0,
            quick: None,
            corrupt: false,
            damaged: None,
        }
    }

    /// Whether it speaks of this entry.
    pub(crate) fn is_of(&self, entry: &Entry) -> bool {
        (&*self.key, &*self.version) == (entry.key.as_str(), entry.version.as_str())
            && self.scope == entry.scope.to_string()
    }

    /// Whether this entry proved corrupt, be it that another one was restored in its place.
    pub(crate) fn finds_corrupt(&self, entry: &Entry) -> bool {
        self.corrupt && self.is_of(entry) || self.damaged.as_deref() == Some(entry.key.as_str())
    }

    /// The key that the entry was saved for.
    pub(crate) fn saved_for(&self) -> String {
        let key = Key::new(self.key.clone());
        key.map_or_else(|_| self.key.clone(), |key| thin::saved_for(&key).to_string())
    }

    /// Whether the quick fingerprint is the one of the restored tree.
    pub(crate) fn is_untouched(&self, now: &Quick) -> bool {
        self.quick.is_some() && self.quick == digest_of(now)
    }
}

fn digest_of(quick: &Quick) -> Option<String> {
    quick.digest.map(|digest| digest.to_string())
}

/// One receipt for each cache of each checkout.
fn path(cache: &Cache<'_>) -> PathBuf {
    note(cache, "json")
}

/// Where notes about a cache of this checkout lie.
pub(crate) fn note(cache: &Cache<'_>, extension: &str) -> PathBuf {
    let facts = cache.ctx.platform.facts();
    let lines = [cache.ctx.workspace, cache.root()].map(|path| path.display().to_string());
    let place = Sha256Digest::of_lines(lines).to_string();
    facts.state_dir.join("receipts").join(format!("{}-{place:.16}.{extension}", cache.name()))
}

/// Writes the receipt into the state directory, one for each cache of each checkout, over the one before. One that cannot be written costs a needless save and nothing else.
pub(crate) fn leave(cache: &Cache<'_>, receipt: &Receipt) {
    let bytes = serde_json::to_vec(receipt).expect("only strings and numbers");
    let path = path(cache);
    let written = atomic::write_below(&path, &bytes, cache.ctx.now);
    if let Err(error) = written {
        cache.ctx.report(Level::Debug, cache.name(), format!("no receipt: {}", failure::chain(&error)));
    }
}

/// Adds to the receipt of what was tried in its place that a thin entry proved corrupt.
pub(crate) fn add_damaged(cache: &Cache<'_>, thin: &Entry) {
    let receipt = read(cache).unwrap_or_else(|| Receipt::of_corrupt(thin));
    leave(cache, &Receipt { damaged: Some(thin.key.to_string()), ..receipt });
}

/// Forgets what an earlier restore left behind.
pub(crate) fn forget(cache: &Cache<'_>) {
    // One that is not there is forgotten already, and one that stays is checked before it is believed.
    let _ = remove::remove_tree(&path(cache));
}

/// The receipt of this cache's last restore, if there is one that fits its layout.
pub(crate) fn read(cache: &Cache<'_>) -> Option<Receipt> {
    let text = read::text(&path(cache), Links::Refused, MAX_BYTES).ok()?;
    let receipt: Receipt = serde_json::from_str(&text).ok()?;
    let is_known = [cache.version(), cache.thin_version()].iter().any(|own| own.as_str() == receipt.version);
    is_known.then_some(receipt)
}
