//! The sentinel on disk: read for what it claims, written last and atomically.

use std::path::Path;

use chrono::{DateTime, Utc};

use crate::domain::inventory::Inventory;
use crate::domain::sentinel::{SENTINEL_FILE, Sentinel};
use crate::fs::atomic;
use crate::fs::path_error::PathError;
use crate::fs::text;

/// A sentinel has five short lines.
const MAX_BYTES: u64 = 4 << 10;

/// What the sentinel of a tree claims; `None` where there is none or it is malformed.
pub(crate) fn read(root: &Path) -> Option<Sentinel> {
    let text = text::read(&root.join(SENTINEL_FILE), MAX_BYTES).ok()?;
    Sentinel::parse(&text).ok()
}

/// Makes the sentinel say what the tree holds; leaves it alone where it does already.
pub(crate) fn write(
    root: &Path,
    seed: Option<String>,
    inventory: &Inventory,
    now: DateTime<Utc>,
) -> Result<(), PathError> {
    let sentinel = Sentinel::of(seed, inventory);
    if read(root).as_ref() == Some(&sentinel) {
        return Ok(());
    }
    atomic::write(&root.join(SENTINEL_FILE), sentinel.to_string().as_bytes(), now)
}
