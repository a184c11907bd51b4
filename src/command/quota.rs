//! The quota of a store of our own, kept after saves: the least recently used entries of all repositories go, by the
//! same plan as those that `clean` deletes, until the store is below its low mark.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::clean::apply::{self, SurveyAge};
use super::clean::cleaner::Cleaner;
use super::clean::{CleanOptions, PlanSource};
use super::context::{Context, Deadline};
use crate::domain::clean::{Attempt, Fate};
use crate::domain::entry::EntryId;
use crate::domain::entry_filter::EntryFilter;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::outcome::{JobOutcome, SaveResult};
use crate::domain::quota::{Marks, Quota, QuotaOutcome, Room};
use crate::domain::retention::plan::{Amount, BudgetOutcome};
use crate::domain::retention::{Decision, Policy, Protect, Rule};
use crate::domain::scope::Section;
use crate::domain::thin;
use crate::domain::unit::{ByteSize, counted};
use crate::fs::volume::volume_of;
use crate::report::failure;
use crate::store::Catalog;
use crate::store::directory::quota::{QuotaFiles, QuotaLock, QuotaRecord};

/// How often the work is done once more for other processes that saved meanwhile: a busy store has another process soon.
const ROUNDS: usize = 20;

/// How long a process waits for the one that keeps the quota.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Deletions that are reported one by one.
const LISTED: usize = 20;

/// Keeps the quota of the store, if this job saved an entry there. Never fails a job.
pub(crate) fn keep(ctx: &Context<'_>, job: &mut JobOutcome) {
    let is_saved = |result: SaveResult| result == SaveResult::Saved;
    if !job.caches.iter().filter_map(|cache| cache.save.as_ref()).any(|save| is_saved(save.result)) {
        return;
    }
    let (Some(quota), Some(catalog)) = (ctx.quota, ctx.quota.and_then(|_| ctx.store.catalog_of_all())) else {
        return;
    };
    if ctx.grants.trust.is_privileged {
        // The configuration may be a stranger's, and would decide about the entries of every repository.
        return;
    }
    let files = ctx.store.choice.directory().map(QuotaFiles::of);
    let deadline = ctx.deadline();
    let keeper = Keeper { ctx, quota, catalog, files, deadline: &deadline };
    match keeper.run() {
        Ok(outcome) => job.quota = outcome,
        Err(fault) => {
            let text = format!("the quota of the store was not looked after: {}", failure::chain(&fault));
            ctx.report_about_job_with_hint(Level::Warning, text, fault.hint());
        }
    }
}

/// How full a store may be now. `None` where that depends on a volume, and there is none.
pub(crate) fn marks(ctx: &Context<'_>, quota: Quota, stored: ByteSize) -> Result<Option<Marks>, Fault> {
    let room = |directory: &Path| {
        let volume = volume_of(directory)?;
        let reserve = ctx.reserve().of(volume.total);
        Ok::<_, Fault>(Room { total: volume.total, free: volume.free, reserve })
    };
    let room = ctx.store.choice.directory().map(room).transpose()?;
    Ok(quota.marks(stored, room))
}

struct Keeper<'a> {
    ctx: &'a Context<'a>,
    quota: Quota,
    /// The entries of all repositories.
    catalog: Arc<dyn Catalog>,
    /// Those of a directory; an object service has neither locks nor a record.
    files: Option<QuotaFiles>,
    deadline: &'a Deadline,
}

