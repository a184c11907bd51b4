//! `seed`: fill a cache that lacks something from its release archive.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use super::cache::{Cache, CacheError, expand_one};
use super::context::{Context, Deadline};
use super::expand::Sources;
use super::finished::Finished;
use super::seed_error::SeedError;
use super::sentinel;
use super::session;
use crate::archive::release::{self, Expected, ExtractOptions, Limits, ReleaseItem};
use crate::disk::lease::LeasedDirectory;
use crate::disk::merge::{Merged, Merger, Take};
use crate::disk::path_error::PathError;
use crate::disk::staging::Staging;
use crate::disk::stream;
use crate::domain::event::{Level, Phase, Running};
use crate::domain::gate::GateReport;
use crate::domain::hint::Hint;
use crate::domain::inventory::Inventory;
use crate::domain::outcome::{SeedOutcome, SeedResult};
use crate::domain::sentinel::SENTINEL_FILE;
use crate::domain::spec::SeedSpec;
use crate::domain::unit::ByteSize;
use crate::report::{failure, text};
use crate::transport::client::{Client, Timeouts};
use crate::transport::fetch::FetchOptions;
use crate::transport::retry::{Clock, RetryPolicy};
use crate::transport::source::Source;

/// Seeds every selected cache that declares a seed.
pub fn run(ctx: &Context<'_>) -> Result<Finished, session::Error> {
    let mut finished = Finished::new("seed");
    session::recover(ctx);
    for spec in ctx.caches {
        let _group = ctx.group(&format!("Seed {}", spec.name));
        let cache = match Cache::open(ctx, spec) {
            Ok(cache) => cache,
            Err(source) => return Err(session::Error { cache: spec.name.clone(), source }),
        };
        match seed(&cache) {
            Some(outcome) => {
                finished.failed |= outcome.result == SeedResult::Failed;
                finished.report(cache.name()).seed = Some((&outcome).into());
            }
            None => ctx.say(Level::Info, cache.name(), "declares no seed"),
        }
    }
    Ok(finished)
}

/// What was added.
#[derive(Debug, Clone, Copy, Default)]
struct Added {
    files: u64,
    bytes: u64,
}

/// Seeds one cache, unless its sentinel and its objects say that there is no need, and says what came of it.
/// Nothing for a cache without a seed.
pub fn seed(cache: &Cache<'_>) -> Option<SeedOutcome> {
    let spec = cache.spec.seed.as_ref()?;
    let ctx = cache.ctx;
    let started = Instant::now();
    let deadline = ctx.deadline();
    let mut outcome = SeedOutcome {
        cache: cache.name().to_owned(),
        result: SeedResult::Failed,
        source: None,
        added: 0,
        added_bytes: ByteSize(0),
        reason: None,
        elapsed: started.elapsed(),
    };
    match need(cache, spec, &deadline) {
        Ok(Need::None(reason)) => {
            outcome.result = SeedResult::NotNeeded;
            outcome.reason = Some(reason);
        }
        Ok(Need::Seed(reason)) => {
            ctx.say(Level::Info, cache.name(), format!("seeding with version {}: {reason}", spec.version));
            match from_sources(cache, spec, &deadline) {
                Ok((source, added)) => {
                    outcome.result = SeedResult::Seeded;
                    outcome.source = Some(source);
                    outcome.added = added.files;
                    outcome.added_bytes = ByteSize(added.bytes);
                }
                Err(reason) => outcome.reason = Some(reason),
            }
        }
        Err(error) => {
            outcome.reason = Some(deadline.reason(ctx.interrupt).unwrap_or_else(|| failure::chain(&error)));
        }
    }
    outcome.elapsed = started.elapsed();
    let level = if outcome.result == SeedResult::Failed { Level::Warning } else { Level::Info };
    ctx.say(level, cache.name(), text::seeded(&outcome));
    Some(outcome)
}

/// Whether a seed is needed, with the reason.
enum Need {
    None(String),
    Seed(String),
}

