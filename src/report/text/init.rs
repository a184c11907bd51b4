//! What `init` proposes, for people.

use std::fmt::Write as _;

use crate::domain::proposal::{InitOutcome, MovedCache};

/// The files as a diff, or their names once they are written.
pub(crate) fn proposed(outcome: &InitOutcome) -> String {
    let mut text = String::new();
    if outcome.files.is_empty() {
        text.push_str("nothing to propose\n");
    }
    for file in &outcome.files {
        if outcome.is_written {
            let done = if file.is_new { "new" } else { "changed" };
            _ = writeln!(text, "{done}: {}", file.path.display());
        } else {
            // Line ends of Windows would be shown as what they are.
            text.push_str(&file.diff.replace("\r\n", "\n"));
        }
    }
    text
}

/// A cache that is moved, and what will be different.
pub(crate) fn moved(cache: &MovedCache) -> String {
    let becomes = match &cache.name {
        Some(name) => format!("becomes the cache `{name}`"),
        None => "becomes a step of cachekeep".to_owned(),
    };
    let (file, line) = (cache.location.file.display(), cache.location.line);
    let mut text = format!("{file}:{line}: {} {becomes}", cache.keeper);
    for difference in &cache.differences {
        _ = write!(text, "\n  - {difference}");
    }
    text
}
