//! Archives on their way to the store: uploaded while they are packed, verified, deleted where they are corrupt.

use std::time::{Duration, Instant};

use super::decide::SaveRefusal;
use super::failure::StoreFailure;
use super::room::StoreGuard;
use super::verify::{self, SentEnds};
use crate::archive::{self, ArchiveError, Packed};
use crate::command::cache::Cache;
use crate::command::context::Deadline;
use crate::domain::entry::Entry;
use crate::domain::event::Level;
use crate::domain::thin::saved_for;
use crate::domain::unit::ByteSize;
use crate::report::failure;
use crate::store::{Access, Commit, Deletion, EntryWriter, NewEntry, StoreError, StoreErrorKind};
use crate::transport::pipe::{self, Chunks, PipeError};

/// Within this time after it was read an entry is no longer leased by this process.
const LEASE_ENDS: Duration = Duration::from_secs(5);

/// The result of storing an archive.
pub(crate) enum Stored {
    /// The entry was created.
    Created {
        packed: Box<Packed>,
        /// The size that the whole archive would have, where only what changed was stored.
        whole: Option<ByteSize>,
    },
    /// Another job created it first.
    Exists,
    /// It is not stored, though nothing failed.
    Refused(SaveRefusal),
}

/// Takes an archive that is uploaded while it is packed.
pub(super) type Outgoing<'a> = archive::Passing<'a, (Box<dyn EntryWriter>, SentEnds), StoreError>;

/// Packs and stores at once, in bounded memory. Returns the new entry and what of it was sent, for comparison; `None` in their place
/// where another job was faster.
pub(super) fn upload(
    cache: &Cache<'_>,
    new: NewEntry,
    deadline: &Deadline,
    pack: impl FnOnce(Outgoing<'_>) -> Result<Packed, ArchiveError>,
) -> Result<(Packed, Option<(Entry, SentEnds)>), StoreFailure> {
    let ctx = cache.ctx;
    let writer = ctx.wait(deadline, ctx.store().create(new))?;
    let guard = StoreGuard::of(ctx);
    let mut pipe = pipe::writer(&ctx.runtime, |chunks| send(writer, guard, chunks), &deadline.cancel);
    let packed = match pack(archive::Passing(&mut pipe)) {
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
    let created = match ctx.wait(deadline, writer.commit())? {
        Commit::Created(entry) => Some((entry, sent)),
        Commit::Exists => None,
    };
    Ok((packed, created))
}

/// Verifies an entry that was created just now; one that is damaged is deleted.
pub(super) fn checked(
    cache: &Cache<'_>,
    entry: &Entry,
    sent: &SentEnds,
    deadline: &Deadline,
) -> Result<(), StoreFailure> {
    let ctx = cache.ctx;
    match verify::verify(cache, entry, sent, deadline) {
        Ok(()) => Ok(()),
        Err(error) if error.is_no_reader() => {
            let text = format!("`{}` is not read back: {}", saved_for(&entry.key), failure::chain(&error));
            ctx.report(Level::Info, cache.name(), text);
            Ok(())
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
async fn send(
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
