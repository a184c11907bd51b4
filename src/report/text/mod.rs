//! Outcomes as sentences for people.

pub(crate) mod check;
pub(crate) mod dedup;
pub(crate) mod explain;
pub(crate) mod init;
pub(crate) mod list;
pub(crate) mod recovery;
pub(crate) mod status;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::domain::gate::{GateReport, MissingObject};
use crate::domain::kinds::ToolUse;
use crate::domain::outcome::{
    Hit, Matched, MirrorUse, RestoreOutcome, SaveOutcome, SaveResult, SeedOutcome, SeedResult, TrimOutcome,
};
use crate::domain::unit::{ByteSize, counted};

/// How many missing objects are listed before the rest is only counted.
const LISTED: usize = 20;

/// The outcome of a restore.
pub(crate) fn restored(outcome: &RestoreOutcome) -> String {
    match (&outcome.matched, outcome.hit) {
        (Some(matched), Hit::Exact | Hit::Partial) => {
            let how = if outcome.hit == Hit::Exact { "exact hit" } else { "partial hit" };
            if outcome.earlier {
                return format!("{how}: an earlier step of this job restored {}", entry(matched));
            }
            format!(
                "{how}: restored {}, {} from {}{} in {:.1} s",
                counted(outcome.files, "file"),
                outcome.unpacked,
                entry(matched),
                matched.size.map(|size| format!(" ({size} archived)")).unwrap_or_default(),
                outcome.elapsed.as_secs_f64(),
            )
        }
        _ => match &outcome.miss {
            Some(reason) => format!("miss: {reason}"),
            None => format!("miss: no entry for `{}`", outcome.key),
        },
    }
}

/// An entry as people name it: its key, and its scope where that is known.
fn entry(matched: &Matched) -> String {
    match &matched.scope {
        Some(scope) => format!("`{}` of {scope}", matched.key),
        None => format!("`{}`", matched.key),
    }
}

/// The outcome of a lookup that restores nothing.
pub(crate) fn looked_up(outcome: &RestoreOutcome) -> String {
    match &outcome.matched {
        Some(matched) => {
            let size = matched.size.map(|size| format!(" ({size})")).unwrap_or_default();
            format!("{} hit: {}{size}", outcome.hit, entry(matched))
        }
        None => restored(outcome),
    }
}

/// The outcome of seeding.
pub(crate) fn seeded(outcome: &SeedOutcome) -> String {
    let reason = outcome.reason.as_deref().unwrap_or("no reason is known");
    let mut gains = Vec::new();
    if let Some(source) = &outcome.source {
        gains.push(format!("{}, {} from {source}", counted(outcome.added, "file"), outcome.added_bytes));
    }
    if !outcome.mirrors.is_empty() {
        gains.push(format!("{}, {} from mirrors", counted(outcome.fetched, "object"), outcome.fetched_bytes));
    }
    let gains = gains.join(", and ");
    let seconds = outcome.elapsed.as_secs_f64();
    let mut text = match outcome.result {
        SeedResult::Seeded => format!("seeded: {gains} in {seconds:.1} s"),
        SeedResult::NotNeeded => format!("no seed needed: {reason}"),
        SeedResult::LeftToBuild => format!("left to the build: {reason}"),
        SeedResult::Failed => format!("not seeded: {reason}"),
        SeedResult::Incomplete => {
            let missing = outcome.missing.len();
            format!(
                "incomplete: {gains} in {seconds:.1} s; {} that links want {} still missing",
                counted(missing, "object"),
                are(missing)
            )
        }
    };
    list_missing(&mut text, &outcome.missing);
    for dead in outcome.mirrors.iter().filter(|mirror| mirror.given_up) {
        let MirrorUse { mirror, requests, delivered, .. } = dead;
        let _ = write!(
            text,
            "\n  given up: {mirror}, after {} and {}",
            counted(*requests, "request"),
            counted(*delivered, "object")
        );
    }
    text
}

/// The verb after [`counted`].
fn are(number: usize) -> &'static str {
    if number == 1 { "is" } else { "are" }
}

/// Lists objects with the links that want them, as far as a person reads; many of one kind by the directories of their
/// links.
fn list_missing<'a>(text: &mut String, objects: impl IntoIterator<Item = &'a MissingObject>) {
    let (damaged, mut missing): (Vec<_>, Vec<_>) =
        objects.into_iter().partition(|object: &&MissingObject| object.why.is_some());
    missing.sort_by_key(|object| object.links.first());
    for object in damaged.iter().take(LISTED) {
        let _ = write!(text, "\n  {}", missing_object(object));
    }
    if missing.len() <= LISTED {
        for object in &missing {
            let _ = write!(text, "\n  {}", missing_object(object));
        }
    } else {
        let mut directories: BTreeMap<&str, usize> = BTreeMap::new();
        for object in &missing {
            let link = object.links.first().map_or("", String::as_str);
            *directories.entry(link.rsplit_once('/').map_or(".", |(directory, _)| directory)).or_default() +=
                1;
        }
        for (directory, count) in directories.iter().take(LISTED) {
            let _ = write!(text, "\n  {count} missing, wanted by links in `{directory}`");
        }
        let more = directories.len().saturating_sub(LISTED);
        if more > 0 {
            let _ = write!(text, "\n  … and in {more} more directories");
        }
    }
    if damaged.len() > LISTED || missing.len() > LISTED {
        text.push_str("\n  `--json` lists every object");
    }
}

