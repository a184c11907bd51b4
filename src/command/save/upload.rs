//! Archives on their way to the store: packed and uploaded at once, read back, deleted where they are corrupt.

use std::time::{Duration, Instant};

use super::decide::SaveRefusal;
use super::failure::StoreFailure;
use super::room::StoreGuard;
use crate::archive::{self, ArchiveError, Composite, Limits, PackRequest, Packed};
use crate::command::cache::Cache;
use crate::command::context::Deadline;
use crate::command::generations::Generation;
use crate::domain::entry::Entry;
use crate::domain::event::{Level, Phase, Running};
use crate::domain::key::Key;
use crate::domain::spec::VerifySave;
use crate::domain::thin::saved_for;
use crate::domain::unit::ByteSize;
use crate::report::failure;
use crate::store::{Access, Commit, Deletion, EntryWriter, NewEntry, StoreError, StoreErrorKind};
use crate::transport::pipe::{self, Chunks, PipeError, PipeWriter};

/// Within this time after it was read an entry is no longer leased by this process.
const LEASE_ENDS: Duration = Duration::from_secs(5);

/// Bytes that are compared at each end of an entry. The last hold its digest and, up to some 20 GB, its whole seek table.
const END: usize = 64 << 10;

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

/// Stores all of a cache under this key.
pub(super) fn store_whole(
    cache: &Cache<'_>,
    request: &PackRequest<'_>,
    key: &Key,
    deadline: &Deadline,
) -> Result<Stored, StoreFailure> {
    let new = NewEntry { scope: cache.access().own, key: key.clone(), version: cache.version() };
    let running = cache.ctx.start(cache.name(), Phase::Save);
    let mut out = Outgoing::begin(cache, new, deadline)?;
    let packed = archive::pack(request, &mut out.pipe, &deadline.cancel, &running.meter);
    Ok(match out.commit(packed, running)? {
        (packed, Some(_)) => Stored::Created { packed: Box::new(packed), whole: None },
        (_, None) => Stored::Exists,
    })
}

/// An entry that is uploaded while it is packed, in bounded memory.
pub(super) struct Outgoing<'a> {
    cache: &'a Cache<'a>,
    deadline: &'a Deadline,
    /// Takes the archive.
    pub(super) pipe: PipeWriter<(Box<dyn EntryWriter>, SentEnds), StoreError>,
}

impl<'a> Outgoing<'a> {
    /// Begins the upload of an entry ([`Store::create`](crate::store::Store::create)): a task sends what is written into the pipe.
    pub(super) fn begin(
        cache: &'a Cache<'a>,
        new: NewEntry,
        deadline: &'a Deadline,
    ) -> Result<Self, StoreFailure> {
        let ctx = cache.ctx;
        let writer = ctx.wait(deadline, ctx.store().create(new))?;
        let guard = ctx.store.choice.directory().and_then(|store| StoreGuard::new(ctx, store));
        let pipe = pipe::writer(&ctx.runtime, |chunks| send(writer, guard, chunks), &deadline.cancel);
        Ok(Outgoing { cache, deadline, pipe })
    }

    /// Commits the entry once it is packed, and verifies it: its ends where the store has compared what was sent, else all of it, unless the
    /// cache says otherwise. One that is damaged is deleted. `None` in its place where another job was
    /// faster.
    pub(super) fn commit(
        self,
        packed: Result<Packed, ArchiveError>,
        running: Running<'_>,
    ) -> Result<(Packed, Option<Entry>), StoreFailure> {
        let Outgoing { cache, deadline, pipe } = self;
        let ctx = cache.ctx;
        let packed = match packed {
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
            let text = format!("`{}` is not a regular file and was left out", skipped.display());
            ctx.report(Level::Warning, cache.name(), text);
        }
        let (writer, sent) = pipe.finish().map_err(StoreFailure::of_pipe)?;
        let committed = ctx.wait(deadline, writer.commit())?;
        drop(running);
        let Commit::Created { entry, is_checked } = committed else { return Ok((packed, None)) };
        let of_store = if is_checked { VerifySave::Ends } else { VerifySave::Full };
        verify_stored(cache, &entry, &sent, cache.spec.verify_save.unwrap_or(of_store), deadline)?;
        Ok((packed, Some(entry)))
    }
}

