//! Entries between the store and this machine: found, unpacked beside their targets, packed and stored, read back.

use std::time::{Duration, Instant};

use crate::archive::{
    self, ArchiveError, Destination, Limits, Manifest, PackRequest, Packed, UnpackRequest, Unpacked,
};
use crate::command::cache::{Cache, Keys};
use crate::command::context::Deadline;
use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::key::Key;
use crate::domain::outcome::SaveResult;
use crate::domain::scope::Scope;
use crate::domain::sentinel::SENTINEL_FILE;
use crate::domain::unit::ByteSize;
use crate::fs::path_error::PathError;
use crate::fs::preflight::{self, Need};
use crate::fs::staging::Staging;
use crate::fs::volume::volume_of;
use crate::report::failure;
use crate::store::{
    Access, CatalogError, Commit, Deletion, EntryWriter, NewEntry, StoreError, StoreErrorKind,
};
use crate::transport::pipe::{self, Chunks, PipeError};
use crate::tree::selection::Selection;

/// How many entries an archive without our manifest may hold.
const FOREIGN_ENTRIES: u64 = 10_000_000;

/// Within this time after it was read an entry is no longer leased by this process.
const LEASE_ENDS: Duration = Duration::from_secs(5);

/// Why an entry that was found was not delivered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliverError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive is damaged, hostile, or cannot be written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Something else, such as a full volume, or trees that cannot be verified or published.
    #[error(transparent)]
    Other(#[from] Fault),
}

impl Hint for DeliverError {
    fn hint(&self) -> Option<String> {
        match self {
            DeliverError::Store(error) => error.hint(),
            DeliverError::Archive(error) => error.hint(),
            DeliverError::Other(error) => error.hint(),
        }
    }
}

impl DeliverError {
    /// Whether the entry was deleted after it was found, and nothing was begun.
    pub(crate) fn is_vanished(&self) -> bool {
        matches!(self, DeliverError::Store(error) if error.kind() == StoreErrorKind::NotFound)
    }

    /// Whether the entry itself is bad, so that reading it again cannot help.
    pub(crate) fn is_corrupt(&self) -> bool {
        match self {
            DeliverError::Store(error) => error.kind() == StoreErrorKind::Corrupt,
            DeliverError::Archive(error) => {
                let of_store = StoreError::in_causes_of(error);
                error.is_damage() || of_store.is_some_and(|error| error.kind() == StoreErrorKind::Corrupt)
            }
            DeliverError::Other(_) => false,
        }
    }
}

/// Why an entry was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreFailure {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive could not be packed or read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Something else, such as a cache that cannot be read.
    #[error(transparent)]
    Other(#[from] Fault),
    /// The entry was stored, and what the store returns is not what was packed.
    #[error("reading back failed")]
    ReadBack(#[source] Box<StoreFailure>),
}

impl From<CatalogError> for StoreFailure {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Store(error) => StoreFailure::Store(error),
            CatalogError::Api(_) => StoreFailure::Other(Fault::from(error)),
        }
    }
}

impl StoreFailure {
    /// What ended an upload.
    pub(crate) fn of_pipe(error: PipeError<StoreError>) -> Self {
        match error {
            PipeError::Consumer(error) => StoreFailure::Store(error),
            PipeError::Cancelled(error) => StoreFailure::Archive(ArchiveError::Output(error)),
        }
    }

    /// The store's own error, where it is one or hides behind an archive's.
    fn of_store(&self) -> Option<&StoreError> {
        match self {
            StoreFailure::Store(error) => Some(error),
            StoreFailure::Archive(error) => StoreError::in_causes_of(error),
            StoreFailure::ReadBack(error) => error.of_store(),
            StoreFailure::Other(_) => None,
        }
    }

