//! The sentinel on disk: read for what it claims, written last and atomically.

use std::path::Path;

use super::cache::Cache;
use crate::domain::inventory::Inventory;
use crate::domain::sentinel::{SENTINEL_FILE, Sentinel};
use crate::fs::atomic;
use crate::fs::path_error::PathError;
use crate::fs::text;

/// A sentinel has five short lines.
const MAX_BYTES: u64 = 4 << 10;

/// What the cache's sentinel claims; `None` where there is none or it cannot be read as one.
pub fn read(cache: &Cache<'_>) -> Option<Sentinel> {
    read_at(cache.root())
}

/// What the sentinel of a tree claims.
pub fn read_at(root: &Path) -> Option<Sentinel> {
    let text = text::read(&root.join(SENTINEL_FILE), MAX_BYTES).ok()?;
    Sentinel::parse(&text).ok()
}

/// Makes the sentinel say what the cache holds; leaves it alone where it does already.
pub fn write(cache: &Cache<'_>, seed: Option<String>, inventory: &Inventory) -> Result<(), PathError> {
    let sentinel = Sentinel::of(seed, inventory);
    if read(cache).as_ref() == Some(&sentinel) {
        return Ok(());
    }
    atomic::write(&cache.root().join(SENTINEL_FILE), sentinel.to_string().as_bytes(), cache.ctx.now)
}
