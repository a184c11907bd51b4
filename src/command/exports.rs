//! Whether the event and the workflow let caches export what their configuration declares.

use super::context::Context;
use super::session;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::trust::ExportVerdict;

/// Checks the exports of every selected cache, before any cache is touched. Warns of those that are withheld in a privileged
/// event, where a restore is still useful.
///
/// # Errors
/// A variable by which programs run code, which the workflow does not list: the configuration is wrong.
pub(crate) fn check(ctx: &Context<'_>) -> Result<(), Fault> {
    for spec in ctx.caches {
        for name in spec.export.keys() {
            match ctx.grants.export(name) {
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
                    return Err(session::of_cache(spec, Fault::usage(message).with_hint(hint)));
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