    /// Whether the entry itself is bad.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            StoreFailure::Archive(error) => error.is_damage(),
            other => other.of_store().is_some_and(|error| error.kind() == StoreErrorKind::Corrupt),
        }
    }

    /// Whether this job may write and not read.
    pub(crate) fn is_no_reader(&self) -> bool {
        self.of_store().is_some_and(|error| error.kind() == StoreErrorKind::Denied(Access::Read))
    }

    /// The documented result that this failure is.
    pub(crate) fn result(&self) -> SaveResult {
        if let StoreFailure::Archive(error) = self
            && error.is_no_space()
        {
            return SaveResult::NoSpace;
        }
        match self.of_store().map(StoreError::kind) {
            Some(StoreErrorKind::Exists) => SaveResult::Exists,
            Some(StoreErrorKind::Denied(_)) => SaveResult::DeniedMode,
            Some(StoreErrorKind::BudgetExceeded) => SaveResult::DeniedBudget,
            Some(StoreErrorKind::RateLimited { .. }) => SaveResult::RateLimited,
            Some(StoreErrorKind::NoSpace) => SaveResult::NoSpace,
            _ => SaveResult::Failed,
        }
    }
}

impl Hint for StoreFailure {
    fn hint(&self) -> Option<String> {
        if let Some(error) = self.of_store() {
            return error.hint();
        }
        match self {
            StoreFailure::Archive(error) => error.hint(),
            StoreFailure::Other(error) => error.hint(),
            StoreFailure::ReadBack(error) => error.hint(),
            StoreFailure::Store(_) => None,
        }
    }
}

/// The result of storing an archive.
pub(crate) enum Stored {
    /// The entry was created.
    Created(Box<Packed>),
    /// Another job created it first.
    Exists,
}

/// The entry that answers for this cache in the first of these scopes that has one.
pub(crate) fn lookup(
    cache: &Cache<'_>,
    keys: &Keys,
    scopes: Vec<Scope>,
    deadline: &Deadline,
) -> Result<Option<Entry>, StoreError> {
    let ctx = cache.ctx;
    let request = LookupRequest {
        exact: false,
        key: keys.key.clone(),
        restore_keys: keys.restore_keys.clone(),
        version: cache.version(),
        scopes,
    };
    let prefixes: Vec<String> = keys.restore_keys.iter().map(|key| format!("`{key}*`")).collect();
    let then = if prefixes.is_empty() { String::new() } else { format!(", then {}", prefixes.join(", ")) };
    ctx.report(
        Level::Debug,
        cache.name(),
        format!("looking for `{}`{then} in {}, layout {}", keys.key, ctx.store().location(), request.version),
    );
    let started = Instant::now();
    let found = ctx.wait(deadline, ctx.store().lookup(&request));
    if let Ok(found) = &found {
        let found = found.as_ref().map_or("nothing".to_owned(), |entry| {
            format!("`{}` of {}, {}", entry.key, entry.scope, entry.size)
        });
        let text = format!("found {found} in {:.3} s", started.elapsed().as_secs_f64());
        ctx.report(Level::Debug, cache.name(), text);
    }
    found
}

/// The entry with this key that this job can read: then every reader of this job's entries already finds it.
pub(crate) fn existing(
    cache: &Cache<'_>,
    key: &Key,
    deadline: &Deadline,
) -> Result<Option<Entry>, StoreFailure> {
    let ctx = cache.ctx;
    let request = LookupRequest {
        key: key.clone(),
        restore_keys: Vec::new(),
        version: cache.version(),
        scopes: cache.access().readable,
        exact: true,
    };
    match ctx.wait(deadline, ctx.store().lookup(&request)) {
        // A write-only job cannot look up; the store reports the conflict on create.
        Err(error) if error.kind() == StoreErrorKind::Denied(Access::Read) => Ok(None),
        found => Ok(found?),
    }
}

/// Unpacks an entry beside its targets: the trees of its roots, in their order, and what they hold.
pub(crate) fn deliver(
    cache: &Cache<'_>,
    entry: &Entry,
    deadline: &Deadline,
) -> Result<(Vec<Staging>, Unpacked), DeliverError> {
    let ctx = cache.ctx;
    let stream = ctx.wait(deadline, ctx.store().read(entry))?;
    // Even if it cannot be restored, it is in use. The lease of the read keeps it until then.
    let noted = async {
        ctx.store().note_use(entry).await;
        Ok::<_, StoreError>(())
    };
    let _ = ctx.wait_for_store(noted);
    let running = ctx.start(cache.name(), Phase::Restore);
    let stagings = cache
        .selections
        .iter()
        .map(|selection| cache.staging(selection))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Fault::from)?;
    let destinations = cache.prefixes.iter().zip(&stagings).map(|(prefix, staging)| Destination {
        prefix: prefix.clone(),
        directory: staging.tree().to_owned(),
    });
    let mut no_room = None;
    let mut on_manifest = |manifest: &Manifest| {
        running.meter.set_total(manifest.unpacked_bytes);
        check_room(cache, manifest).map_err(|error| {
            let text = error.to_string();
            no_room = Some(error);
            text
        })
    };
    let request = UnpackRequest {
        destinations: destinations.collect(),
        workers: ctx.workers,
        foreign: Limits { bytes: room_for_foreign(cache).map_err(Fault::from)?, entries: FOREIGN_ENTRIES },
        on_manifest: &mut on_manifest,
    };
    let input = pipe::reader(&ctx.runtime, stream, &deadline.cancel);
    let unpacked = archive::unpack(request, input, &deadline.cancel, &running.meter);
    match (unpacked, no_room) {
        (_, Some(error)) => Err(error.into()),
        (Err(error), None) => Err(error.into()),
        (Ok(unpacked), None) => Ok((stagings, unpacked)),
    }
}

