//! What a job gave to `Cache@2` to save: the task saves after the job's last step and says the same whether it did or not, so the
//! next job on this machine that does not find it reports it.
//!
//! The notes lie in the user's state directory, which outlives jobs. On a machine that does not, there is none.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::command::cache::Cache;
use crate::domain::digest::Sha256Digest;
use crate::domain::event::Level;
use crate::domain::key::Key;
use crate::domain::shown::Shown;
use crate::fs::{atomic, read, remove};
use crate::report::failure;

/// Upper bound for a note, in bytes.
const MAX_BYTES: u64 = 16 << 10;

/// A save that was left to the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StagedNote {
    key: String,
    run: String,
}

/// Notes that the task is to save an entry of this key.
pub(crate) fn leave(cache: &Cache<'_>, key: &Key) {
    let Some(path) = path(cache) else { return };
    let note = StagedNote { key: key.to_string(), run: run(cache) };
    let bytes = serde_json::to_vec(&note).expect("only strings");
    if let Err(error) = atomic::write_below(&path, &bytes, cache.ctx.now) {
        let text = format!("the next job will not know of this save: {}", failure::chain(&error));
        cache.ctx.report(Level::Debug, cache.name(), text);
    }
}

/// Warns if an earlier job gave this key to the task and there is no such entry. Called once it is known whether there is one.
pub(crate) fn check(cache: &Cache<'_>, key: &Key, is_there: bool) {
    let Some(path) = path(cache) else { return };
    let Ok(bytes) = read::read_regular(&path, MAX_BYTES) else { return };
    let note: Option<StagedNote> = serde_json::from_slice(&bytes).ok();
    let is_of = |note: &StagedNote| note.key == key.as_str() && note.run != run(cache);
    if let Some(note) = note.filter(is_of) {
        // Said once, or known to be saved.
        let _ = remove::remove_tree(&path);
        if !is_there {
            let text =
                format!("run {} gave `{key}` to `Cache@2`, which did not save it", Shown::value(&note.run));
            let hint = "the end of that run's log says why, at `Post-job: Move cache`".to_owned();
            cache.ctx.report_with_hint(Level::Warning, cache.name(), text, Some(hint));
        }
    }
}

fn run(cache: &Cache<'_>) -> String {
    cache.ctx.platform.facts().run_id.clone().unwrap_or_default()
}

/// One note for each cache of each branch of a repository, in each pipeline.
fn path(cache: &Cache<'_>) -> Option<PathBuf> {
    let facts = cache.ctx.platform.facts();
    let state = facts.record_dirs.first()?.parent()?;
    let repository = facts.repository.as_ref().map(ToString::to_string).unwrap_or_default();
    let pipeline = cache.ctx.env.var("SYSTEM_DEFINITIONID").unwrap_or_default().to_owned();
    let lines = [repository, pipeline, cache.access().own.to_string()];
    let place = Sha256Digest::of_lines(lines).to_string();
    Some(state.join("staged").join(format!("{}-{place:.16}.json", cache.name())))
}
