//! Carrying out one plan: entry by entry, each with its fate.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::cleaner::Cleaner;
use crate::domain::clean::{Attempt, End, Fate, Round};
use crate::domain::entry::{Entry, EntryId};
use crate::domain::event::Level;
use crate::domain::hint::Hint;
use crate::domain::retention::parents::parents_among;
use crate::domain::retention::{Decision, Facts, Plan};
use crate::domain::thin;
use crate::report::failure;
use crate::store::CatalogError;
use crate::store::Deletion;

/// How many failures in a row end a round: the rest would fail, too.
const FAILURES_IN_A_ROW: usize = 10;

/// How long a survey is relied on before it is repeated, so that a pull request that is reopened keeps what would be
/// deleted later than this.
const RELIABLE: Duration = Duration::from_mins(5);

/// How old what is known is: by the store's clock if its answers carry one, else by the local clock.
pub(in crate::command) struct SurveyAge {
    at: DateTime<Utc>,
    since: Instant,
}

impl SurveyAge {
    /// These facts were found out just now.
    pub(in crate::command) fn just_now(facts: &Facts) -> Self {
        SurveyAge { at: facts.now, since: Instant::now() }
    }

    fn is_old(&self, cleaner: &Cleaner<'_>) -> bool {
        let by_store = cleaner.target.now().map(|now| (now - self.at).to_std().unwrap_or_default());
        by_store.unwrap_or_else(|| self.since.elapsed()) >= RELIABLE
    }
}

/// Deletes what the plan says, except what was tried before and what has changed meanwhile.
pub(in crate::command) fn apply(
    cleaner: &Cleaner<'_>,
    plan: &Plan,
    known: SurveyAge,
    tried: &BTreeSet<EntryId>,
) -> (Round, End) {
    let mut application = Application {
        cleaner,
        plan,
        known,
        parents: parents_among(&plan.deletions().map(|decision| &decision.entry).collect::<Vec<_>>()),
        changed: BTreeMap::new(),
        stop: None,
        deleted: 0,
        failures: 0,
        in_a_row: 0,
        denied: None,
    };
    let mut round = Round::default();
    for decision in plan.deletions() {
        if tried.contains(&decision.entry.id) {
            application.keep_parents(&decision.entry);
            continue;
        }
        let fate = application.fate(decision);
        if !matches!(fate, Fate::Deleted | Fate::AlreadyGone) {
            application.keep_parents(&decision.entry);
        }
        round.attempts.push(Attempt {
            entry: decision.entry.clone(),
            pattern: decision.pattern.clone(),
            fate,
        });
    }
    (round, application.end())
}

/// A plan that is being carried out.
struct Application<'a> {
    cleaner: &'a Cleaner<'a>,
    plan: &'a Plan,
    known: SurveyAge,
    /// The entries that are to be deleted and that others of them take content from.
    parents: BTreeMap<EntryId, Vec<EntryId>>,
    /// Entries that may not go any more, and why.
    changed: BTreeMap<EntryId, String>,
    stop: Option<End>,
    deleted: usize,
    failures: usize,
    in_a_row: usize,
    /// Why the first file may not be deleted.
    denied: Option<String>,
}

impl Application<'_> {
    fn fate(&mut self, decision: &Decision) -> Fate {
        if self.stop.is_none() && self.known.is_old(self.cleaner) {
            self.find_out_again();
        }
        if self.stop.is_some() {
            return Fate::NotTried;
        }
        let entry = &decision.entry;
        let name = format!("{} of {}", thin::quoted(&entry.key), entry.scope);
        if let Some(why) = self.changed.remove(&entry.id) {
            return self.spare(&name, why);
        }
        match self.cleaner.ctx.wait(self.cleaner.deadline, self.cleaner.target.delete(&entry.id)) {
            Ok(Deletion::InUse) => self.spare(&name, "it is being read".to_owned()),
            Ok(gone) => {
                self.in_a_row = 0;
                let reason = decision.reasons.first().map_or("", |reason| reason.text.as_str());
                let text = format!("deleted {name} ({}): {reason}", entry.size);
                self.cleaner.ctx.report_about_job(Level::Debug, text);
                if gone == Deletion::AlreadyGone {
                    return Fate::AlreadyGone;
                }
                self.deleted += 1;
                Fate::Deleted
            }
            Err(error) => self.failed(&name, &error),
        }
    }

    /// Notes that an entry stays after all, so that those must that it takes content from.
    fn keep_parents(&mut self, entry: &Entry) {
        for parent in self.parents.get(&entry.id).into_iter().flatten() {
            let why = format!("{} takes content from it, and stays", thin::quoted(&entry.key));
            self.changed.entry(parent.clone()).or_insert(why);
        }
    }

    fn spare(&self, name: &str, why: String) -> Fate {
        self.cleaner.ctx.report_about_job(Level::Info, format!("{name} is kept after all: {why}"));
        Fate::Kept(why)
    }

    /// Asks everything again and notes what of the plan does not hold any more.
    fn find_out_again(&mut self) {
        let facts = match self.cleaner.survey() {
            Ok(survey) => survey.facts,
            Err(error) => {
                let why = failure::chain(&error);
                self.stop = Some(End::Stopped(format!("what is left cannot be checked again: {why}")));
                return;
            }
        };
        self.known = SurveyAge::just_now(&facts);
        for stale in self.plan.stale_entries(&facts) {
            match stale.id() {
                Some(id) => drop(self.changed.insert(id.clone(), stale.to_string())),
                None => self.stop = Some(End::Stopped(stale.to_string())),
            }
        }
    }

    fn failed(&mut self, name: &str, error: &CatalogError) -> Fate {
        let ctx = self.cleaner.ctx;
        let why = failure::chain(error);
        if error.denies_all() {
            ctx.report_about_job_with_hint(Level::Error, why.clone(), error.hint());
            self.stop = Some(End::NotPermitted(why.clone()));
            return Fate::Failed(why);
        }
        if error.ends_the_run() || self.cleaner.deadline.cancel.is_cancelled() {
            // It was never asked for, or it will be asked for again.
            self.stop = Some(End::Stopped(why));
            return Fate::NotTried;
        }
        self.failures += 1;
        if error.is_denied() {
            // Another entry may still be deletable. Only the first refusal is reported: they are all alike.
            let level = if self.denied.is_none() { Level::Warning } else { Level::Debug };
            ctx.report_about_job_with_hint(level, format!("cannot delete {name}: {why}"), error.hint());
            self.denied.get_or_insert(why.clone());
            return Fate::Failed(why);
        }
        ctx.report_about_job_with_hint(Level::Warning, format!("cannot delete {name}: {why}"), error.hint());
        self.in_a_row += 1;
        if self.in_a_row == FAILURES_IN_A_ROW {
            self.stop = Some(End::Stopped(format!("{FAILURES_IN_A_ROW} failures in a row")));
        }
        Fate::Failed(why)
    }

    fn end(self) -> End {
        match (self.stop, self.denied) {
            (Some(stop), _) => stop,
            (None, Some(why)) if self.deleted == 0 => End::NotPermitted(why),
            (None, _) if self.failures > 0 => End::Failed,
            (None, _) => End::Done,
        }
    }
}
