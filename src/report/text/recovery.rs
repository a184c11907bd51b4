//! A recovery by hand, for people.

use std::fmt::Write as _;

use crate::domain::recovery::{Act, RecoveryOutcome};
use crate::domain::unit::counted;

/// What was found and done, a line for each temporary directory.
pub(crate) fn recovered(outcome: &RecoveryOutcome) -> String {
    let (would, done) = if outcome.dry_run { ("would be ", "looked for") } else { ("", "looked for") };
    let places = counted(outcome.places.len(), "place");
    let mut text = if outcome.leftovers.is_empty() {
        format!("{done} leftovers in {places}: none")
    } else {
        let acts = [Act::Removed, Act::Completed, Act::Undone, Act::Kept, Act::Failed];
        let counts = acts.iter().map(|act| (outcome.count(*act), act)).filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts
            .map(|(count, act)| match act {
                Act::Kept | Act::Failed => format!("{count} {act}"),
                _ => format!("{count} {would}{act}"),
            })
            .collect();
        format!("{done} leftovers in {places}: {}", counts.join(", "))
    };
    for leftover in &outcome.leftovers {
        let why = leftover.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let _ = write!(text, "\n  {} `{}`{why}", leftover.act, leftover.path);
    }
    match &outcome.uploads {
        Some(uploads) => {
            let removed = counted(uploads.removed, "unfinished upload");
            let _ = write!(
                text,
                "\n  {}: {removed} of {} removed, {} in progress",
                uploads.location, uploads.bytes, uploads.kept
            );
            for refused in &uploads.refused {
                let _ = write!(text, "\n  kept: {refused}");
            }
        }
        None if outcome.dry_run => {
            text.push_str("\n  unfinished uploads of the store are not looked for in a dry run");
        }
        None => {}
    }
    text
}
