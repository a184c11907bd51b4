//! `save`: look up, refuse what must not be saved, pack and store at once, read back.

use std::time::{Duration, Instant};

use super::cache::{Cache, Keys};
use super::context::{Context, Deadline};
use super::populate;
use super::receipt::{self, Receipt};
use super::remembered;
use super::save_error::SaveError;
use super::sentinel;
use super::session;
use super::trim;
use crate::archive::{self, Limits, PackRequest, Packed};
use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::key::Key;
use crate::domain::outcome::{JobOutcome, SaveOutcome, SaveResult};
use crate::domain::sentinel::SENTINEL_FILE;
use crate::domain::spec::{Role, SavePolicy};
use crate::domain::unit::ByteSize;
use crate::report::{failure, text};
use crate::store::{Access, Commit, Deletion, EntryWriter, NewEntry, StoreError, StoreErrorKind};
use crate::transport::pipe::{self, Chunks, PipeError};
use crate::tree::fingerprint;

/// Within this time after it was read an entry is no longer leased by this process.
const LEASE_ENDS: Duration = Duration::from_secs(5);

/// Saves every selected cache.
pub fn run(ctx: &Context<'_>) -> Result<JobOutcome, Fault> {
    let mut job = JobOutcome::new("save");
    session::recover(ctx);
    for opened in session::open_all(ctx)? {
        let _group = ctx.group(&format!("Save {}", opened.name()));
        let Some((cache, keys)) = opened.ready(&mut job) else { continue };
        let outcome = save(cache, keys);
        job.cache(cache.name()).save = Some(outcome);
    }
    Ok(job)
}

/// Why a cache is not saved, though nothing failed.
pub(super) struct Refusal {
    pub(super) result: SaveResult,
    pub(super) reason: String,
    pub(super) hint: Option<String>,
}

impl Refusal {
    fn new(result: SaveResult, reason: impl Into<String>) -> Self {
        Refusal { result, reason: reason.into(), hint: None }
    }

    fn with_hint(self, hint: impl Into<String>) -> Self {
        Refusal { hint: Some(hint.into()), ..self }
    }
}

/// What came of trying.
enum Tried {
    Refused(Refusal),
    Saved(Packed),
}

/// Saves one cache and says what came of it.
pub fn save(cache: &Cache<'_>, keys: &Keys) -> SaveOutcome {
    let ctx = cache.ctx;
    let started = Instant::now();
    let deadline = ctx.deadline();
    let mut outcome = SaveOutcome {
        cache: cache.name().to_owned(),
        key: keys.key.clone(),
        result: SaveResult::Failed,
        reason: None,
        hint: None,
        files: 0,
        unpacked: ByteSize(0),
        archive: ByteSize(0),
        elapsed: started.elapsed(),
    };
    let mut level = Level::Warning;
    match attempt(cache, keys, &deadline) {
        Ok(Tried::Saved(packed)) => {
            outcome.result = SaveResult::Saved;
            outcome.files = packed.manifest.counts.files;
            outcome.unpacked = ByteSize(packed.manifest.unpacked_bytes);
            outcome.archive = ByteSize(packed.archive_bytes);
            level = Level::Info;
            remembered::remember(cache, keys, &keys.key, &ctx.access.own, true);
        }
        Ok(Tried::Refused(refusal)) => {
            outcome.result = refusal.result;
            outcome.reason = Some(refusal.reason);
            outcome.hint = refusal.hint;
            // What the configuration asked for is news, not trouble.
            if outcome.result != SaveResult::Incomplete {
                level = Level::Info;
            }
        }
        Err(error) => {
            outcome.result = error.result();
            outcome.reason = Some(deadline.reason(ctx.interrupt).unwrap_or_else(|| failure::chain(&error)));
            outcome.hint = error.hint();
        }
    }
    outcome.elapsed = started.elapsed();
    ctx.say_with_hint(level, cache.name(), text::saved(&outcome), outcome.hint.clone());
    outcome
}

fn attempt(cache: &Cache<'_>, keys: &Keys, deadline: &Deadline) -> Result<Tried, SaveError> {
    if let Some(refusal) = refused_by_role(cache) {
        return Ok(Tried::Refused(refusal));
    }
    let receipt = receipt::read(cache);
    if let Some(entry) = existing(cache, &keys.key, deadline)?
        && !heal(cache, &entry, receipt.as_ref(), deadline)?
    {
        let reason = format!("`{}` is there already, in {}", entry.key, entry.scope);
        return Ok(Tried::Refused(Refusal::new(SaveResult::Exists, reason)));
    }
    let text = format!("no entry `{}` in {} that this job can read", keys.key, cache.ctx.store.location());
    cache.ctx.say(Level::Debug, cache.name(), text);
    match refused_by_content(cache, receipt, deadline)? {
        Some(refusal) => Ok(Tried::Refused(refusal)),
        None => store(cache, keys, deadline),
    }
}

