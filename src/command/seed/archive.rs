//! Seeding from a release archive: the first source that serves, object by object or as a whole tree.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use crate::archive::Limits;
use crate::archive::release::{self, Expected, ExtractOptions, ReleaseItem};
use crate::command::cache::{Cache, Sources, expand_one};
use crate::command::context::Deadline;
use crate::command::materialize::{materialize, stage};
use crate::domain::event::{Level, Phase, Running};
use crate::domain::fault::Fault;
use crate::domain::inventory::Inventory;
use crate::domain::sentinel::SENTINEL_FILE;
use crate::domain::spec::SeedSpec;
use crate::domain::unit::counted;
use crate::fs::atomic;
use crate::fs::write;
use crate::objects::merge::{MergeError, Merged, Merger, Take};
use crate::objects::sentinel;
use crate::report::failure;
use crate::transport::http::options::FetchOptions;
use crate::transport::http::retry::{Clock, RetryPolicy};
use crate::transport::source::Source;

/// What was added.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Added {
    /// Files or objects.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// Tries the sources in order; the reason why none served.
pub(super) fn from_sources(
    cache: &Cache<'_>,
    spec: &SeedSpec,
    deadline: &Deadline,
) -> Result<(String, Added), String> {
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
                ctx.report_with_hint(Level::Warning, cache.name(), &reason, error.hint());
                reasons.push(reason);
            }
        }
    }
    Err(format!("no source served: {}", reasons.join("; ")))
}

fn open(cache: &Cache<'_>, template: &crate::domain::template::Template) -> Result<Source, Fault> {
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
    take: impl FnOnce(release::Input, &ExtractOptions<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let ctx = cache.ctx;
    let checksum = match &spec.checksum {
        Some((algorithm, hash)) => Some(Expected::new(*algorithm, hash)?),
        None => None,
    };
    let fetch = FetchOptions {
        retry: RetryPolicy::default(),
        deadline: Some(Instant::now() + ctx.timeout),
        clock: Clock::starting_at(ctx.now),
        accept: None,
        digest_is_checked: checksum.is_some() || cache.layout().is_some(),
        cancel: deadline.cancel.clone(),
    };
    let reader = source.open(&ctx.http_client()?, fetch, &ctx.runtime)?;
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
) -> Result<Added, Fault> {
    let layout = cache.layout().expect("asked for only with a layout");
    let before = cache.inventory(&deadline.cancel)?;
    let temp = cache.temporary("seeding")?;
    let merger = Merger::new(cache.root(), layout, temp.payload(), cache.verified(), &deadline.cancel);
    let mut added = Added::default();
    let (mut refused, mut incoming) = (0_u64, 0_u64);
    let mut put = |item: ReleaseItem<'_>| -> Result<ControlFlow<()>, Fault> {
        let release::ItemKind::File { size, reader } = item.kind else {
            return Ok(ControlFlow::Continue(()));
        };
        let Some(object) = layout.object_at(&item.path) else { return Ok(ControlFlow::Continue(())) };
        if before.has(&object) {
            return Ok(ControlFlow::Continue(()));
        }
        // A name of its own for each: the file under an earlier one may be an object of the store by now.
        incoming += 1;
        let staged = temp.payload().join(format!("incoming-{incoming}"));
        write::write_file(&staged, reader, &deadline.cancel)?;
        match merger.offer(&object, &staged, Take::Move) {
            Ok(Merged::Added | Merged::Replaced) => {
                added.files += 1;
                added.bytes += size;
            }
            Ok(Merged::Present) => {}
            Err(error @ (MergeError::Refused { .. } | MergeError::Unproven { .. })) => {
                refused += 1;
                write::remove_file(&staged)?;
                cache.ctx.report(Level::Debug, cache.name(), failure::chain(&error));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(ControlFlow::Continue(()))
    };
    extract(cache, spec, source, deadline, running, temp.payload(), |input, options| {
        let extracted = release::extract(input, options, &mut put)?;
        // Objects that proved to be what their names say are kept.
        extracted.checksum.map_or(Ok(()), |outcome| outcome.check(options.archive))
    })?;
    if refused > 0 {
        let text = format!(
            "refused {} of {source} with other contents than the name says",
            counted(refused, "object")
        );
        cache.ctx.report(Level::Warning, cache.name(), text);
    }
    temp.close()?;
    // The sentinel comes last: it names the seed and what the cache now holds.
    let inventory = cache.inventory(&deadline.cancel)?;
    sentinel::write_seeded(cache.root(), &spec.version, &inventory, cache.ctx.now)?;
    Ok(added)
}

/// Unpacks the whole archive beside the cache and publishes it with what the cache holds; where both have a file,
/// the cache's own stays.
fn merge_tree(
    cache: &Cache<'_>,
    spec: &SeedSpec,
    source: &Source,
    deadline: &Deadline,
    running: &Running<'_>,
) -> Result<Added, Fault> {
    let mut staging = stage(cache, &cache.selections[0])?;
    let mut added = Added::default();
    extract(cache, spec, source, deadline, running, staging.payload(), |input, options| {
        let extracted = release::unpack_tree(input, options, staging.tree())?;
        added.bytes = extracted.bytes;
        Ok(())
    })?;
    added.files = staging.yield_to_target()?;
    let sentinel = crate::domain::sentinel::Sentinel::of(Some(spec.version.clone()), &Inventory::default());
    // The archive may have brought a file or a link of that name, which is replaced and not written through.
    let path = staging.tree().join(SENTINEL_FILE);
    atomic::write(&path, sentinel.to_string().as_bytes(), cache.ctx.now)?;
    materialize(cache, vec![staging], "seeded", deadline)?;
    Ok(added)
}
