//! The steps of `azure-task/restore.yml` and `azure-task/save.yml`: what is done in the job itself, and what is left to `Cache@2`.
//!
//! The agent expands the inputs of a task when its step starts, and once more after the job's last step, when `Cache@2` saves. So
//! a variable that a late step sets decides what is saved: until `save.yml` says otherwise, nothing.

use crate::cli::args::{ActionStep, Command};
use crate::cli::inputs::is_true;
use crate::cli::publish::relay;
use crate::cli::site::Site;
use crate::cli::template::Template;
use crate::command::complete;
use crate::command::context::Context;
use crate::command::restore::LookedFor;
use crate::command::wrapped::task::{self, WrappedPlan};
use crate::command::wrapped::{self, Carrier, NESTED, Purpose};
use crate::domain::cache_task;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::key::Key;
use crate::domain::outcome::{JobOutcome, SaveResult};
use crate::platform::azure_pipelines::json_without_macros;
use crate::report::json;
use crate::store::StoreChoice;
use crate::tree::plain_files::Metadata;

/// Does a step of the template; `None` where this program does what the command says.
pub(in crate::cli) fn run(
    site: &Site<'_>,
    ctx: &Context<'_>,
    template: &Template,
    command: &Command,
    step: ActionStep,
) -> Result<Option<JobOutcome>, Fault> {
    let is_wrapped = match &site.store {
        StoreChoice::CacheTask { why } => Some(why),
        _ => None,
    };
    let job = match (step, command) {
        (ActionStep::Start, _) => {
            start(ctx, template, command.restore_options().looked_for, is_wrapped.map(String::as_str))
        }
        (_, Command::Save { .. }) if is_wrapped.is_some() => save_wrapped(ctx, template),
        _ if is_wrapped.is_some() => finish(ctx, template, command),
        _ => return Ok(None),
    };
    job.map(Some)
}

/// Says what `Cache@2` is to look for, where it moves the archives; elsewhere the next step of the template does all.
fn start(
    ctx: &Context<'_>,
    template: &Template,
    looked_for: LookedFor,
    why: Option<&str>,
) -> Result<JobOutcome, Fault> {
    refuse_second_use(ctx, template)?;
    let job = JobOutcome::new("restore");
    set(ctx, template, "TRANSPORT", if why.is_some() { "wrapped" } else { "native" });
    let Some(why) = why else {
        set(ctx, template, "PLAN", "{\"slots\":[]}");
        (0..NESTED).for_each(|slot| set(ctx, template, &format!("KEY_{slot}"), ""));
        return Ok(job);
    };
    ctx.report_about_job(Level::Info, format!("`Cache@2` moves the archives: {why}"));
    let carrier = carrier(ctx, template)?;
    let slots = wrapped::plan(ctx, &carrier, Purpose::Restore, looked_for)?;
    task::make_staging(&carrier)?;
    let mut plan = WrappedPlan::default();
    for slot in 0..NESTED {
        let wanted = slots.get(slot).and_then(Option::as_ref);
        let (mut key, mut prefixes) = (String::new(), String::new());
        if let Some(wanted) = wanted {
            let primary = Key::new(wanted.key.clone()).map_err(|error| Fault::usage(error.to_string()))?;
            key = cache_task::primary(&wanted.version, &primary);
            prefixes = restore_keys(ctx, &ctx.caches[slot].name, wanted);
        }
        set(ctx, template, &format!("KEY_{slot}"), &key);
        set(ctx, template, &format!("RESTORE_KEYS_{slot}"), &prefixes);
        set(ctx, template, &format!("PATH_{slot}"), &carrier.base(slot).display().to_string());
        set(ctx, template, &format!("HIT_{slot}"), "");
        plan.slots.push(wanted.map(|wanted| task::WrappedLookup {
            cache: ctx.caches[slot].name.clone(),
            key: wanted.key.clone(),
            restore_keys: wanted.restore_keys.clone(),
        }));
    }
    set_staging(ctx, template, &carrier);
    set(ctx, template, "PLAN", &json_without_macros(&json::line(&plan)));
    Ok(job)
}

fn set_staging(ctx: &Context<'_>, template: &Template, carrier: &Carrier) {
    if let Some((staging, _)) = carrier.task() {
        set(ctx, template, "TMP", &staging.display().to_string());
    }
}

/// The second use would change the variables that `Cache@2` of the first one reads when it saves.
fn refuse_second_use(ctx: &Context<'_>, template: &Template) -> Result<(), Fault> {
    match template.plan(ctx.env) {
        None => Ok(()),
        Some(_) => Err(Fault::usage("`restore.yml` was used in this job before with the same `prefix`")
            .with_hint("give the second use a `prefix` of its own, and its `save.yml` the same".to_owned())),
    }
}

