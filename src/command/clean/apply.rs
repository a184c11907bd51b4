//! Carrying out one plan: entry by entry, each with its fate.

use std::collections::BTreeSet;

use super::Cleaner;
use crate::domain::clean::{Attempt, End, Fate, Round};
use crate::domain::entry::EntryId;
use crate::domain::event::Level;
use crate::domain::hint::Hint;
use crate::domain::retention::Plan;
use crate::report::failure;
use crate::store::Deletion;

/// After so many failures in a row the rest would fail, too.
const FAILURES_IN_A_ROW: usize = 10;

/// Deletes what the plan says, except what was tried before.
pub(super) fn apply(cleaner: &Cleaner<'_>, plan: &Plan, tried: &BTreeSet<EntryId>) -> (Round, End) {
    let mut round = Round::default();
    let mut stop: Option<End> = None;
    let (mut failures, mut in_a_row) = (0, 0);
    for decision in plan.deletions().filter(|decision| !tried.contains(&decision.entry.id)) {
        let fate = if stop.is_some() {
            Fate::NotTried
        } else {
            let entry = &decision.entry;
            match cleaner.wait(cleaner.target.delete(&entry.id)) {
                Ok(deletion) => {
                    in_a_row = 0;
                    let reason = decision.reasons.first().map_or("", |reason| reason.text.as_str());
                    let text =
                        format!("deleted `{}` of {} ({}): {reason}", entry.key, entry.scope, entry.size);
                    cleaner.ctx.say_about_job(Level::Debug, text);
                    match deletion {
                        Deletion::Deleted => Fate::Deleted,
                        Deletion::AlreadyGone => Fate::AlreadyGone,
                    }
                }
                Err(error) => {
                    let why = failure::chain(&error);
                    in_a_row += 1;
                    if error.is_denied() {
                        cleaner.ctx.say_about_job_with_hint(Level::Error, why.clone(), error.hint());
                        stop = Some(End::NotPermitted(why.clone()));
                    } else if error.ends_the_run() || cleaner.deadline.cancel.is_cancelled() {
                        stop = Some(End::Stopped(why.clone()));
                    } else {
                        let text = format!("cannot delete `{}` of {}: {why}", entry.key, entry.scope);
                        cleaner.ctx.say_about_job_with_hint(Level::Warning, text, error.hint());
                        failures += 1;
                        if in_a_row == FAILURES_IN_A_ROW {
                            stop = Some(End::Stopped(format!("{in_a_row} failures in a row")));
                        }
                    }
                    match &stop {
                        // It was never asked for, or it will be asked for again.
                        Some(End::Stopped(_)) if in_a_row < FAILURES_IN_A_ROW => Fate::NotTried,
                        _ => Fate::Failed(why),
                    }
                }
            }
        };
        round.attempts.push(Attempt {
            entry: decision.entry.clone(),
            pattern: decision.pattern.clone(),
            fate,
        });
    }
    let end = stop.unwrap_or(if failures > 0 { End::Failed } else { End::Done });
    (round, end)
}
