//! `mtime = "content"`: cargo builds again whatever is newer than what was built from it, and a checkout makes every file new.
//!
//! A save records the contents and times of the sources that the target directory was built from. After a restore, sources with
//! the recorded contents get the recorded times, and all others the time of the restore, so that neither too much nor too little
//! is built. Only files that git tracks are touched: the record decides about times, never about places.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::cargo::TARGET;
use crate::command::cache::Cache;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::names::SOURCES_FILE;
use crate::fs::open::{self, Links};
use crate::fs::{atomic, link, read};
use crate::inputs::tracked::{Tracked, tracked_below};
use crate::report::failure;

/// Upper bound for a record, in bytes: some hundred thousand sources.
const MAX_RECORD: u64 = 64 << 20;

/// How far clocks of machines may be apart.
const DAY: Duration = Duration::from_hours(24);

/// The sources of a target directory, by their paths below the workspace.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct SourceTimes(BTreeMap<String, Source>);

/// The contents of a source, and when it was changed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Source {
    sha256: String,
    /// Since 1970; older files are given no time.
    seconds: u64,
    nanoseconds: u32,
}

impl Source {
    fn time(&self) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(self.seconds, self.nanoseconds.min(999_999_999)))
    }
}

/// The target directory of a cache that asks for source times.
fn target<'a>(cache: &'a Cache<'_>) -> Option<&'a Path> {
    let selection = cache.selections.get(TARGET)?;
    let asks = cache.spec.source_times && cache.spec.is_in_usual_place();
    asks.then_some(selection.root.as_path())
}

/// Records the sources beside what was built from them, if that exists. A record that cannot be made is a warning, and an old
/// one is removed: it would give wrong times.
pub(crate) fn record(cache: &Cache<'_>, cancel: &CancellationToken) {
    let Some(target) = target(cache).filter(|target| read::is_directory(target).unwrap_or(false)) else {
        return;
    };
    let path = target.join(SOURCES_FILE);
    let write = || {
        let sources = sources(cache, cancel)?;
        let text = serde_json::to_vec(&sources).map_err(|why| Fault::environment(why.to_string()))?;
        atomic::write(&path, &text, cache.ctx.now).map_err(Fault::from)
    };
    if let Err(fault) = write() {
        let _ = crate::fs::write::remove_file(&path);
        warn(cache, "source times are not recorded, so all packages are built again after a restore", &fault);
    }
}

/// Gives sources the times that the restored target directory was built with, and changed ones the time of this moment.
pub(crate) fn put_back(cache: &Cache<'_>, cancel: &CancellationToken) {
    let Some(target) = target(cache) else { return };
    let path = target.join(SOURCES_FILE);
    if read::length(&path).is_err() {
        cache.ctx.report(Level::Debug, cache.name(), "the entry records no source times");
        return;
    }
    let recorded = read::read_regular(&path, MAX_RECORD).map_err(|why| Fault::environment(why.to_string()));
    let recorded = recorded.and_then(|bytes| {
        serde_json::from_slice::<SourceTimes>(&bytes).map_err(|why| Fault::environment(why.to_string()))
    });
    // The record is newer than what was built, by the clock of the machine that built it, which may be ahead of this one.
    let built = open::file(&path, Links::Refused).and_then(|file| file.metadata()?.modified()).ok();
    let now = SystemTime::from(cache.ctx.now);
    let after = built.and_then(|built| built.checked_add(Duration::from_millis(1)));
    let now = after.filter(|after| *after < now + DAY).map_or(now, |after| now.max(after));
    let set = recorded.and_then(|recorded| set_times(cache, &recorded, now, cancel));
    match set {
        Ok((kept, changed)) => {
            let text = format!(
                "{kept} sources have the times that `target` was built with, {changed} are new or changed"
            );
            cache.ctx.report(Level::Info, cache.name(), text);
        }
        Err(fault) => warn(cache, "source times are not restored", &fault),
    }
}

fn warn(cache: &Cache<'_>, text: &str, fault: &Fault) {
    let text = format!("{text}: {}", failure::chain(fault));
    let hint = fault.hint();
    cache.ctx.report_with_hint(Level::Warning, cache.name(), text, hint);
}

/// The numbers of sources that got their old times, and of others.
fn set_times(
    cache: &Cache<'_>,
    recorded: &SourceTimes,
    now: SystemTime,
    cancel: &CancellationToken,
) -> Result<(u64, u64), Fault> {
    let workspace = workspace(cache);
    let (mut kept, mut changed) = (0, 0);
    for relative in files(cache, cancel)? {
        let path = workspace.join(&relative);
        let name = relative.to_str();
        let known = name.and_then(|name| recorded.0.get(name)).filter(|known| {
            read::sha256_of_file(&path, Links::Refused, cancel)
                .is_ok_and(|found| found.to_string() == known.sha256)
        });
        let time = known.and_then(Source::time);
        // A link is given no time, and what is behind it is a source of its own if git tracks it.
        let Ok(file) = open::for_metadata(&path, Links::Refused) else { continue };
        let Ok(()) = file.set_modified(time.unwrap_or(now)) else { continue };
        if time.is_some() { kept += 1 } else { changed += 1 }
    }
    Ok((kept, changed))
}

/// The sources as they are.
fn sources(cache: &Cache<'_>, cancel: &CancellationToken) -> Result<SourceTimes, Fault> {
    let workspace = workspace(cache);
    let mut sources = SourceTimes::default();
    for relative in files(cache, cancel)? {
        let path = workspace.join(&relative);
        let Some(name) = relative.to_str() else { continue };
        let Ok(file) = open::file(&path, Links::Refused) else { continue };
        let modified = file.metadata().and_then(|metadata| metadata.modified()).ok();
        let Some(since) = modified.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()) else {
            continue;
        };
        let Ok(digest) = read::sha256_of_file(&path, Links::Refused, cancel) else { continue };
        let source = Source {
            sha256: digest.to_string(),
            seconds: since.as_secs(),
            nanoseconds: since.subsec_nanos(),
        };
        sources.0.insert(name.to_owned(), source);
    }
    Ok(sources)
}

fn workspace(cache: &Cache<'_>) -> PathBuf {
    link::resolved(cache.ctx.workspace).unwrap_or_else(|| cache.ctx.workspace.to_owned())
}

/// The files below the workspace that git tracks.
fn files(
    cache: &Cache<'_>,
    cancel: &CancellationToken,
) -> Result<std::collections::BTreeSet<PathBuf>, Fault> {
    let workspace = workspace(cache);
    match tracked_below(&workspace, &workspace, cancel)? {
        Tracked::Files(files) => Ok(files),
        Tracked::NoCheckout => Err(Fault::environment("the workspace is not a checkout of git")
            .with_hint("remove `mtime` from the cache, or check the sources out with git".to_owned())),
        Tracked::Unknown(why) => Err(Fault::environment(why)),
    }
}