fn need(cache: &Cache<'_>, spec: &SeedSpec, deadline: &Deadline) -> Result<Need, SeedError> {
    let claimed = sentinel::read(cache);
    let is_this_seed = claimed.as_ref().is_some_and(|s| s.seed.as_deref() == Some(spec.version.as_str()));
    if cache.layout().is_none() {
        return Ok(if is_this_seed {
            Need::None(format!("the sentinel names seed {}", spec.version))
        } else {
            Need::Seed(
                claimed
                    .map_or("there is no sentinel".to_owned(), |_| "the sentinel names another seed".into()),
            )
        });
    }
    let (report, inventory) = cache.gate(&deadline.cancel)?;
    if report.is_complete() && report.wanted > 0 {
        let seed = claimed.and_then(|sentinel| sentinel.seed);
        sentinel::write(cache, seed, &inventory)?;
        return Ok(Need::None(format!("all {} objects are present and verified", report.wanted)));
    }
    let lacking = format!("{} of {} objects are missing or unproven", report.lacking(), report.wanted);
    match claimed.map(|sentinel| sentinel.check(&inventory)) {
        Some(Ok(())) if is_this_seed => {
            let reason = format!("seed {} is merged and whole, but has not all: {lacking}", spec.version);
            Ok(Need::None(reason))
        }
        Some(Err(error)) => Ok(Need::Seed(format!("{lacking}; {error}"))),
        _ => Ok(Need::Seed(lacking)),
    }
}

/// Tries the sources in order; the reason why none served.
fn from_sources(cache: &Cache<'_>, spec: &SeedSpec, deadline: &Deadline) -> Result<(String, Added), String> {
    let ctx = cache.ctx;
    let mut reasons = Vec::new();
    for template in &spec.from {
        if let Some(reason) = deadline.reason(ctx.interrupt) {
            return Err(reason);
        }
        let running = ctx.start(cache.name(), Phase::Seed);
        let seeded = open(cache, template).and_then(|source| {
            let added = if cache.layout().is_some() {
                merge_objects(cache, spec, &source, deadline, &running)?
            } else {
                merge_tree(cache, spec, &source, deadline, &running)?
            };
            Ok((source.to_string(), added))
        });
        drop(running);
        match seeded {
            Ok(seeded) => return Ok(seeded),
            Err(error) => {
                let reason = deadline.reason(ctx.interrupt).unwrap_or_else(|| failure::chain(&error));
                ctx.say_with_hint(Level::Warning, cache.name(), &reason, error.hint());
                reasons.push(reason);
            }
        }
    }
    Err(format!("no source served: {}", reasons.join("; ")))
}

fn open(cache: &Cache<'_>, template: &crate::domain::template::Template) -> Result<Source, SeedError> {
    let text = expand_one(cache.ctx, template, &Sources::default())?;
    Ok(Source::parse(&text, cache.ctx.workspace)?)
}

