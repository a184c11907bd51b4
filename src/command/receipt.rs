//! Receipts: what a restore left behind for the save of the same job, perhaps in another process.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cache::Cache;
use crate::disk::atomic;
use crate::disk::fingerprint::Quick;
use crate::disk::text;
use crate::domain::digest::Sha256Digest;

/// Receipts are small; a larger file is none.
const MAX_BYTES: u64 = 64 << 10;

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The key of the entry.
    pub key: String,
    /// Its scope.
    pub scope: String,
    /// The version of the cache's layout.
    pub version: String,
    /// The digest of the restored tree's contents.
    pub content: String,
    /// How many files there were.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The quick fingerprint after the restore, if nothing but the entry is in the target.
    pub quick: Option<String>,
    /// The entry proved corrupt and was not restored: a save may replace it.
    #[serde(default)]
    pub corrupt: bool,
}

impl Receipt {
    /// Whether the quick fingerprint is the one of the restored tree.
    pub fn is_untouched(&self, now: &Quick) -> bool {
        self.quick.as_deref() == Some(now.digest.to_string().as_str())
    }
}

/// One receipt for each cache of each checkout.
fn path(cache: &Cache<'_>) -> PathBuf {
    let facts = cache.ctx.platform.facts();
    let lines = [cache.ctx.workspace, cache.root()].map(|path| path.display().to_string());
    let place = Sha256Digest::of_lines(lines).to_string();
    facts.state_dir.join("receipts").join(format!("{}-{place:.16}.json", cache.name()))
}

/// Leaves a receipt. One that cannot be written costs a needless save and nothing else.
pub fn write(cache: &Cache<'_>, receipt: &Receipt) -> Result<(), String> {
    let bytes = serde_json::to_vec(receipt).expect("only strings and numbers");
    let path = path(cache);
    atomic::write(&path, &bytes, cache.ctx.now).map_err(|error| error.to_string())
}

/// The receipt of this cache's last restore, if there is one that fits its layout.
pub fn read(cache: &Cache<'_>) -> Option<Receipt> {
    let text = text::read(&path(cache), MAX_BYTES).ok()?;
    let receipt: Receipt = serde_json::from_str(&text).ok()?;
    (receipt.version == cache.version().as_str()).then_some(receipt)
}
