//! What commands on several caches share: opening them, exporting.

use super::cache::{Cache, Keys};
use super::context::Context;
use super::notes::carried;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::outcome::JobOutcome;
use crate::domain::spec::CacheSpec;
use crate::domain::trust::ExportVerdict;
use crate::report::failure;
use crate::threads::contain::contain;

/// A cache, ready to be worked on or not.
pub(crate) enum OpenedCache<'a> {
    /// Opened, with its keys.
    Ready {
        /// The cache.
        cache: Box<Cache<'a>>,
        /// Its keys.
        keys: Keys,
    },
    /// Its links or files could not be read, which was reported. The job goes on without it.
    Failed {
        /// Its name.
        name: &'a str,
    },
}

impl<'a> OpenedCache<'a> {
    /// The cache's name.
    pub(crate) fn name(&self) -> &str {
        match self {
            OpenedCache::Ready { cache, .. } => &cache.spec.name,
            OpenedCache::Failed { name } => name,
        }
    }

    /// The cache and its keys; one that could not be opened is noted in the outcome.
    pub(crate) fn ready(&self, job: &mut JobOutcome) -> Option<(&Cache<'a>, &Keys)> {
        match self {
            OpenedCache::Ready { cache, keys } => Some((cache, keys)),
            OpenedCache::Failed { name } => {
                job.broken.push((*name).to_owned());
                None
            }
        }
    }

    /// The same cache if its exports can be expanded. With half of its variables a build would not use the cache, so the
    /// job goes on without it.
    pub(crate) fn if_exportable(self) -> Self {
        let OpenedCache::Ready { cache, .. } = &self else { return self };
        match cache.exports() {
            Ok(_) => self,
            Err(fault) => {
                let text = format!("skipped, for what it exports is not known: {}", failure::chain(&fault));
                cache.ctx.report_with_hint(Level::Warning, cache.name(), text, fault.hint());
                OpenedCache::Failed { name: &cache.spec.name }
            }
        }
    }

    /// Expands the keys of a cache. A fault of the configuration is an error; a fault of the tree is a warning, for a cache
    /// is never in the way.
    fn with_keys(
        ctx: &'a Context<'a>,
        DeclaredCache { spec, opened }: DeclaredCache<'a>,
        source: KeySource,
    ) -> Result<Self, Fault> {
        let ready = opened.and_then(|cache| {
            let keys = match source {
                KeySource::Computed => cache.keys()?,
                KeySource::OfRestore => carried::keys_of_save(&cache, cache.keys())?,
            };
            Ok(OpenedCache::Ready { cache: Box::new(cache), keys })
        });
        match ready {
            Ok(ready) => Ok(ready),
            Err(fault) if fault.is_usage() => Err(spec.named_in(fault)),
            Err(fault) => {
                ctx.report_with_hint(Level::Warning, &spec.name, failure::chain(&fault), fault.hint());
                Ok(OpenedCache::Failed { name: &spec.name })
            }
        }
    }
}

/// Does the work on one cache. A panic in it is a failure of this cache alone: it is reported, and the job goes on.
pub(crate) fn contained<T>(
    ctx: &Context<'_>,
    name: &str,
    job: &mut JobOutcome,
    work: impl FnOnce(&mut JobOutcome) -> T,
) -> Option<T> {
    match contain(|| work(job)) {
        Ok(done) => Some(done),
        Err(panicked) => {
            ctx.report_with_hint(Level::Error, name, panicked.to_string(), panicked.hint());
            job.broken.push(name.to_owned());
            None
        }
    }
}

/// A selected cache, opened, or why it cannot be.
pub(crate) struct DeclaredCache<'a> {
    /// Its declaration.
    pub(crate) spec: &'a CacheSpec,
    /// The cache.
    pub(crate) opened: Result<Cache<'a>, Fault>,
}

/// Where the keys of a cache come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// They are computed.
    Computed,
    /// They are those that this job's restore computed, unless what is computed now is meant to differ.
    OfRestore,
}

/// Opens every selected cache.
pub(crate) fn open_caches<'a>(ctx: &'a Context<'a>) -> Vec<DeclaredCache<'a>> {
    ctx.caches.iter().map(|spec| DeclaredCache { spec, opened: Cache::open(ctx, spec) }).collect()
}

/// Expands the keys of all caches, before any is touched, so that a wrong configuration stops the command first.
pub(crate) fn with_keys<'a>(
    ctx: &'a Context<'a>,
    caches: Vec<DeclaredCache<'a>>,
    source: KeySource,
) -> Result<Vec<OpenedCache<'a>>, Fault> {
    if caches.is_empty() {
        let hint = "add a table `[cache.NAME]` with `path` and `key` to the configuration".to_owned();
        ctx.report_about_job_with_hint(Level::Warning, "no cache is declared".to_owned(), Some(hint));
    }
    caches.into_iter().map(|cache| OpenedCache::with_keys(ctx, cache, source)).collect()
}

/// Checks the exports of every selected cache, before any cache is touched. Warns of those that are withheld in a privileged
/// event, where a restore is still useful.
///
/// # Errors
/// A variable by which programs run code, which the workflow does not list: the configuration is wrong.
pub(crate) fn check_exports(ctx: &Context<'_>) -> Result<(), Fault> {
    for spec in ctx.caches {
        for name in spec.export.keys() {
            match ctx.grants.export_of(spec, name) {
                ExportVerdict::Exported => {}
                ExportVerdict::Withheld => {
                    let event = ctx.grants.trust.name();
                    let text = format!(
                        "`{name}` is not exported: {event} is privileged, and the workflow does not list it"
                    );
                    ctx.report_with_hint(Level::Warning, &spec.name, text, Some(listing(name)));
                }
                ExportVerdict::Refused(family) => {
                    let message = format!("`{name}` is not exported: it controls {}", family.what);
                    let hint = format!("{}, or export a variable that only the build reads", listing(name));
                    return Err(spec.named_in(Fault::usage(message).with_hint(hint)));
                }
            }
        }
    }
    Ok(())
}

/// How the workflow lists a variable.
fn listing(name: &str) -> String {
    format!(
        "if the job needs it, list it in the workflow: `allow-export: {name}` (elsewhere `--allow-export {name}`)"
    )
}

/// Tells the steps that follow where a cache is.
pub(crate) fn export(cache: &Cache<'_>) -> Vec<(String, String)> {
    let exports = match cache.exports() {
        Ok(exports) => exports,
        Err(error) => {
            cache.ctx.report_with_hint(Level::Warning, cache.name(), failure::chain(&error), error.hint());
            Vec::new()
        }
    };
    for (name, value) in &exports {
        match cache.ctx.platform.export(name, value) {
            Ok(line) => {
                if let Some(line) = line {
                    cache.ctx.command_line(line);
                }
                note_other_name(cache, name);
            }
            Err(error) => {
                cache.ctx.report(Level::Warning, cache.name(), format!("cannot export `{name}`: {error}"));
            }
        }
    }
    exports
}

/// Says where a platform gives later steps an exported variable under another name.
fn note_other_name(cache: &Cache<'_>, name: &str) {
    let exported = cache.ctx.platform.exported_name(name);
    // Windows does not tell the cases of names apart.
    if exported != name && cache.ctx.platform.facts().os != "windows" {
        let text = format!("`{name}` is `{exported}` in the environment of later steps");
        let hint = format!("give the steps that need it `env: {{ {name}: $({name}) }}`");
        cache.ctx.report_with_hint(Level::Info, cache.name(), text, Some(hint));
    }
}