impl Keeper<'_> {
    /// Keeps the quota, unless another process does; `None` then.
    fn run(&self) -> Result<Option<QuotaOutcome>, Fault> {
        let Some(files) = &self.files else {
            let stored = self.stored()?;
            return match marks(self.ctx, self.quota, stored)? {
                Some(marks) => self.once(stored, marks, &BTreeMap::new()).map(Some),
                None => Ok(None),
            };
        };
        let mut whole: Option<QuotaOutcome> = None;
        let mut lock = files.try_lock()?;
        if lock.is_none() {
            lock = self.wait_if_over(files)?;
        }
        for _ in 0..ROUNDS {
            let Some(held) = lock else { break };
            files.take_note(&held)?;
            if let Some(outcome) = self.locked(files, &held)? {
                whole = Some(match whole {
                    Some(before) => QuotaOutcome {
                        before: before.before,
                        deleted: before.deleted + outcome.deleted,
                        ..outcome
                    },
                    None => outcome,
                });
            }
            drop(held);
            lock = if files.has_note() { files.try_lock()? } else { None };
        }
        Ok(whole)
    }

    /// Waits for the process that keeps the quota if the store is above it meanwhile, so that no job goes on to save while more
    /// is there than one entry of each; `None` if there is no need, or that process takes too long.
    fn wait_if_over(&self, files: &QuotaFiles) -> Result<Option<QuotaLock>, Fault> {
        let stored = self.stored()?;
        if marks(self.ctx, self.quota, stored)?.is_none_or(|marks| stored <= marks.high) {
            return Ok(None);
        }
        let since = Instant::now();
        while since.elapsed() < LONGEST_WAIT && !self.deadline.cancel.is_cancelled() {
            self.ctx.runtime.pause(PAUSE);
            if let Some(lock) = files.try_lock()? {
                return Ok(Some(lock));
            }
        }
        Ok(None)
    }

    /// Keeps the quota while no other process does, and records what was done.
    fn locked(&self, files: &QuotaFiles, lock: &QuotaLock) -> Result<Option<QuotaOutcome>, Fault> {
        let known = files.record();
        let mut record = known.clone().unwrap_or_default();
        self.record_protected(&mut record);
        let stored = self.stored()?;
        let outcome = match marks(self.ctx, self.quota, stored)? {
            Some(marks) if self.quota.is_default && known.is_none() && stored > marks.high => {
                Some(self.warn(stored, marks))
            }
            Some(marks) => Some(self.once(stored, marks, &record.protect)?),
            None => None,
        };
        if let Some(QuotaOutcome { before, after, deleted, .. }) =
            outcome.as_ref().filter(|done| done.deleted > 0)
        {
            record.evicted += *deleted as u64;
            record.evicted_bytes += before.0.saturating_sub(after.0);
            record.last_eviction = Some(self.now());
        }
        if known.as_ref() != Some(&record) {
            files.write(&record, self.now(), lock)?;
        }
        Ok(outcome)
    }

    /// Notes what this repository protects, for other repositories' jobs.
    fn record_protected(&self, record: &mut QuotaRecord) {
        let Some(repository) = self.ctx.store.choice.repository() else { return };
        let globs = self.ctx.clean.protect.globs().to_vec();
        if globs.is_empty() {
            record.protect.remove(repository.as_str());
        } else {
            record.protect.insert(repository.as_str().to_owned(), globs);
        }
    }

    /// Bytes of all entries.
    fn stored(&self) -> Result<ByteSize, Fault> {
        let entries =
            self.ctx.wait(self.deadline, self.catalog.list(&EntryFilter::default())).map_err(Fault::from)?;
        Ok(entries.iter().map(|entry| entry.size).sum())
    }

    /// A store that was never kept small is not emptied by an upgrade of this program.
    fn warn(&self, stored: ByteSize, marks: Marks) -> QuotaOutcome {
        let text = format!(
            "{} holds {stored}, more than {}, its quota from now on: after the next save the least recently used \
             entries are deleted",
            self.catalog.location(),
            marks.high
        );
        let hint = "set `quota` in cachekeep.toml, or CACHEKEEP_QUOTA, to what the store may hold".to_owned();
        self.ctx.report_about_job_with_hint(Level::Warning, text, Some(hint));
        QuotaOutcome {
            limit: marks.high,
            before: stored,
            after: stored,
            only_warned: true,
            ..QuotaOutcome::default()
        }
    }

    /// Deletes what is too much of a store that holds so many bytes.
    fn once(
        &self,
        stored: ByteSize,
        marks: Marks,
        protect: &BTreeMap<String, Vec<String>>,
    ) -> Result<QuotaOutcome, Fault> {
        let mut outcome =
            QuotaOutcome { limit: marks.high, before: stored, after: stored, ..QuotaOutcome::default() };
        if stored > marks.high {
            self.delete(marks, protect, &mut outcome)?;
            self.report(&outcome);
        }
        Ok(outcome)
    }

    /// Deletes by plans until the store is small enough, or nothing more can be deleted. An entry that cannot be deleted is
    /// counted, and tried once: others go in its place.
    fn delete(
        &self,
        marks: Marks,
        protect: &BTreeMap<String, Vec<String>>,
        outcome: &mut QuotaOutcome,
    ) -> Result<(), Fault> {
        let options = CleanOptions {
            policy: Policy::of_quota(marks, self.ctx.clean.protect.clone(), elsewhere(protect)),
            source: PlanSource::Policy,
            dry_run: false,
            plan_out: None,
        };
        let cleaner = Cleaner {
            ctx: self.ctx,
            target: self.catalog.as_ref(),
            options: &options,
            deadline: self.deadline,
        };
        let mut stays = Stays::default();
        loop {
            let mut facts = cleaner.survey()?.facts;
            facts.now = self.now();
            // Others are chosen in their place, and what takes content from them or gives it to them is not taken apart.
            facts.leases.extend(stays.ids.iter().cloned());
            let plan = options.policy.plan(&facts);
            let (round, _) = apply::apply(&cleaner, &plan, SurveyAge::just_now(&facts), &BTreeSet::new());
            let mut has_stayed = false;
            for (attempt, decision) in round.attempts.iter().zip(plan.deletions()) {
                has_stayed |= self.count(attempt, decision, outcome, &mut stays);
            }
            if !has_stayed || self.deadline.cancel.is_cancelled() {
                let blocked = plan.budget.as_ref().and_then(|budget| stays.blocked(budget));
                outcome.blocked = blocked.or_else(|| stays.not_deleted(outcome));
                return Ok(());
            }
        }
    }

    /// Notes what an attempt came to. Returns whether the entry is still there.
    fn count(
        &self,
        attempt: &Attempt,
        decision: &Decision,
        outcome: &mut QuotaOutcome,
        stays: &mut Stays,
    ) -> bool {
        let Attempt { entry, fate, .. } = attempt;
        let gone =
            |outcome: &mut QuotaOutcome| outcome.after.0 = outcome.after.0.saturating_sub(entry.size.0);
        match fate {
            Fate::Deleted => {
                gone(outcome);
                outcome.deleted += 1;
                if outcome.deleted <= LISTED {
                    let reason = decision.reasons.first().map_or("", |reason| reason.text.as_str());
                    let name = thin::quoted(&entry.key);
                    let text = format!("deleted {name} of {} ({}): {reason}", entry.scope, entry.size);
                    self.ctx.report_about_job(Level::Info, text);
                }
                false
            }
            Fate::AlreadyGone => {
                gone(outcome);
                false
            }
            Fate::Kept(why) | Fate::Failed(why) => {
                if matches!(fate, Fate::Failed(_)) {
                    outcome.failed.push((thin::title(&entry.key), why.clone()));
                }
                stays.ids.insert(entry.id.clone());
                stays.bytes.0 += entry.size.0;
                true
            }
            Fate::NotTried => false,
        }
    }

    fn report(&self, outcome: &QuotaOutcome) {
        let QuotaOutcome { limit, before, after, deleted, blocked, .. } = outcome;
        let place = self.catalog.location();
        let entries = counted(*deleted, "entry");
        let text = format!("deleted {entries} of {place}: it held {before}, and holds {after} of {limit}");
        match blocked {
            Some(why) => {
                let text = format!("{text}; {why}");
                let hint = "raise `quota`, protect less, or see why entries cannot be deleted".to_owned();
                self.ctx.report_about_job_with_hint(Level::Warning, text, Some(hint));
            }
            None => self.ctx.report_about_job(Level::Info, text),
        }
    }

    /// The time of the start where the clock is so wrong that there is no later one.
    fn now(&self) -> DateTime<Utc> {
        let elapsed = TimeDelta::from_std(self.ctx.started.elapsed()).unwrap_or_default();
        self.ctx.now.checked_add_signed(elapsed).unwrap_or(self.ctx.now)
    }
}

