//! What commands on several caches share: a panic is contained, and exports are checked and made.

use super::cache::Cache;
use super::context::Context;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::outcome::JobOutcome;
use crate::domain::trust::ExportVerdict;
use crate::report::failure;
use crate::threads::contain::contain;

/// Does the work on one cache. A panic in it is a failure of this cache alone: it is reported, and the job goes on.
pub(crate) fn reporting_panics<T>(
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
