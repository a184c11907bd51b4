//! Entries on their way to the store: packed and stored at once, verified, deleted where they are corrupt.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::failure::StoreFailure;
use super::room::{StoreGuard, StoreRoom};
use super::verify::{self, SentEnds};
use crate::archive::{self, ArchiveError, PackRequest, Packed};
use crate::command::cache::Cache;
use crate::command::context::Deadline;
use crate::domain::entry::Entry;
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::key::Key;
use crate::domain::outcome::{SaveResult, TrimOutcome};
use crate::domain::sentinel::SENTINEL_FILE;
use crate::report::failure;
use crate::store::{
    Access, Commit, Deletion, EntryWriter, NewEntry, StoreChoice, StoreError, StoreErrorKind,
};
use crate::transport::pipe::{self, Chunks, PipeError};
use crate::tree::changing::changing;
use crate::tree::selection::Selection;

/// Within this time after it was read an entry is no longer leased by this process.
const LEASE_ENDS: Duration = Duration::from_secs(5);

/// The result of storing an archive.
pub(crate) enum Stored {
    /// The entry was created.
    Created(Box<Packed>),
    /// Another job created it first.
    Exists,
}

/// How many files are left out of an entry since they do not stop changing.
const MOST_LEFT_OUT: usize = 20;

/// How long files are watched to find those that do not stop changing.
const WATCHED: Duration = Duration::from_millis(200);

/// Stores a cache. Where something changes while it is packed, all is read once more; what changes again is left out with a warning,
/// as a log is that another process writes to.
pub(super) fn store(
    cache: &Cache<'_>,
    key: &Key,
    trimmed: &mut Option<TrimOutcome>,
    deadline: &Deadline,
) -> Result<Stored, StoreFailure> {
    let ctx = cache.ctx;
    let mut room = StoreRoom::of(cache);
    if let Some(room) = &room {
        room.prepare();
    }
    let mut selections = cache.selections.clone();
    let mut changed: Option<PathBuf> = None;
    let mut left_out = 0;
    loop {
        let (path, error) = match store_once(cache, &selections, key, deadline) {
            Err(StoreFailure::Archive(error)) if error.changed().is_some() => {
                (error.changed().map(Path::to_owned), error)
            }
            Err(error) if error.result() == SaveResult::NoSpace => {
                let Some(room) = &mut room else { return Err(error) };
                if room.make(&error, trimmed)? {
                    continue;
                }
                return Err(error);
            }
            stored => return stored,
        };
        // A name that the service has reserved for this upload is not given again.
        if matches!(ctx.store, StoreChoice::Service(_)) || left_out >= MOST_LEFT_OUT {
            return Err(error.into());
        }
        if changed != path {
            ctx.report(Level::Info, cache.name(), format!("{}; once more", failure::chain(&error)));
            changed = path;
            continue;
        }
        let found = match error {
            ArchiveError::Changed(path) => vec![path],
            _ => changing(&selections, || ctx.runtime.pause(WATCHED)).map_err(Fault::from)?,
        };
        let before = left_out;
        for path in found.into_iter().take(MOST_LEFT_OUT - left_out) {
            left_out += usize::from(leave_out(cache, &mut selections, &path));
        }
        if left_out == before {
            return Err(ArchiveError::Changed(changed.unwrap_or_default()).into());
        }
    }
}

/// Leaves a file out of the selection that it belongs to. Returns whether there is one, of which it is not the root.
fn leave_out(cache: &Cache<'_>, selections: &mut [Selection], path: &Path) -> bool {
    for selection in selections {
        if let Ok(relative) = path.strip_prefix(&selection.root)
            && !relative.as_os_str().is_empty()
        {
            *selection = selection.clone().without(relative);
            let text = format!("`{}` does not stop changing, and is not in the entry", path.display());
            let hint = "stop what writes to it before the save, or exclude it with `!`".to_owned();
            cache.ctx.report_with_hint(Level::Warning, cache.name(), text, Some(hint));
            return true;
        }
    }
    false
}

