//! `clean` and `delete`: entries go by the policy, or because they were asked for.

use super::args::{CleanArgs, DeleteArgs};
use super::catalog;
use super::choice;
use super::exit::{self, Exit};
use super::publish::{print, summarize};
use super::site::Site;
use crate::command::clean::{self, CleanOptions, PlanSource};
use crate::command::context::Context;
use crate::domain::clean::End;
use crate::domain::fault::Fault;
use crate::domain::retention::Plan;
use crate::domain::retention::by_hand::Choice;
use crate::domain::unit::counted;
use crate::report::json::{self, clean::CleanDocument};
use crate::report::markdown;
use crate::store::Catalog;

/// Deletes what the policy does not keep.
pub(super) fn clean(typed: &CleanArgs, site: &Site<'_>, ctx: &Context<'_>) -> Result<Exit, Fault> {
    let mut policy = site.settings.spec.clean.clone();
    policy.only_ref = choice::scope(&site.typed_names)?;
    let one_of_two = [typed.pull_request.is_some(), typed.apply.is_some()];
    if policy.only_ref.is_some() && one_of_two.contains(&true) {
        return Err(Fault::usage("`--ref` goes neither with `--pull-request` nor with `--apply`"));
    }
    if let Some(number) = typed.pull_request {
        policy = clean::options::about_pull_request(policy, number);
    }
    let apply = typed.apply.as_deref().map(|path| site.absolute(path));
    let options = CleanOptions {
        policy,
        source: apply.map_or(PlanSource::Policy, PlanSource::Saved),
        dry_run: typed.dry_run,
        plan_out: typed.plan_out.as_deref().map(|path| site.absolute(path)),
    };
    let catalog = catalog::open_with_states(&typed.target, site, ctx)?;
    run(ctx, catalog.as_ref(), &options, &|_| true)
}

/// Deletes what was asked for.
pub(super) fn delete(typed: &DeleteArgs, site: &Site<'_>, ctx: &Context<'_>) -> Result<Exit, Fault> {
    let query = choice::query(site, &typed.filter)?;
    if query.is_empty() {
        let hint = "choose by `--id`, `--key`, `--prefix`, `--ref`, `--older-than`, `--unused-for`, `--larger-than` or \
                        `--smaller-than`; `cachekeep ls` with the same options lists them";
        return Err(Fault::usage("nothing says which entries are to be deleted").with_hint(hint.to_owned()));
    }
    let options = CleanOptions {
        policy: site.settings.spec.clean.clone(),
        source: PlanSource::Chosen(Box::new(Choice { query, with_protected: typed.with_protected })),
        dry_run: typed.dry_run,
        plan_out: None,
    };
    let ask = site.env.can_ask && !typed.yes;
    let approve = |plan: &Plan| {
        let freed = plan.totals().all.freed;
        let question = format!("Delete {} of {}?", counted(freed.entries, "entry"), freed.bytes);
        !ask || choice::confirm(ctx, &question)
    };
    run(ctx, catalog::open(&typed.target, site, ctx)?.as_ref(), &options, &approve)
}

fn run(
    ctx: &Context<'_>,
    catalog: &dyn Catalog,
    options: &CleanOptions,
    approve: &dyn Fn(&Plan) -> bool,
) -> Result<Exit, Fault> {
    let outcome = clean::run(ctx, catalog, options, approve)?;
    summarize(ctx, &markdown::clean::markdown(&outcome));
    let printed =
        if ctx.stdout_is_json { print(&json::render(&CleanDocument::from(&outcome))) } else { exit::OK };
    let exit = match outcome.end {
        End::DryRun | End::Done => exit::OK,
        End::Failed | End::Stopped(_) => exit::FAILED,
        End::NotPermitted(_) => exit::NOT_PERMITTED,
    };
    Ok(exit.or(printed))
}