/// Room for everything the manifest announces, on the volume of each root, beyond the reserve.
fn check_room(cache: &Cache<'_>, manifest: &Manifest) -> Result<(), Fault> {
    let need = |(selection, root): (&Selection, &archive::Root)| Need {
        path: selection.root.clone(),
        bytes: ByteSize(root.room()),
        inodes: root.entries,
    };
    let needs: Vec<_> = cache.selections.iter().zip(&manifest.roots).map(need).collect();
    preflight::check(&needs, cache.ctx.reserve())
}

/// What an archive without a manifest may fill: the free room beyond the reserve.
fn room_for_foreign(cache: &Cache<'_>) -> Result<u64, PathError> {
    let volume = volume_of(cache.root())?;
    let reserved = cache.ctx.reserve().of(volume.total);
    Ok(volume.free.0.saturating_sub(reserved.0))
}

/// Packs and stores at once, in bounded memory; then reads back what the store holds.
pub(crate) fn store(cache: &Cache<'_>, key: &Key, deadline: &Deadline) -> Result<Stored, StoreFailure> {
    let ctx = cache.ctx;
    let new = NewEntry { scope: cache.access().own, key: key.clone(), version: cache.version() };
    let request = PackRequest {
        cache: cache.name(),
        selections: &cache.selections,
        last: Some(SENTINEL_FILE.as_ref()),
        producer: concat!("cachekeep ", env!("CARGO_PKG_VERSION")),
        workers: ctx.workers,
        levels: archive::Levels::default(),
    };
    let running = ctx.start(cache.name(), Phase::Save);
    let writer = ctx.wait(deadline, ctx.store().create(new))?;
    let mut pipe = pipe::writer(&ctx.runtime, |chunks| upload(writer, chunks), &deadline.cancel);
    let packed = match archive::pack(&request, &mut pipe, &deadline.cancel, &running.meter) {
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
    let committed = pipe.finish().map_err(StoreFailure::of_pipe)?.commit();
    let commit = ctx.wait(deadline, committed)?;
    drop(running);
    let entry = match commit {
        Commit::Created(entry) => entry,
        Commit::Exists => {
            return Ok(Stored::Exists);
        }
    };
    match read_back(cache, &entry, deadline) {
        Ok(()) => Ok(Stored::Created(Box::new(packed))),
        Err(error) if error.is_no_reader() => {
            let text = format!("`{}` is not read back: {}", entry.key, failure::chain(&error));
            ctx.report(Level::Info, cache.name(), text);
            Ok(Stored::Created(Box::new(packed)))
        }
        Err(error) => {
            if error.is_damage() {
                // This job created the entry, so it may delete it.
                let _ = delete(cache, &entry, deadline);
            }
            Err(StoreFailure::ReadBack(Box::new(error)))
        }
    }
}

/// Deletes an entry that this job has read; a read-ahead may hold the lease for a moment longer.
pub(crate) fn delete(
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
    mut chunks: Chunks,
) -> Result<Box<dyn EntryWriter>, StoreError> {
    while let Some(chunk) = chunks.next().await {
        if let Err(error) = writer.write(chunk).await {
            writer.abort().await;
            return Err(error);
        }
    }
    Ok(writer)
}

/// Reads an entry to its end: what the store returns is what was packed.
pub(crate) fn read_back(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Result<(), StoreFailure> {
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
