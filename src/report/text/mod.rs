//! Outcomes as sentences for people.

pub(crate) mod explain;

use std::fmt::Write as _;

use crate::domain::gate::{GateReport, MissingObject};
use crate::domain::outcome::{
    Hit, Matched, MirrorUse, RestoreOutcome, SaveOutcome, SaveResult, SeedOutcome, SeedResult,
};

/// How many missing objects are listed before the rest is only counted.
const LISTED: usize = 20;

/// The outcome of a restore.
pub(crate) fn restored(outcome: &RestoreOutcome) -> String {
    match (&outcome.matched, outcome.hit) {
        (Some(matched), Hit::Exact | Hit::Partial) => {
            let how = if outcome.hit == Hit::Exact { "exact hit" } else { "partial hit" };
            format!(
                "{how}: restored {} files, {} from {}{} in {:.1} s",
                outcome.files,
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
        gains.push(format!("{} files, {} from {source}", outcome.added, outcome.added_bytes));
    }
    if !outcome.mirrors.is_empty() {
        gains.push(format!("{} objects, {} from mirrors", outcome.fetched, outcome.fetched_bytes));
    }
    let gains = gains.join(", and ");
    let seconds = outcome.elapsed.as_secs_f64();
    let mut text = match outcome.result {
        SeedResult::Seeded => format!("seeded: {gains} in {seconds:.1} s"),
        SeedResult::NotNeeded => format!("no seed needed: {reason}"),
        SeedResult::Failed => format!("not seeded: {reason}"),
        SeedResult::Incomplete => {
            let missing = outcome.missing.len();
            format!(
                "incomplete: {gains} in {seconds:.1} s; {missing} objects that links want are still missing"
            )
        }
    };
    list_missing(&mut text, &outcome.missing);
    for dead in outcome.mirrors.iter().filter(|mirror| mirror.given_up) {
        let MirrorUse { mirror, requests, delivered, .. } = dead;
        let _ = write!(text, "\n  given up: {mirror}, after {requests} requests and {delivered} objects");
    }
    text
}

/// Lists objects with the links that want them, as far as a person reads.
fn list_missing<'a>(text: &mut String, objects: impl IntoIterator<Item = &'a MissingObject>) {
    let mut rest = 0;
    for (index, object) in objects.into_iter().enumerate() {
        if index < LISTED {
            text.push_str("\n  ");
            text.push_str(&missing_object(object));
        } else {
            rest += 1;
        }
    }
    if rest > 0 {
        let _ = write!(text, "\n  … and {rest} more; `--json` lists all");
    }
}

/// The outcome of a save.
pub(crate) fn saved(outcome: &SaveOutcome) -> String {
    let reason = outcome.reason.as_deref().unwrap_or("no reason is known");
    match outcome.result {
        SaveResult::Saved => format!(
            "saved: {} files, {} as `{}` ({} archived) in {:.1} s",
            outcome.files,
            outcome.unpacked,
            outcome.key,
            outcome.archive,
            outcome.elapsed.as_secs_f64(),
        ),
        other => format!("not saved ({other}): {reason}"),
    }
}

/// What the gate found, with what is missing and which links want it.
pub(crate) fn gated(report: &GateReport) -> String {
    if report.is_complete() {
        let allowed = match report.allowed {
            0 => String::new(),
            count => format!(", {count} of them only allowed by name"),
        };
        return format!(
            "complete: {} objects for {} links are present and verified{allowed}",
            report.wanted, report.links
        );
    }
    let mut text = format!(
        "incomplete: {} of {} objects are present and verified; {} missing, {} not what their name says",
        report.present,
        report.wanted,
        report.missing.len(),
        report.unproven.len(),
    );
    list_missing(&mut text, report.missing.iter().chain(&report.unproven));
    text
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
