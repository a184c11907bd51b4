//! The sentinel of a tree: read only if it is well-formed, written last and atomically.

use std::path::Path;

use chrono::{DateTime, Utc};

use crate::domain::inventory::Inventory;
use crate::domain::sentinel::{SENTINEL_FILE, Sentinel};
use crate::fs::atomic;
use crate::fs::open::Links;
use crate::fs::path_error::PathError;
use crate::fs::read::text;

/// A sentinel has five short lines.
const MOST_SENTINEL_BYTES: u64 = 4 << 10;

/// What the sentinel of a tree claims; `None` where there is none or it is malformed.
pub(crate) fn read(root: &Path) -> Option<Sentinel> {
    let text = text(&root.join(SENTINEL_FILE), Links::Refused, MOST_SENTINEL_BYTES).ok()?;
    Sentinel::parse(&text).ok()
}

/// Makes the sentinel say what the tree holds, of the seed that it names already: it is replaced atomically, or left alone where it says so.
pub(crate) fn update(root: &Path, found: &Inventory, now: DateTime<Utc>) -> Result<(), PathError> {
    let before = read(root);
    let seed = before.as_ref().and_then(|sentinel| sentinel.seed.clone());
    replace(root, before.as_ref(), &Sentinel::of(seed, found), now)
}

/// Makes the sentinel say what the tree holds, and that it was seeded with this version.
pub(crate) fn write_seeded(
    root: &Path,
    seed: &str,
    found: &Inventory,
    now: DateTime<Utc>,
) -> Result<(), PathError> {
    replace(root, read(root).as_ref(), &Sentinel::of(Some(seed.to_owned()), found), now)
}

/// Writes the sentinel, unless it says this already.
fn replace(
    root: &Path,
    before: Option<&Sentinel>,
    sentinel: &Sentinel,
    now: DateTime<Utc>,
) -> Result<(), PathError> {
    if before == Some(sentinel) {
        return Ok(());
    }
    atomic::write(&root.join(SENTINEL_FILE), sentinel.to_string().as_bytes(), now)
}
