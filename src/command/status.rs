//! `status`: how full the store, the local caches and their volumes are.

use std::path::Path;

use super::cache::Cache;
use super::context::Context;
use super::usage::{not_surveyed, survey};
use super::{quota, trim};
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::hint::Hint as _;
use crate::domain::retention::usage::{Forecast, eviction_order};
use crate::domain::status::{CacheStatus, Status, StoreStatus, VolumeStatus};
use crate::domain::trim::{Recency, TrimUnits};
use crate::domain::unit::ByteSize;
use crate::fs::atomic;
use crate::report::json::status::StatusDocument;
use crate::report::{failure, json, openmetrics, page, text};
use crate::store::directory::quota::QuotaFiles;
use crate::tree::trim::{SurveyOptions, survey as survey_tree};
use crate::tree::walk::WalkError;

/// Entries that are named as the next to be deleted.
const NEXT: usize = 5;

/// How a status is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatusSyntax {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// `OpenMetrics`.
    OpenMetrics,
}

/// Looks at everything. Writes metrics and a page into files, if any are named, each in one step.
pub(crate) fn run(
    ctx: &Context<'_>,
    syntax: StatusSyntax,
    metrics_file: Option<&Path>,
    html: Option<&Path>,
) -> Result<String, Fault> {
    let status = look(ctx)?;
    let write = |path: Option<&Path>, contents: &dyn Fn() -> String| match path {
        Some(path) => atomic::write(path, contents().as_bytes(), ctx.now).map_err(|why| {
            Fault::from(why).with_hint("name a file in a directory that exists and is writable".to_owned())
        }),
        None => Ok(()),
    };
    write(metrics_file, &|| openmetrics::render(&status))?;
    write(html, &|| page::status::render(&status))?;
    Ok(match syntax {
        StatusSyntax::Text => text::status::text(&status),
        StatusSyntax::Json => json::render(&StatusDocument::from(&status)),
        StatusSyntax::OpenMetrics => openmetrics::render(&status),
    })
}

fn look(ctx: &Context<'_>) -> Result<Status, Fault> {
    let mut caches = Vec::new();
    for spec in ctx.caches {
        caches.push(cache(&Cache::open_named(ctx, spec)?));
    }
    let volumes = ctx.measured_volumes().into_iter().map(|volume| VolumeStatus {
        path: volume.at.display().to_string(),
        total: volume.total,
        free: volume.free,
        inodes: volume.inodes.map(|inodes| (inodes.total, inodes.free)),
    });
    let volumes = volumes.collect();
    Ok(Status { now: ctx.now, store: store(ctx)?, caches: caches.into_iter().flatten().collect(), volumes })
}

/// A cache; `None` if it cannot be looked at, which is reported. One that is not there is empty.
fn cache(cache: &Cache<'_>) -> Option<CacheStatus> {
    let ctx = cache.ctx;
    let spec = cache.spec.trim.as_ref();
    let limit = trim::max_size(cache).unwrap_or_else(|fault| {
        ctx.report_with_hint(Level::Warning, cache.name(), failure::chain(&fault), fault.hint());
        None
    });
    let options = SurveyOptions {
        units: spec.map_or(TrimUnits::Files, |spec| spec.units),
        recency: spec.map_or(Recency::Modified, |spec| spec.recency),
        never: &[],
        now: ctx.now,
    };
    let (bytes, units, held) = match survey_tree(&cache.selections, &options) {
        Ok(survey) => {
            let held = survey.units.iter().filter(|unit| unit.held.is_some()).count();
            (survey.total, survey.units.len(), held)
        }
        Err(WalkError::Missing(_)) => (ByteSize(0), 0, 0),
        Err(error) => {
            ctx.report_with_hint(Level::Warning, cache.name(), failure::chain(&error), error.hint());
            return None;
        }
    };
    Some(CacheStatus { name: cache.name().to_owned(), bytes, units, held, limit })
}

/// The store, where it is one of our own.
fn store(ctx: &Context<'_>) -> Result<Option<StoreStatus>, Fault> {
    let Some(catalog) = ctx.store.catalog_of_all() else {
        let text = "the store is not one of our own: `cachekeep usage` shows how full it is";
        ctx.report_about_job(Level::Info, text);
        return Ok(None);
    };
    let facts = survey(ctx, catalog.as_ref()).map_err(|why| not_surveyed(catalog.as_ref(), why))?;
    let bytes: ByteSize = facts.entries.iter().map(|entry| entry.size).sum();
    let marks = ctx.quota.map(|quota| quota::marks(ctx, quota, bytes)).transpose()?.flatten();
    let quota = marks.map(|marks| marks.high);
    let record = ctx.store.choice.directory().map(|path| QuotaFiles::of(path).record().unwrap_or_default());
    // Without a quota nothing is.
    let next = eviction_order(&facts)
        .into_iter()
        .filter(|entry| quota.is_some() && !facts.leases.contains(&entry.id));
    Ok(Some(StoreStatus {
        location: catalog.location(),
        bytes,
        entries: facts.entries.len(),
        leased: facts.leases.len(),
        quota,
        evicted: record.map(|record| (record.evicted, record.evicted_bytes)),
        forecast: quota.map(|quota| Forecast::of(&facts, quota)),
        next: next.take(NEXT).cloned().collect(),
    }))
}