/// The outcome of a save.
pub(crate) fn saved(outcome: &SaveOutcome) -> String {
    let reason = outcome.reason.as_deref().unwrap_or("no reason is known");
    match outcome.result {
        SaveResult::Saved => format!(
            "saved: {}, {} as `{}` ({} archived{}) in {:.1} s",
            counted(outcome.files, "file"),
            outcome.unpacked,
            outcome.key,
            outcome.archive,
            outcome.whole.map(|whole| format!(" instead of {whole}")).unwrap_or_default(),
            outcome.elapsed.as_secs_f64(),
        ),
        SaveResult::Exists => format!("nothing to save (exists): {reason}"),
        SaveResult::Failed if outcome.interrupted => format!("not saved: {reason}"),
        other => format!("not saved ({other}): {reason}"),
    }
}

/// The outcome of trimming, in units of this name.
pub(crate) fn trimmed(outcome: &TrimOutcome, noun: &str) -> String {
    let freed = ByteSize(outcome.before.0.saturating_sub(outcome.after.0));
    let verb = if outcome.dry_run { "would trim" } else { "trimmed" };
    let mut text = format!("{verb} {}, {freed} of {}", counted(outcome.units, noun), outcome.before);
    if outcome.failed > 0 {
        let _ = write!(text, "; {} could not be removed", outcome.failed);
    }
    text
}

/// What a tool counted since the restore, behind the name of its cache, which often is the tool's.
pub(crate) fn used(used: &ToolUse, cache: &str) -> String {
    let rate = used.hit_rate().map_or("nothing compiled".to_owned(), |rate| {
        format!("{rate:.1} % of {} hit", counted(used.hits + used.misses, "compilation"))
    });
    let full = match (used.limit, used.fill()) {
        (Some(limit), Some(fill)) => format!(" of {limit} ({fill:.0} %)"),
        _ => String::new(),
    };
    let cleanups = match used.cleanups {
        0 => String::new(),
        count => format!(", {}", counted(count, "clean-up")),
    };
    let tool = if used.tool == cache { String::new() } else { format!("{}: ", used.tool) };
    format!("{tool}{rate}; {} in {}{full}{cleanups}", used.size, counted(used.files, "file"))
}

/// What the gate found in a cache's root, with what is damaged or missing and which links want it.
pub(crate) fn gated(report: &GateReport, root: &Path) -> String {
    let mut text = gated_in_short(report, root);
    if !report.is_complete() {
        list_missing(&mut text, report.unproven.iter().chain(&report.missing));
    }
    text
}

/// The same without the objects that are missing.
pub(crate) fn gated_in_short(report: &GateReport, root: &Path) -> String {
    if report.is_complete() {
        let allowed = match report.allowed {
            0 => String::new(),
            count => format!(", {count} of them only allowed by name"),
        };
        return format!(
            "complete: {} for {} {} present and verified{allowed}",
            counted(report.wanted, "object"),
            counted(report.links, "link"),
            are(report.wanted)
        );
    }
    format!(
        "incomplete: {} of {} {} present and verified in `{}`; {} damaged, {} missing",
        report.present,
        counted(report.wanted, "object"),
        are(report.wanted),
        root.display(),
        report.unproven.len(),
        report.missing.len(),
    )
}

fn missing_object(object: &MissingObject) -> String {
    let first = object.links.first().map_or("", String::as_str);
    let more = match object.links.len() {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    match &object.why {
        Some(why) => format!("{} ({why}), wanted by {first}{more}", object.object),
        None => format!("{}, wanted by {first}{more}", object.object),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::key::Key;
    use std::time::Duration;

    #[test]
    fn what_a_signal_ended_says_so_and_nothing_about_the_store() {
        let outcome = |result, interrupted, reason: &str| SaveOutcome {
            cache: "npm".to_owned(),
            key: Key::new("npm-v1").expect("a key"),
            result,
            reason: Some(reason.to_owned()),
            hint: None,
            trim: None,
            interrupted,
            files: 0,
            unpacked: ByteSize(0),
            archive: ByteSize(0),
            whole: None,
            elapsed: Duration::ZERO,
        };
        for (result, interrupted, reason, expect) in [
            (SaveResult::Failed, true, "interrupted", "not saved: interrupted"),
            (SaveResult::Failed, false, "the store is gone", "not saved (failed): the store is gone"),
            (SaveResult::Exists, false, "up to date", "nothing to save (exists): up to date"),
        ] {
            assert_eq!(saved(&outcome(result, interrupted, reason)), expect);
        }
    }
}
