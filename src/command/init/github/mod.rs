//! Caches of other actions in a workflow of GitHub Actions, and the steps that take their place.

mod cache;
mod outputs;
mod plan;
mod rewrite;
mod scene;
mod setup;
mod tools;

pub(super) use plan::StepPlan;
pub(super) use rewrite::edits;

use super::candidate::{Candidate, Refusal};
use crate::command::pipelines::workflow::{self, Step, StepKind};
use crate::command::pipelines::yaml::Node;
use scene::{InitScene, Looked};

/// The caches in a workflow or composite action; `None` if the document is neither.
pub(super) fn find(text: &str, root: &Node) -> Option<Vec<Candidate<StepPlan>>> {
    let Some(workflow) = workflow::read(root) else {
        let steps = root.get("runs")?.get("steps")?;
        return Some(in_composite_action(steps));
    };
    let mut found = Vec::new();
    for (job_at, job) in workflow.jobs.iter().enumerate() {
        for (step_at, step) in job.steps.iter().enumerate() {
            let StepKind::Other(name) = step.kind else { continue };
            let scene = InitScene { text, job, step, place: (job_at, step_at) };
            let looked = look(name, &scene);
            let Some(plan) = looked else { continue };
            let plan = plan.and_then(|plan| scene.check_layout().map(|()| plan));
            found.push(Candidate {
                keeper: keeper(step),
                place: step.place.clone(),
                was: step
                    .input("key")
                    .filter(|_| name.starts_with("actions/cache"))
                    .map(|key| key.text.to_owned()),
                paths: name.starts_with("actions/cache").then(|| step.lines("path").join("\n")),
                plan,
            });
        }
    }
    Some(found)
}

fn look(name: &str, scene: &InitScene<'_>) -> Looked {
    match name {
        "actions/cache" => Some(cache::plan(scene, cache::Part::Both)),
        "actions/cache/restore" => Some(cache::plan(scene, cache::Part::Restore)),
        "actions/cache/save" => Some(cache::plan(scene, cache::Part::Save)),
        "Swatinem/rust-cache" => Some(tools::rust_cache(scene)),
        "hendrikmuhs/ccache-action" if is_saving(scene.step) => Some(tools::ccache_action(scene)),
        _ => setup::plan(name, scene),
    }
}

/// Whether the compiler cache is not only installed.
fn is_saving(step: &Step<'_>) -> bool {
    step.input("save").is_none_or(|save| save.text != "false")
}

/// What a step uses, with a short version.
fn keeper(step: &Step<'_>) -> String {
    let uses = step.node.value("uses").map_or("", |uses| uses.text);
    match uses.split_once('@') {
        Some((name, version)) if version.len() >= 40 => {
            format!("{name}@{}", &version.get(..7).unwrap_or(version))
        }
        _ => uses.to_owned(),
    }
}

/// A composite action has no step after the build of its job.
fn in_composite_action(steps: &Node) -> Vec<Candidate<StepPlan>> {
    let keeps = |step: &&Node| {
        step.value("uses").is_some_and(|uses| {
            ["actions/cache@", "actions/cache/", "Swatinem/rust-cache@", "hendrikmuhs/ccache-action@"]
                .iter()
                .any(|name| uses.text.starts_with(name))
        })
    };
    let found = steps.items().iter().filter(keeps).filter_map(|step| step.value("uses")).map(|uses| Candidate {
        keeper: uses.text.to_owned(),
        place: uses.place,
        was: None,
        paths: None,
        plan: Err(Refusal::new(
            "a composite action has no step that runs after the build of its job, where the cache could be saved",
            "restore and save in the workflows that use the action",
        )),
    });
    found.collect()
}
