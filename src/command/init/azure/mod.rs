//! `Cache@2` in Azure Pipelines, and the templates that take its place.

mod key;
mod plan;
mod rewrite;

pub(super) use plan::TaskPlan;
pub(super) use rewrite::edits;

use super::candidate::{Candidate, Refusal};
use super::draft::{self, Draft};
use super::edit::Layout;
use crate::command::pipelines::yaml::Node;
use plan::lists;

/// Fields of a step that a template has not.
const NOT_IN_TEMPLATES: [&str; 4] = ["condition", "enabled", "name", "env"];

/// The caches in a pipeline. Whether the document is one is not asked: nothing else has these tasks.
pub(super) fn find(text: &str, root: &Node) -> Vec<Candidate<TaskPlan>> {
    let mut found = Vec::new();
    let is_template = root.get("parameters").is_some()
        && ["trigger", "pr", "pool", "schedules", "resources", "extends"]
            .iter()
            .all(|name| root.get(name).is_none());
    for (list, steps) in lists(root).into_iter().enumerate() {
        for (at, step) in steps.items().iter().enumerate() {
            let Some(task) = step.value("task").filter(|task| is_cache_task(task.text)) else {
                found.extend(conditional(step));
                continue;
            };
            let plan = if is_template {
                Err(Refusal::new(
                    "it is in a template, and the pipelines that use it would have to name the repository of cachekeep",
                    "name the repository in those pipelines, and use `azure-task/restore.yml@cachekeep` here",
                ))
            } else {
                check_layout(text, steps, step).and_then(|()| plan(list, at, step))
            };
            let was =
                step.get("inputs").and_then(|inputs| inputs.value("key")).map(|key| key.text.to_owned());
            found.push(Candidate { keeper: task.text.to_owned(), place: task.place, was, paths: None, plan });
        }
    }
    found
}

fn is_cache_task(task: &str) -> bool {
    task.split_once('@').is_some_and(|(name, version)| name.eq_ignore_ascii_case("cache") && version == "2")
}

/// Caches in steps that are there only under a condition of the template language.
fn conditional(step: &Node) -> Vec<Candidate<TaskPlan>> {
    let mut found = Vec::new();
    for (key, value) in step.fields() {
        if !key.text().is_some_and(|key| key.starts_with("${{")) {
            continue;
        }
        for step in value.items() {
            if let Some(task) = step.value("task").filter(|task| is_cache_task(task.text)) {
                let plan = Err(Refusal::new(
                    "it is there only under a condition of the template language",
                    "put `azure-task/restore.yml` and `azure-task/save.yml` under the same condition",
                ));
                found.push(Candidate {
                    keeper: task.text.to_owned(),
                    place: task.place,
                    was: None,
                    paths: None,
                    plan,
                });
            }
            found.extend(conditional(step));
        }
    }
    found
}

fn check_layout(text: &str, steps: &Node, step: &Node) -> Result<(), Refusal> {
    let layout = Layout::of(text);
    let inputs = step.get("inputs");
    let is_block = !steps.is_flow(text)
        && steps.items().iter().all(|step| layout.dash(step).is_some() && !step.is_flow(text))
        && inputs.is_some_and(|inputs| !inputs.is_flow(text) && !inputs.fields().is_empty());
    if is_block {
        return Ok(());
    }
    Err(Refusal::new(
        "the steps are written in a way that cannot be changed without touching others",
        "write each step with a `-` and its fields in lines of their own",
    ))
}

fn plan(list: usize, at: usize, step: &Node) -> Result<TaskPlan, Refusal> {
    if let Some((field, _)) =
        step.fields().iter().find(|(key, _)| key.text().is_some_and(|key| NOT_IN_TEMPLATES.contains(&key)))
    {
        let text = format!("a step that is a template has no `{}`", field.text().unwrap_or_default());
        return Err(Refusal::new(text, "put the templates under `${{ if }}`").at(Some(field.place.clone())));
    }
    let inputs = step.get("inputs");
    let input = |name: &str| inputs.and_then(|inputs| inputs.value(name));
    if let Some(hit) = input("cacheHitVar") {
        return Err(Refusal::new(
            "later steps read `cacheHitVar`, which the templates do not set",
            "ask `$(cachekeep_restore.hit)`, which is `exact`, `partial` or `none`",
        )
        .at(Some(hit.place)));
    }
    let (Some(key), Some(path)) = (input("key"), input("path")) else {
        return Err(Refusal::new("it has no key or no path", "give it a `key` and a `path`"));
    };
    let by_hand = "declare the cache by hand: docs/azure-pipelines.md";
    let refused = |name: &str, reason: String, value: &crate::command::pipelines::yaml::Value<'_>| {
        Refusal::new(format!("`{name}` cannot be said in cachekeep.toml: {reason}"), by_hand)
            .at(Some(value.place.clone()))
    };
    let translated = key::key(key.text).map_err(|reason| refused("key", reason, &key))?;
    let mut draft = Draft { key: translated.template, ..Draft::default() };
    let mut vars = translated.vars;
    for restore in
        input("restoreKeys").iter().flat_map(|value| value.text.lines().map(move |line| (line, value)))
    {
        let (line, value) = restore;
        let translated = key::key(line.trim()).map_err(|reason| refused("restoreKeys", reason, value))?;
        if !line.trim().is_empty() && translated.template != draft.key {
            // The task finds whole segments.
            draft.restore_keys.push(format!("{}-", translated.template));
            vars.extend(translated.vars);
        }
    }
    for line in path.text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        draft.paths.push(key::path(line).map_err(|reason| refused("path", reason, &path))?);
    }
    draft.name = draft::name_of(&draft.paths, &draft.key);
    if let Some((kind, paths)) = draft::kind_of(&draft.paths) {
        (draft.kind, draft.paths) = (Some(kind), paths);
    }
    Ok(TaskPlan { list, step: at, draft, vars })
}
