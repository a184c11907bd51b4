//! `clean`: plans which entries of a store go, says why, and carries that plan out.
//!
//! Everything is listed and every state found out before anything is decided, and what is carried out is the plan
//! that was shown: by ids, never by keys. Then the store is listed again, for a job may have saved meanwhile,
//! until nothing is left to do. [`options`] is what can be asked for, [`apply`] carries out one plan, [`saved`]
//! writes and reads plans.

pub(crate) mod apply;
pub(crate) mod cleaner;
pub(crate) mod options;
pub(crate) mod saved;

use std::collections::BTreeSet;

pub(crate) use options::{CleanOptions, PlanSource};

use super::context::Context;
use crate::domain::clean::{CleanOutcome, End, Round, Swept};
use crate::domain::entry::EntryId;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::retention::Plan;
use crate::report::failure;
use crate::report::markdown::clean;
use crate::store::Recovered;
use crate::store::{Catalog, Survey};
use apply::SurveyAge;
use cleaner::Cleaner;

/// Limits how often the store is listed again, so that a job that keeps saving does not keep the cleaner.
const ROUNDS: usize = 5;

/// Cleans a store and reports the outcome. A plan that deletes something is applied if `approve` agrees.
///
/// # Errors
/// The store cannot be surveyed or the plan is unusable; nothing was deleted.
pub(crate) fn run(
    ctx: &Context<'_>,
    target: &dyn Catalog,
    options: &CleanOptions,
    approve: &dyn Fn(&Plan) -> bool,
) -> Result<CleanOutcome, Fault> {
    let by_hand = matches!(options.source, PlanSource::Chosen(_));
    let _group = ctx.group(if by_hand { "Delete" } else { "Clean" });
    let deadline = ctx.deadline();
    let outcome = Cleaner { ctx, target, options, deadline: &deadline }.run(approve)?;
    let level = match outcome.end {
        End::DryRun | End::Done => Level::Info,
        End::Failed | End::Stopped(_) => Level::Warning,
        End::NotPermitted(_) => Level::Error,
    };
    for note in &outcome.notes {
        ctx.report_about_job(Level::Warning, note.clone());
    }
    ctx.report_about_job(level, clean::text(&outcome));
    Ok(outcome)
}

impl Cleaner<'_> {
    fn run(&self, approve: &dyn Fn(&Plan) -> bool) -> Result<CleanOutcome, Fault> {
        let survey = self.survey()?;
        let known = SurveyAge::just_now(&survey.facts);
        let plan = self.plan(&survey)?;
        if let Some(path) = &self.options.plan_out {
            saved::write(path, &plan, &self.target.location(), self.ctx.now)?;
        }
        let by_hand = matches!(self.options.source, PlanSource::Chosen(_));
        let mut outcome = CleanOutcome {
            by_hand,
            location: self.target.location(),
            plan,
            rounds: Vec::new(),
            end: End::DryRun,
            swept: None,
            calls: None,
            notes: survey.notes,
        };
        if by_hand && !self.options.dry_run {
            // A person sees what goes before it is gone.
            self.ctx.report_about_job(Level::Info, clean::text(&outcome));
        }
        if outcome.plan.deletions().next().is_some() && !self.options.dry_run && !approve(&outcome.plan) {
            outcome.end = End::Stopped("the deletion was not confirmed".to_owned());
        } else if !self.options.dry_run {
            outcome.end = self.carry_out(&outcome.plan, known, &mut outcome.rounds);
            outcome.swept = if by_hand { None } else { self.sweep_uploads() };
        }
        outcome.calls = self.target.calls();
        Ok(outcome)
    }

    fn plan(&self, survey: &Survey) -> Result<Plan, Fault> {
        let path = match &self.options.source {
            PlanSource::Policy => return Ok(self.options.policy.plan(&survey.facts)),
            PlanSource::Chosen(choice) => return Ok(self.options.policy.plan_choice(choice, &survey.facts)),
            PlanSource::Saved(path) => path,
        };
        let plan = saved::read(path, &self.target.location())?;
        let mut stale = plan.stale_entries(&survey.facts).into_iter();
        match stale.next() {
            Some(first) => {
                let others = stale.count();
                let more = if others == 0 { String::new() } else { format!("; and {others} more") };
                Err(Fault::environment(format!("the plan is stale: {first}{more}"))
                    .with_hint("make a new plan with `--plan-out` and look at it again".to_owned()))
            }
            None => Ok(plan),
        }
    }

    /// Carries the plan out, then whatever became due meanwhile.
    fn carry_out(&self, plan: &Plan, known: SurveyAge, rounds: &mut Vec<Round>) -> End {
        let mut tried = BTreeSet::new();
        let mut end = self.round(plan, known, &mut tried, rounds);
        // A saved plan, or a choice, is all that was agreed to.
        if self.options.source != PlanSource::Policy {
            return end;
        }
        while end == End::Done
            && rounds.len() < ROUNDS
            && rounds.last().is_some_and(|r| !r.attempts.is_empty())
        {
            let survey = match self.survey() {
                Ok(survey) => survey,
                Err(error) => {
                    return End::Stopped(format!(
                        "what became due meanwhile is left: {}",
                        failure::chain(&error)
                    ));
                }
            };
            let next = self.options.policy.plan(&survey.facts);
            end = self.round(&next, SurveyAge::just_now(&survey.facts), &mut tried, rounds);
        }
        end
    }

    /// Deletes what a plan says, but nothing twice: a listing may lag behind.
    fn round(
        &self,
        plan: &Plan,
        known: SurveyAge,
        tried: &mut BTreeSet<EntryId>,
        rounds: &mut Vec<Round>,
    ) -> End {
        let (round, end) = apply::apply(self, plan, known, tried);
        tried.extend(round.attempts.iter().map(|attempt| attempt.entry.id.clone()));
        rounds.push(round);
        end
    }

    /// Removes what uploads of dead processes left. No upload is worth a failed cleaning.
    fn sweep_uploads(&self) -> Option<Swept> {
        match self.ctx.wait(self.deadline, self.target.recover()) {
            Ok(Recovered { removed, removed_bytes, kept, refused }) => {
                for text in refused {
                    self.ctx.report_about_job(Level::Warning, text);
                }
                Some(Swept { removed, bytes: removed_bytes, live: kept })
            }
            Err(error) => {
                let text = format!("unfinished uploads were not swept: {}", failure::chain(&error));
                self.ctx.report_about_job_with_hint(Level::Warning, text, error.hint());
                None
            }
        }
    }
}