/// Opens the archive and reads it through.
fn extract(
    cache: &Cache<'_>,
    spec: &SeedSpec,
    source: &Source,
    deadline: &Deadline,
    running: &Running<'_>,
    spool: &Path,
    take: impl FnOnce(release::Input, &ExtractOptions<'_>) -> Result<(), SeedError>,
) -> Result<(), SeedError> {
    let ctx = cache.ctx;
    let checksum = match &spec.checksum {
        Some((algorithm, hash)) => Some(Expected::new(*algorithm, hash)?),
        None => None,
    };
    let fetch = FetchOptions {
        retry: RetryPolicy::default(),
        deadline: Some(Instant::now() + ctx.timeout),
        clock: Clock::starting_at(ctx.now),
        digest_is_checked: checksum.is_some() || cache.layout().is_some(),
        cancel: deadline.cancel.clone(),
    };
    let reader = source.open(&Client::new(Timeouts::default())?, fetch, &ctx.runtime)?;
    if let Some(length) = reader.length() {
        running.meter.set_total(length);
    }
    let name = source.to_string();
    let options = ExtractOptions {
        archive: &name,
        subdir: spec.subdir.as_deref(),
        checksum: checksum.as_ref(),
        limits: Limits::default(),
        spool,
        cancel: &deadline.cancel,
        meter: &running.meter,
    };
    take(reader.into(), &options)
}

/// Merges what a content-addressed cache lacks, object by object; each is verified before it enters.
fn merge_objects(
    cache: &Cache<'_>,
    spec: &SeedSpec,
    source: &Source,
    deadline: &Deadline,
    running: &Running<'_>,
) -> Result<Added, SeedError> {
    let layout = cache.layout().expect("asked for only with a layout");
    let before = cache.inventory(&deadline.cancel)?;
    let temp = leased_in(cache)?;
    let merger = Merger::new(cache.root(), layout, temp.payload(), cache.verified(), &deadline.cancel);
    let mut added = Added::default();
    let mut refused = 0_u64;
    let mut put = |item: ReleaseItem<'_>| -> Result<ControlFlow<()>, SeedError> {
        let release::ItemKind::File { size, reader } = item.kind else {
            return Ok(ControlFlow::Continue(()));
        };
        let Some(object) = layout.object_at(&item.path) else { return Ok(ControlFlow::Continue(())) };
        if before.has(&object) {
            return Ok(ControlFlow::Continue(()));
        }
        let staged = temp.payload().join("incoming");
        stream::write_file(&staged, reader, &deadline.cancel)?;
        match merger.offer(&object, &staged, Take::Move) {
            Ok(Merged::Added | Merged::Replaced) => {
                added.files += 1;
                added.bytes += size;
            }
            Ok(Merged::Present) => {}
            Err(error @ crate::disk::merge::MergeError::Refused { .. }) => {
                refused += 1;
                cache.ctx.say(Level::Debug, cache.name(), failure::chain(&error));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(ControlFlow::Continue(()))
    };
    extract(cache, spec, source, deadline, running, temp.payload(), |input, options| {
        let extracted = release::extract(input, options, &mut put)?;
        match extracted.checksum {
            Some(outcome) if !outcome.ok() => Err(SeedError::Checksum {
                source_name: options.archive.to_owned(),
                expected: outcome.expected,
                found: outcome.found,
            }),
            _ => Ok(()),
        }
    })?;
    if refused > 0 {
        let text = format!("{refused} objects of {source} are not what their names say and were refused");
        cache.ctx.say(Level::Warning, cache.name(), text);
    }
    temp.close()?;
    let (report, inventory) = cache.gate(&deadline.cancel)?;
    finish(cache, spec, &report, &inventory)?;
    Ok(added)
}

/// The sentinel comes last: it names the seed and what the cache now holds.
fn finish(
    cache: &Cache<'_>,
    spec: &SeedSpec,
    report: &GateReport,
    inventory: &Inventory,
) -> Result<(), SeedError> {
    if !report.is_complete() {
        cache.ctx.say(Level::Warning, cache.name(), text::gated(report));
    }
    Ok(sentinel::write(cache, Some(spec.version.clone()), inventory)?)
}

/// Unpacks the whole archive beside the cache and publishes it with what the cache holds; where both have a file,
/// the cache's own stays.
fn merge_tree(
    cache: &Cache<'_>,
    spec: &SeedSpec,
    source: &Source,
    deadline: &Deadline,
    running: &Running<'_>,
) -> Result<Added, SeedError> {
    let staging = Staging::beside(cache.root(), cache.ctx.now)?;
    let mut added = Added::default();
    extract(cache, spec, source, deadline, running, staging.payload(), |input, options| {
        let unpacked = release::unpack_tree(input, options, staging.tree())?;
        added = Added { files: unpacked.files, bytes: unpacked.extracted.bytes };
        Ok(())
    })?;
    added.files = staging.yield_to_target()?;
    let sentinel = crate::domain::sentinel::Sentinel::of(Some(spec.version.clone()), &Inventory::default());
    stream::write_file(
        &staging.tree().join(SENTINEL_FILE),
        &mut sentinel.to_string().as_bytes(),
        &deadline.cancel,
    )?;
    let published = staging.publish(&deadline.cancel)?;
    if let Some(leftover) = &published.leftover {
        cache.ctx.say(Level::Warning, cache.name(), format!("seeded, but {}", failure::chain(leftover)));
    }
    Ok(added)
}

/// A temporary directory inside the cache, so that objects enter by rename.
fn leased_in(cache: &Cache<'_>) -> Result<LeasedDirectory, PathError> {
    stream::make_directory(cache.root())?;
    LeasedDirectory::create_in(cache.root(), &format!("seeding `{}`", cache.name()), cache.ctx.now)
}

impl From<CacheError> for SeedError {
    fn from(error: CacheError) -> Self {
        SeedError::Cache(Box::new(error))
    }
}
