//! The note in every entry that `Cache@2` keeps: its key, which the task does not report, and what the task loses of a tree.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::command::cache::Cache;
use crate::domain::fault::Fault;
use crate::domain::key::Key;
use crate::domain::shown::Shown;
use crate::domain::version::LAYOUT_ROOT;
use crate::fs::path_error::PathError;
use crate::fs::{atomic, read, write};
use crate::tree::plain_files::{self, Measure, Metadata, Notes};

/// The name of the note, beside the tree.
const NAME: &str = "cachekeep-entry.json";

/// The format of the note, raised when older programs cannot use it.
const FORMAT: u32 = 1;

/// Upper bound for a note, in bytes: half a million paths.
const MAX_BYTES: u64 = 64 << 20;

/// What the note says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EntryNote {
    format: u32,
    cache: String,
    /// The key of the entry.
    pub(super) key: String,
    version: String,
    measure: Measure,
    notes: Notes,
}

/// Notes an entry beside the tree that was shown at `base`, and reduces that tree to plain files.
pub(super) fn leave(cache: &Cache<'_>, base: &Path, key: &Key, metadata: Metadata) -> Result<(), Fault> {
    let (measure, notes) = plain_files::reduce(&base.join(LAYOUT_ROOT), metadata)?;
    let note = EntryNote {
        format: FORMAT,
        cache: cache.name().to_owned(),
        key: key.to_string(),
        version: cache.version().to_string(),
        measure,
        notes,
    };
    let text = serde_json::to_vec(&note)
        .map_err(|error| Fault::environment("cannot note the entry").caused_by(error))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(Fault::environment(
            "the tree has more links and directories than `Cache@2` can be given",
        )
        .with_hint("use a store of your own, which has no such limit".to_owned()));
    }
    Ok(atomic::write(&place(base), &text, cache.ctx.now)?)
}

/// Reads the note of the entry that was unpacked at `base`, and checks that it is one of this cache. The entry may be a
/// stranger's.
pub(super) fn read(cache: &Cache<'_>, base: &Path) -> Result<EntryNote, Fault> {
    let path = place(base);
    let bytes = read::read_regular(&path, MAX_BYTES).map_err(PathError::on("read", &path))?;
    let damaged = |what: String| Fault::environment(format!("`{}` {what}", path.display()));
    let note: EntryNote = serde_json::from_slice(&bytes).map_err(|error| {
        damaged(format!("is not a note of an entry: {}", Shown::message(&error.to_string())))
    })?;
    if note.format != FORMAT {
        return Err(damaged(format!(
            "has the format {}, which another version of cachekeep reads",
            note.format
        )));
    }
    if note.version != cache.version().as_str() {
        return Err(damaged(format!("is of the cache `{}`", Shown::value(&note.cache))));
    }
    Ok(note)
}

/// Checks that the tree at `base` is whole, and gives it back what the task lost.
pub(super) fn complete(cache: &Cache<'_>, base: &Path) -> Result<(), Fault> {
    let note = read(cache, base)?;
    let tree = base.join(LAYOUT_ROOT);
    let there = plain_files::measure(&tree)?;
    if there != note.measure {
        return Err(Fault::environment(format!(
            "the tree is not the one that was saved: {} files and {} bytes instead of {} and {}",
            there.files, there.bytes, note.measure.files, note.measure.bytes
        )));
    }
    plain_files::complete(&tree, &note.notes)?;
    Ok(write::remove_file(&place(base))?)
}

fn place(base: &Path) -> PathBuf {
    base.join(NAME)
}