/// Entries that were to be deleted and are still there.
#[derive(Default)]
struct Stays {
    ids: BTreeSet<EntryId>,
    bytes: ByteSize,
}

impl Stays {
    fn not_deleted(&self, outcome: &QuotaOutcome) -> Option<String> {
        (outcome.after > outcome.limit && !self.ids.is_empty())
            .then(|| format!("{} could not be deleted", self.bytes))
    }

    /// Why the plan leaves more than the high mark, besides these, which it takes for leased.
    fn blocked(&self, budget: &BudgetOutcome) -> Option<String> {
        let besides = |(rule, amount): (&Rule, &Amount)| {
            let mut amount = *amount;
            if *rule == Rule::Leased {
                amount.entries = amount.entries.saturating_sub(self.ids.len());
                amount.bytes.0 = amount.bytes.0.saturating_sub(self.bytes.0);
            }
            (amount.entries > 0).then(|| format!("{amount} ({rule})"))
        };
        let rules: Vec<String> = budget.blocked.iter().filter_map(besides).collect();
        (!rules.is_empty()).then(|| format!("may not be deleted: {}", rules.join(", ")))
    }
}

/// What other repositories protect. Globs that cannot be read protect nothing.
fn elsewhere(protect: &BTreeMap<String, Vec<String>>) -> BTreeMap<Section, Protect> {
    let of = |(name, globs): (&String, &Vec<String>)| {
        Some((Section::of_name(Some(name))?, Protect::new(globs).ok()?))
    };
    protect.iter().filter_map(of).collect()
}