/// Why what the cache holds is not worth saving, or must not be. What may be saved gets its sentinel and is trimmed.
pub(super) fn refused_by_content(
    cache: &Cache<'_>,
    receipt: Option<Receipt>,
    deadline: &Deadline,
) -> Result<Option<Refusal>, SaveError> {
    if let Some(refusal) = refused_by_gate(cache, deadline)? {
        return Ok(Some(refusal));
    }
    if let Some(receipt) = receipt.filter(|receipt| !receipt.corrupt)
        && is_unchanged(cache, &receipt, deadline)?
    {
        let reason = format!("nothing changed since `{}` was restored", receipt.key);
        return Ok(Some(Refusal::new(SaveResult::Unchanged, reason)));
    }
    if cache.spec.trim.is_some() {
        trim::trim(cache, false)?;
    }
    Ok(None)
}

pub(super) fn refused_by_role(cache: &Cache<'_>) -> Option<Refusal> {
    let refused = |reason: &str| Refusal::new(SaveResult::DeniedMode, reason);
    match (cache.spec.role, cache.spec.save) {
        (Role::Consumer, _) => Some(
            refused("this job is a consumer of the cache")
                .with_hint("the job that fills the cache runs with `role = \"writer\"` or `--role writer`"),
        ),
        (Role::Writer, SavePolicy::Never) => Some(refused("the configuration says `save = \"never\"`")),
        (Role::Writer, _) if cache.layout().is_some() && cache.ctx.access.own.is_pull_request() => Some(
            refused("what a pull request saves, no other job can restore")
                .with_hint("the job that fills the cache runs on a branch"),
        ),
        (Role::Writer, SavePolicy::Success | SavePolicy::Always) => None,
    }
}

/// The entry with this key that this job can read: then every reader of this job's entries already finds it.
fn existing(cache: &Cache<'_>, key: &Key, deadline: &Deadline) -> Result<Option<Entry>, SaveError> {
    let ctx = cache.ctx;
    let request = LookupRequest {
        key: key.clone(),
        restore_keys: Vec::new(),
        version: cache.version(),
        scopes: ctx.access.readable.clone(),
        exact: true,
    };
    match ctx.wait(deadline, ctx.store.lookup(&request)) {
        // A write-only job cannot look up; the store reports the conflict on create.
        Err(error) if error.kind() == StoreErrorKind::Denied(Access::Read) => Ok(None),
        found => Ok(found?),
    }
}

/// Removes an entry of our own scope that this job found corrupt and that still is: an immutable key must not be
/// lost for ever. Whether it is gone now.
fn heal(
    cache: &Cache<'_>,
    entry: &Entry,
    receipt: Option<&Receipt>,
    deadline: &Deadline,
) -> Result<bool, SaveError> {
    let ctx = cache.ctx;
    let is_known = receipt.is_some_and(|receipt| receipt.corrupt && receipt.is_of(entry));
    if !is_known || entry.scope != ctx.access.own {
        return Ok(false);
    }
    match read_back(cache, entry, deadline) {
        Err(SaveError::Archive(error)) if error.is_damage() => {}
        _ => return Ok(false),
    }
    let deleted = delete(cache, entry, deadline)?;
    if deleted == Deletion::InUse {
        return Ok(false);
    }
    if deleted == Deletion::Deleted {
        ctx.say(
            Level::Warning,
            cache.name(),
            format!("`{}` is corrupt and was removed to be saved anew", entry.key),
        );
    }
    Ok(true)
}

/// A content-addressed cache is saved complete or not at all; its sentinel says what it holds.
fn refused_by_gate(cache: &Cache<'_>, deadline: &Deadline) -> Result<Option<Refusal>, SaveError> {
    if cache.layout().is_none() {
        return Ok(None);
    }
    populate::harvest(cache, deadline)?;
    let (report, mut inventory) = cache.gate_fully(&deadline.cancel)?;
    if !report.is_complete() {
        return Ok(Some(Refusal::new(SaveResult::Incomplete, text::gated(&report)).with_hint(
            "`cachekeep seed` fetches what is missing; nothing incomplete is saved under a shared key",
        )));
    }
    populate::prune(cache, &mut inventory)?;
    sentinel::write(cache, sentinel::read(cache).and_then(|sentinel| sentinel.seed), &inventory)?;
    Ok(None)
}