/// Reads back as much of an entry that was created just now as its cache asks for or, without a word, as its store makes necessary; one
/// that is damaged is deleted.
fn verify_stored(
    cache: &Cache<'_>,
    entry: &Entry,
    sent: &SentEnds,
    how: VerifySave,
    deadline: &Deadline,
) -> Result<(), StoreFailure> {
    let ctx = cache.ctx;
    let verified = match how {
        VerifySave::Ends => compare_ends(cache, entry, sent, deadline),
        VerifySave::Full if cache.is_thin(entry) => read_back_thin(cache, entry, false, deadline),
        VerifySave::Full => read_back(cache, entry, deadline),
        VerifySave::None => {
            ctx.report(Level::Debug, cache.name(), "the entry is not verified, as `verify-save` says");
            Ok(())
        }
    };
    match verified {
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
    let catalog = ctx.store.catalog().ok_or_else(|| {
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

/// The ends and the length of what was sent.
#[derive(Debug, Default)]
pub(super) struct SentEnds {
    first: Vec<u8>,
    last: Vec<u8>,
    bytes: u64,
}

impl SentEnds {
    /// Adds what is sent next.
    fn add(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        let missing = (END - self.first.len()).min(chunk.len());
        self.first.extend_from_slice(&chunk[..missing]);
        if chunk.len() >= END {
            self.last.clear();
        }
        self.last.extend_from_slice(&chunk[chunk.len().saturating_sub(END)..]);
        self.last.drain(..self.last.len().saturating_sub(END));
    }
}

/// Compares size, first and last bytes of an entry with what was sent.
fn compare_ends(
    cache: &Cache<'_>,
    entry: &Entry,
    sent: &SentEnds,
    deadline: &Deadline,
) -> Result<(), StoreFailure> {
    let ctx = cache.ctx;
    let (first, last) = (sent.first.len() as u64, sent.last.len() as u64);
    let ends = [0..first, sent.bytes - last..sent.bytes];
    let is_same = entry.size.0 == sent.bytes && {
        let parts = ctx.wait(deadline, ctx.store().read_parts(entry, &ends))?;
        matches!(&parts[..], [one, other] if *one == sent.first && *other == sent.last)
    };
    if !is_same {
        let message = format!("`{}` at {} is not what was sent", entry.key, ctx.store().location());
        return Err(StoreError::new(StoreErrorKind::Corrupt, message).into());
    }
    ctx.report(Level::Debug, cache.name(), "size, first and last bytes of the entry are as they were sent");
    Ok(())
}

/// Reads an entry to its end, and what it takes content from: what the store returns is what was packed.
pub(super) fn read_back(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Result<(), StoreFailure> {
    if cache.is_thin(entry) {
        return read_back_thin(cache, entry, true, deadline);
    }
    let ctx = cache.ctx;
    let running = ctx.start(cache.name(), Phase::ReadBack);
    running.meter.set_total(entry.size.0);
    let stream = ctx.wait(deadline, ctx.store().read(entry))?;
    let input = pipe::reader(&ctx.runtime, stream, &deadline.cancel);
    let limits = Limits { bytes: u64::MAX, entries: u64::MAX };
    let started = Instant::now();
    archive::verify(input, ctx.workers, limits, &deadline.cancel, &running.meter)?;
    let text = format!("read back {} in {:.3} s", entry.size, started.elapsed().as_secs_f64());
    ctx.report(Level::Debug, cache.name(), text);
    Ok(())
}

/// The same of a thin entry, of which the contents are compared with its list.
fn read_back_thin(
    cache: &Cache<'_>,
    entry: &Entry,
    with_parents: bool,
    deadline: &Deadline,
) -> Result<(), StoreFailure> {
    let ctx = cache.ctx;
    let _running = ctx.start(cache.name(), Phase::ReadBack);
    let unlisted = || ArchiveError::Damaged("it has no list of its files".to_owned());
    let generation = Generation::open::<StoreFailure>(cache, entry, deadline)?.ok_or_else(unlisted)?;
    let composite = Composite::new(&generation.listing, &generation.frames)?;
    let open = |ranges| generation.reader(ctx, ranges, &deadline.cancel);
    Ok(composite.verify(with_parents, open, ctx.workers, &deadline.cancel)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_ends_of_what_was_sent_are_kept(lengths in proptest::collection::vec(0usize..2 * END, 0..8)) {
            let (mut sent, mut whole) = (SentEnds::default(), Vec::new());
            for (number, length) in lengths.iter().enumerate() {
                let chunk: Vec<u8> = (0..*length).map(|at| u8::try_from((at + number) % 251).expect("small")).collect();
                sent.add(&chunk);
                whole.extend_from_slice(&chunk);
            }
            prop_assert_eq!(sent.bytes, whole.len() as u64);
            prop_assert_eq!(&sent.first[..], &whole[..whole.len().min(END)]);
            prop_assert_eq!(&sent.last[..], &whole[whole.len().saturating_sub(END)..]);
        }
    }
}
