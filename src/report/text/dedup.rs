//! What `dedup` shared, for people.

use std::fmt::Write as _;

use crate::domain::dedup::{DedupOutcome, Sharing};
use crate::domain::unit::counted;

/// What was shared and what was not.
pub(crate) fn deduplicated(outcome: &DedupOutcome) -> String {
    let how = match outcome.by {
        Sharing::Reflink => "reflinks",
        Sharing::HardLink => "hard links",
    };
    let done = if outcome.dry_run { "could share their bytes" } else { "share their bytes" };
    let mut text = format!(
        "{} of {}, {} of {}, {done} with an equal one, by {how}",
        outcome.shared,
        counted(outcome.files, "file"),
        outcome.shared_bytes,
        outcome.bytes,
    );
    for (reason, (count, first)) in &outcome.left {
        let _ = write!(text, "\n  {count} left alone, as they {reason}: `{first}`");
        if *count > 1 {
            let _ = write!(text, " and {} more", count - 1);
        }
    }
    if !outcome.dry_run {
        let (before, after) = outcome.free;
        let _ = write!(text, "\n  free space: {before} before, {after} after");
    }
    text
}