/// Whether the cache holds what was restored, by sizes and times, and if those differ by contents; and whether that
/// entry is still there to be restored.
fn is_unchanged(cache: &Cache<'_>, receipt: &Receipt, deadline: &Deadline) -> Result<bool, SaveError> {
    let Ok(key) = Key::new(receipt.key.clone()) else { return Ok(false) };
    Ok(holds_what_was_restored(cache, receipt, deadline)? && existing(cache, &key, deadline)?.is_some())
}

fn holds_what_was_restored(
    cache: &Cache<'_>,
    receipt: &Receipt,
    deadline: &Deadline,
) -> Result<bool, SaveError> {
    let quick = fingerprint::quick(&cache.selections)?;
    if receipt.is_untouched(&quick) {
        return Ok(true);
    }
    if (quick.files, quick.bytes) != (receipt.files, receipt.bytes) {
        return Ok(false);
    }
    let _running = cache.ctx.start(cache.name(), Phase::Scan);
    let content = fingerprint::content(&cache.selections, cache.ctx.workers, &deadline.cancel)?;
    Ok(content.to_string() == receipt.content)
}

/// Packs and stores at once, in bounded memory; then reads back what the store holds.
fn store(cache: &Cache<'_>, keys: &Keys, deadline: &Deadline) -> Result<Tried, SaveError> {
    let ctx = cache.ctx;
    let new = NewEntry { scope: ctx.access.own.clone(), key: keys.key.clone(), version: cache.version() };
    let request = PackRequest {
        cache: cache.name(),
        selections: &cache.selections,
        last: Some(SENTINEL_FILE.as_ref()),
        producer: concat!("cachekeep ", env!("CARGO_PKG_VERSION")),
        workers: ctx.workers,
        levels: archive::Levels::default(),
    };
    let running = ctx.start(cache.name(), Phase::Save);
    let writer = ctx.wait(deadline, ctx.store.create(new))?;
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
        ctx.say(
            Level::Warning,
            cache.name(),
            format!("`{}` is not a regular file and was left out", skipped.display()),
        );
    }
    let committed = pipe.finish().map_err(SaveError::of_pipe)?.commit();
    let commit = ctx.wait(deadline, committed)?;
    drop(running);
    let entry = match commit {
        Commit::Created(entry) => entry,
        Commit::Exists => {
            let reason = format!("another job saved `{}` a moment ago", keys.key);
            return Ok(Tried::Refused(Refusal::new(SaveResult::Exists, reason)));
        }
    };
    match read_back(cache, &entry, deadline) {
        Ok(()) => Ok(Tried::Saved(packed)),
        Err(error) if error.is_no_reader() => {
            let text = format!("`{}` is not read back: {}", entry.key, failure::chain(&error));
            ctx.say(Level::Info, cache.name(), text);
            Ok(Tried::Saved(packed))
        }
        Err(error) => {
            if error.is_damage() {
                // Nobody else wrote this entry: it is ours to take back.
                let _ = delete(cache, &entry, deadline);
            }
            Err(SaveError::ReadBack(Box::new(error)))
        }
    }
}

/// Deletes an entry that this job has read: what read ahead may hold its lease for a moment longer.
fn delete(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Result<Deletion, StoreError> {
    let ctx = cache.ctx;
    let since = Instant::now();
    loop {
        let deleted = ctx.wait(deadline, ctx.store.delete(&entry.id))?;
        if deleted != Deletion::InUse || since.elapsed() > LEASE_ENDS {
            return Ok(deleted);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Takes chunks for an entry until there are no more; the commit is the caller's, once the archive proved whole.
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
fn read_back(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Result<(), SaveError> {
    let ctx = cache.ctx;
    let running = ctx.start(cache.name(), Phase::ReadBack);
    running.meter.set_total(entry.size.0);
    let stream = ctx.wait(deadline, ctx.store.read(entry))?;
    let input = pipe::reader(&ctx.runtime, stream, &deadline.cancel);
    let limits = Limits { bytes: u64::MAX, entries: u64::MAX };
    let started = Instant::now();
    archive::verify(input, ctx.workers, limits, &deadline.cancel, &running.meter)?;
    let text = format!("read back {} in {:.3} s", entry.size, started.elapsed().as_secs_f64());
    ctx.say(Level::Debug, cache.name(), text);
    Ok(())
}
