//! The steps of the GitHub action around its nested steps of actions/cache.

use crate::cli::args::Command;
use crate::cli::inputs;
use crate::cli::publish::relay;
use crate::command::complete;
use crate::command::context::Context;
use crate::command::wrapped::{self, Carrier, FoundKeys, NESTED};
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::outcome::{JobOutcome, SaveResult};
use crate::github::credentials::NoCredentials;
use crate::platform::Env;
use crate::report::json::{self, Save};

/// Sets an output of the step.
pub(in crate::cli) fn output(ctx: &Context<'_>, name: &str, value: &str) {
    relay(ctx, "set an output", ctx.platform.output(name, value));
}

/// Tells the nested steps what to look for.
pub(in crate::cli) fn plan(ctx: &Context<'_>, command: &Command) -> Result<JobOutcome, Fault> {
    let purpose = match command {
        Command::Save { .. } => wrapped::Purpose::Save,
        _ if command.restore_options().lookup_only => wrapped::Purpose::Lookup,
        _ => wrapped::Purpose::Restore,
    };
    let mut job = JobOutcome::new(command.name());
    if purpose == wrapped::Purpose::Save {
        wrapped::report_tools(ctx, &mut job);
    }
    let looked_for = command.restore_options().looked_for;
    let slots = wrapped::plan(ctx, &Carrier::actions_cache(ctx)?, purpose, looked_for)?;
    output(ctx, "transport", "wrapped");
    output(ctx, "lookup-only", &(purpose != wrapped::Purpose::Restore).to_string());
    for (index, slot) in slots.iter().enumerate() {
        let Some(slot) = slot else { continue };
        output(ctx, &format!("key-{index}"), &slot.key);
        output(ctx, &format!("path-{index}"), &slot.paths);
        // A save asks for its very key.
        if purpose != wrapped::Purpose::Save {
            output(ctx, &format!("restore-keys-{index}"), &slot.restore_keys);
        }
    }
    Ok(job)
}

/// What the steps before left for each cache.
fn each<T>(env: &Env, name: &str, read: impl Fn(&str) -> T) -> Vec<T> {
    (0..NESTED).map(|index| read(env.var(&format!("CACHEKEEP_{name}_{index}")).unwrap_or_default())).collect()
}

fn found(env: &Env) -> Vec<FoundKeys> {
    let keys = each(env, "KEY", str::to_owned);
    let restore_keys = each(env, "RESTORE_KEYS", str::to_owned);
    let matched = each(env, "MATCHED", str::to_owned);
    let found = keys.into_iter().zip(restore_keys).zip(matched);
    found.map(|((key, restore_keys), matched)| FoundKeys { key, restore_keys, matched }).collect()
}

/// Shows actions/cache what is to be saved.
pub(in crate::cli) fn stage(ctx: &Context<'_>) -> Result<JobOutcome, Fault> {
    let staged = wrapped::stage(ctx, &Carrier::actions_cache(ctx)?, &found(ctx.env))?;
    for (index, outcome) in staged.iter().enumerate() {
        let Some(outcome) = outcome else { continue };
        let json = json::line(&Save::from(outcome));
        output(ctx, &format!("staged-{index}"), &json);
        if outcome.result == SaveResult::Saved {
            output(ctx, &format!("save-{index}"), "true");
        }
    }
    Ok(JobOutcome::new("save"))
}

/// Makes caches of what actions/cache restored, or says what it saved.
pub(in crate::cli) fn finish(ctx: &Context<'_>, command: &Command) -> Result<JobOutcome, Fault> {
    let carrier = Carrier::actions_cache(ctx)?;
    if matches!(command, Command::Save { .. }) {
        let staged = each(ctx.env, "STAGED", |json| serde_json::from_str::<Save>(json).ok());
        let staged = staged.into_iter().zip(ctx.caches);
        let staged = staged.map(|(save, spec)| save?.into_outcome(&spec.name)).collect();
        let kept = each(ctx.env, "KEPT", |hit| hit == "true");
        return Ok(wrapped::saved(ctx, &carrier, staged, &kept));
    }
    let options = command.restore_options();
    let mut job = wrapped::restored(ctx, &carrier, &found(ctx.env), options)?;
    if !options.lookup_only {
        complete::complete(ctx, inputs::is_true(ctx.env, "seed")?, &mut job);
    }
    Ok(job)
}

/// Says why actions/cache moves the archives.
pub(in crate::cli) fn announce(ctx: &Context<'_>, why: &NoCredentials) {
    let text = format!("actions/cache moves the archives: {why}");
    ctx.report_about_job(Level::Info, text);
    if let Some(hint) = why.hint() {
        ctx.report_about_job(Level::Debug, hint);
    }
}