/// Packs and stores at once, in bounded memory; then verifies what the store holds.
fn store_once(
    cache: &Cache<'_>,
    selections: &[Selection],
    key: &Key,
    deadline: &Deadline,
) -> Result<Stored, StoreFailure> {
    let ctx = cache.ctx;
    let new = NewEntry { scope: cache.access().own, key: key.clone(), version: cache.version() };
    let request = PackRequest {
        cache: cache.name(),
        selections,
        last: Some(SENTINEL_FILE.as_ref()),
        producer: concat!("cachekeep ", env!("CARGO_PKG_VERSION")),
        workers: ctx.workers,
        levels: archive::Levels::default(),
    };
    let running = ctx.start(cache.name(), Phase::Save);
    let writer = ctx.wait(deadline, ctx.store().create(new))?;
    let guard = StoreGuard::of(ctx);
    let mut pipe = pipe::writer(&ctx.runtime, |chunks| upload(writer, guard, chunks), &deadline.cancel);
    let packed = match archive::pack(&request, archive::Passing(&mut pipe), &deadline.cancel, &running.meter)
    {
        Ok(packed) => packed,
        // Where the store stopped taking, its own error says why.
        Err(error) => {
            return match pipe.finish() {
                Err(PipeError::Consumer(of_store)) if error.is_broken_output() => Err(of_store.into()),
                _ => Err(error.into()),
            };
        }
    };
    for skipped in &packed.skipped {
        ctx.report(
            Level::Warning,
            cache.name(),
            format!("`{}` is not a regular file and was left out", skipped.display()),
        );
    }
    let (writer, sent) = pipe.finish().map_err(StoreFailure::of_pipe)?;
    let commit = ctx.wait(deadline, writer.commit())?;
    drop(running);
    let entry = match commit {
        Commit::Created(entry) => entry,
        Commit::Exists => {
            return Ok(Stored::Exists);
        }
    };
    checked(cache, &entry, &sent, packed, deadline)
}

/// Verifies an entry that was created just now; one that is damaged is deleted.
fn checked(
    cache: &Cache<'_>,
    entry: &Entry,
    sent: &SentEnds,
    packed: Packed,
    deadline: &Deadline,
) -> Result<Stored, StoreFailure> {
    let ctx = cache.ctx;
    match verify::verify(cache, entry, sent, deadline) {
        Ok(()) => Ok(Stored::Created(Box::new(packed))),
        Err(error) if error.is_no_reader() => {
            let text = format!("`{}` is not read back: {}", entry.key, failure::chain(&error));
            ctx.report(Level::Info, cache.name(), text);
            Ok(Stored::Created(Box::new(packed)))
        }
        Err(error) => {
            if error.is_damage() {
                // This job created the entry, so it may delete it.
                let _ = delete(cache, entry, deadline);
            }
            Err(StoreFailure::ReadBack(Box::new(error)))
        }
    }
}

/// Deletes an entry that this job has read; a read-ahead may hold the lease for a moment longer.
pub(super) fn delete(
    cache: &Cache<'_>,
    entry: &Entry,
    deadline: &Deadline,
) -> Result<Deletion, StoreFailure> {
    let ctx = cache.ctx;
    let catalog = ctx.catalog().ok_or_else(|| {
        let message = format!(
            "cannot delete entry {} at {}: the cache service of a job has no such method; `cachekeep clean` does it \
             through GitHub's REST API with `permissions: actions: write`",
            entry.id,
            ctx.store().location()
        );
        StoreError::new(StoreErrorKind::Denied(Access::Write), message)
    })?;
    let since = Instant::now();
    loop {
        let deleted = ctx.wait(deadline, catalog.delete(&entry.id))?;
        if deleted != Deletion::InUse || since.elapsed() > LEASE_ENDS {
            return Ok(deleted);
        }
        ctx.runtime.pause(Duration::from_millis(20));
    }
}

/// Writes chunks until there are no more. The caller commits, once the archive is complete.
async fn upload(
    mut writer: Box<dyn EntryWriter>,
    guard: Option<StoreGuard>,
    mut chunks: Chunks,
) -> Result<(Box<dyn EntryWriter>, SentEnds), StoreError> {
    let mut sent = SentEnds::default();
    while let Some(chunk) = chunks.next().await {
        sent.add(&chunk);
        let written = match guard.as_ref().map_or(Ok(()), |guard| guard.check(chunk.len())) {
            Ok(()) => writer.write(chunk).await,
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            writer.abort().await;
            return Err(error);
        }
    }
    Ok((writer, sent))
}