/// The restore keys of a slot, one a line. One that ends within a segment is searched for without its end, and what does
/// not match is not used.
fn restore_keys(ctx: &Context<'_>, cache: &str, wanted: &wrapped::Slot) -> String {
    let prefixes = wanted.restore_keys.lines().filter_map(|line| Key::new(line).ok());
    let keys = prefixes.map(|prefix| {
        let key = cache_task::restore_key(&wanted.version, &prefix);
        if key.is_wider {
            let text =
                format!("`Cache@2` cannot look for `{prefix}`: it is not the beginning of a key up to a `-`");
            let hint = "let restore keys end in `-`; entries that do not match are downloaded and not used";
            ctx.report_with_hint(Level::Warning, cache, text, Some(hint.to_owned()));
        }
        key.text
    });
    keys.collect::<Vec<_>>().join("\n")
}

/// Makes caches of what `Cache@2` restored.
fn finish(ctx: &Context<'_>, template: &Template, command: &Command) -> Result<JobOutcome, Fault> {
    let carrier = carrier(ctx, template)?;
    let plan = template.plan(ctx.env).unwrap_or_default();
    // First of all: what happens to the rest of this step, the task does not save what it finds.
    task::make_nothing(ctx, &carrier)?;
    let planned = plan.slots.iter().enumerate().filter(|(_, looked)| looked.is_some());
    planned.for_each(|(slot, _)| save_nothing(ctx, template, &carrier, slot));
    let found = task::found(ctx, &carrier, &plan, &template.hits(ctx.env))?;
    let mut job = wrapped::restored(ctx, &carrier, &found, command.restore_options())?;
    complete::complete(ctx, is_true(ctx.env, "seed")?, &mut job);
    Ok(job)
}

/// Shows `Cache@2` what it is to save when the job has ended.
fn save_wrapped(ctx: &Context<'_>, template: &Template) -> Result<JobOutcome, Fault> {
    let Some(plan) = template.plan(ctx.env) else {
        let text = "nothing is saved: `restore.yml` did not run in this job, and `Cache@2` saves only what it looked for";
        let hint =
            "use `restore.yml` before, with the same caches and `prefix`, or a store of your own".to_owned();
        ctx.report_about_job_with_hint(Level::Warning, text, Some(hint));
        return Ok(JobOutcome::new("save"));
    };
    let mut job = JobOutcome::new("save");
    wrapped::report_tools(ctx, &mut job);
    let carrier = carrier(ctx, template)?;
    task::make_staging(&carrier)?;
    set_staging(ctx, template, &carrier);
    let found = task::found_for_save(ctx, &plan, &template.hits(ctx.env))?;
    let staged = wrapped::stage(ctx, &carrier, &found)?;
    let mut saves_files = false;
    for (index, outcome) in staged.iter().enumerate() {
        let Some(outcome) = outcome.as_ref().filter(|outcome| outcome.result == SaveResult::Saved) else {
            continue;
        };
        let Some(slot) = task::slot_of(&plan, &outcome.cache) else { continue };
        let version = wrapped::version_of(ctx, index)?;
        set(ctx, template, &format!("KEY_{slot}"), &cache_task::primary(&version, &outcome.key));
        set(ctx, template, &format!("PATH_{slot}"), &carrier.base(index).display().to_string());
        saves_files |= template.metadata == Metadata::Lost;
    }
    if saves_files {
        save_as_files(ctx);
    }
    task::staged(ctx, staged, &mut job);
    Ok(job)
}

/// Has every `Cache@2` of the job send files instead of an archive. There is no such setting for one of them.
fn save_as_files(ctx: &Context<'_>) {
    relay(ctx, "set a variable", ctx.platform.export("AZP_CACHING_CONTENT_FORMAT", "Files"));
    let text =
        "`format: files` holds for every `Cache@2` of this job: other caches lose modes and links".to_owned();
    let hint = "use it where the job has no other `Cache@2`, or only such as hold plain files".to_owned();
    ctx.report_about_job_with_hint(Level::Warning, text, Some(hint));
}

fn carrier(ctx: &Context<'_>, template: &Template) -> Result<Carrier, Fault> {
    Carrier::cache_task(ctx, &template.prefix, template.metadata, template.staging.clone())
}

/// Sets a variable of the job, which later steps and the task's save see.
fn set(ctx: &Context<'_>, template: &Template, name: &str, value: &str) {
    relay(ctx, "set a variable", ctx.platform.export(&template.variable(name), value));
}

/// Has the task save nothing of a slot.
fn save_nothing(ctx: &Context<'_>, template: &Template, carrier: &Carrier, slot: usize) {
    set(ctx, template, &format!("KEY_{slot}"), &cache_task::of_nothing(slot));
    set(ctx, template, &format!("PATH_{slot}"), &carrier.nothing().display().to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_holds_no_macros_and_is_read_as_it_was() {
        let looked = |key: &str| task::WrappedLookup {
            cache: "c".to_owned(),
            key: key.to_owned(),
            restore_keys: "$(Build.SourceBranch)".to_owned(),
        };
        let plan = WrappedPlan { slots: vec![Some(looked("k-$(LATER)")), None] };
        let text = json_without_macros(&json::line(&plan));
        assert!(!text.contains('$'), "{text}");
        assert_eq!(serde_json::from_str::<WrappedPlan>(&text).expect("a plan"), plan);
    }
}
