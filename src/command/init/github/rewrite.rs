//! The changes of a workflow: steps that restore and save in the place of others.

use std::collections::BTreeMap;

use super::plan::{How, StepPlan, Switch};
use crate::command::init::edit::{Edit, Layout, quoted, replace_fields};
use crate::command::pipelines::workflow::{self, Job, Step};
use crate::command::pipelines::yaml::Node;
use crate::command::wrapped::NESTED;

/// What steps use.
const ACTION: &str = "cachekeep/cachekeep";

/// The tag of the action.
const VERSION: &str = "v1";

/// Inputs that the action has under the same names.
const KEPT: [&str; 2] = ["lookup-only", "fail-on-cache-miss"];

/// Inputs of actions/cache that have no effect any more.
const DROPPED: [&str; 2] = ["upload-chunk-size", "save-always"];

/// A plan, and the name of its cache.
pub(in crate::command::init) type Named<'a> = (&'a StepPlan, Option<&'a str>);

/// The changes that these plans make.
pub(in crate::command::init) fn edits(text: &str, root: &Node, plans: &[Named<'_>]) -> Vec<Edit> {
    let layout = Layout::of(text);
    let Some(workflow) = workflow::read(root) else { return Vec::new() };
    let mut edits = Vec::new();
    for (at, job) in workflow.jobs.iter().enumerate() {
        let of_job: Vec<Named<'_>> = plans.iter().filter(|(plan, _)| plan.job == at).copied().collect();
        for named in &of_job {
            of_step(layout, job, *named, &mut edits);
        }
        saves(layout, job, &of_job, &mut edits);
    }
    edits
}

/// The changes of the step itself, and the step behind it.
fn of_step(layout: Layout<'_>, job: &Job<'_>, (plan, name): Named<'_>, edits: &mut Vec<Edit>) {
    let step = &job.steps[plan.step];
    let Some(uses) = step.node.get("uses") else { return };
    let mut become_action = |part: &str| {
        let text = format!("{ACTION}{part}@{VERSION}");
        edits.push(Edit::replace(uses.place.start..uses_end(layout, uses), text));
    };
    match &plan.how {
        How::DropIn(part) => {
            become_action(&format!("/{part}"));
            let dropped = |field: &&(Node, Node)| field.0.text().is_some_and(|name| DROPPED.contains(&name));
            let with = step.node.get("with").map_or(&[][..], Node::fields);
            edits.extend(with.iter().filter(dropped).map(|field| layout.without(field)));
        }
        How::Restore | How::RestoreOnly | How::Save => {
            become_action("");
            let mode = if plan.how == How::Save { "save" } else { "restore" };
            inputs(layout, step, &action_inputs(mode, &[name.unwrap_or_default()], &plan.vars), edits);
        }
        How::Beside(switches) => {
            switch_off(layout, step, switches, edits);
            let condition = plan.condition.as_ref().map(|condition| format!("if: {}", quoted(condition)));
            let inputs = action_inputs("restore", &[name.unwrap_or_default()], &plan.vars);
            let lines = new_step("", condition, &inputs, is_spaced(layout, job));
            let margin = layout.dash(step.node).unwrap_or_default();
            edits.push(layout.below(step.node.end, margin, &lines));
        }
    }
}

/// Where the name of an action ends: with a comment that names the version of its commit.
fn uses_end(layout: Layout<'_>, uses: &Node) -> usize {
    let behind = &layout.text[uses.end..layout.line_end(uses.end)];
    let comment = behind.trim_start().strip_prefix('#').map(str::trim);
    let is_version = comment.is_some_and(|comment| {
        let digits = comment.strip_prefix('v').unwrap_or(comment);
        digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    });
    if is_version { layout.line_end(uses.end) } else { uses.end }
}

/// Inputs of the action, each as lines without indentation.
fn action_inputs(mode: &str, names: &[&str], vars: &BTreeMap<String, String>) -> Vec<Vec<String>> {
    let mut inputs =
        vec![vec![format!("mode: {mode}")], vec![format!("cache: {}", quoted(&names.join(" ")))]];
    let values: Vec<String> = vars.iter().map(|(name, value)| format!("{name}={value}")).collect();
    match values.as_slice() {
        [] => {}
        [value] => inputs.push(vec![format!("vars: \"{value}\"")]),
        values => {
            let lines = values.iter().map(|value| format!("  {value}"));
            inputs.push(std::iter::once("vars: |".to_owned()).chain(lines).collect());
        }
    }
    inputs
}

/// Puts inputs in the place of those of the step, field by field, so that comments between them stay.
fn inputs(layout: Layout<'_>, step: &Step<'_>, inputs: &[Vec<String>], edits: &mut Vec<Edit>) {
    let Some(with) = step.node.get("with").filter(|with| !with.fields().is_empty()) else {
        edits.extend(new_with(layout, step, &inputs.concat()));
        return;
    };
    let is_kept = |field: &&(Node, Node)| field.0.text().is_some_and(|name| KEPT.contains(&name));
    if with.is_flow(layout.text) {
        let kept = with.fields().iter().filter(is_kept).map(|field| in_flow(layout, field));
        let new = inputs.iter().map(|lines| match lines.as_slice() {
            [line] => line.clone(),
            lines => {
                let values: Vec<&str> = lines[1..].iter().map(|line| line.trim()).collect();
                format!("vars: \"{}\"", values.join("\\n"))
            }
        });
        let fields: Vec<String> = new.chain(kept).collect();
        edits.push(Edit::replace(with.place.start..with.end, format!("{{ {} }}", fields.join(", "))));
        return;
    }
    replace_fields(layout, with, |field| !is_kept(&field), inputs, edits);
}

fn in_flow(layout: Layout<'_>, (key, value): &(Node, Node)) -> String {
    format!("{}: {}", &layout.text[key.place.start..key.end], &layout.text[value.place.start..value.end])
}

/// Gives a step without inputs some.
fn new_with(layout: Layout<'_>, step: &Step<'_>, inputs: &[String]) -> Option<Edit> {
    let uses = step.node.get("uses")?;
    let margin = layout.indentation(step.node.place.start);
    let lines = inputs.iter().map(|line| format!("  {line}"));
    let lines: Vec<String> = std::iter::once("with:".to_owned()).chain(lines).collect();
    Some(layout.below(uses.end, &margin, &lines))
}

/// Switches the cache of an action off.
fn switch_off(layout: Layout<'_>, step: &Step<'_>, switches: &[Switch], edits: &mut Vec<Edit>) {
    let new = |(input, value): (&str, &str)| format!("{input}: {value}");
    let missing: Vec<String> = switches
        .iter()
        .filter(|switch| step.input(switch.input).is_none())
        .filter_map(|switch| switch.becomes.map(new))
        .collect();
    let Some(with) = step.node.get("with").filter(|with| !with.fields().is_empty()) else {
        if !missing.is_empty() {
            edits.extend(new_with(layout, step, &missing));
        }
        return;
    };
    let switch_of =
        |field: &(Node, Node)| switches.iter().find(|switch| field.0.text() == Some(switch.input));
    let stays = |field: &(Node, Node)| switch_of(field).is_none_or(|switch| switch.becomes.is_some());
    if missing.is_empty() && !with.fields().iter().any(stays) {
        let field = step.node.fields().iter().find(|(key, _)| key.text() == Some("with"));
        edits.extend(field.map(|field| layout.without(field)));
        return;
    }
    if with.is_flow(layout.text) {
        let old = with.fields().iter().filter(|field| stays(field)).map(|field| {
            switch_of(field).and_then(|switch| switch.becomes).map_or_else(|| in_flow(layout, field), new)
        });
        let fields: Vec<String> = old.chain(missing).collect();
        edits.push(Edit::replace(with.place.start..with.end, format!("{{ {} }}", fields.join(", "))));
        return;
    }
    for field in with.fields() {
        match switch_of(field).map(|switch| switch.becomes) {
            Some(Some(becomes)) => {
                edits.push(Edit::replace(field.0.place.start..field.1.end, new(becomes)));
            }
            Some(None) => edits.push(layout.without(field)),
            None => {}
        }
    }
    if !missing.is_empty() {
        edits.push(layout.below(with.end, &layout.indentation(with.place.start), &missing));
    }
}

/// Whether blank lines stand between the steps of a job.
fn is_spaced(layout: Layout<'_>, job: &Job<'_>) -> bool {
    job.steps.iter().skip(1).any(|step| {
        let line = layout.line_start(step.node.place.start);
        let before = &layout.text[..line];
        let before = before.strip_suffix('\n').unwrap_or(before);
        before.trim_end_matches('\r').ends_with('\n')
    })
}

/// A step of the action, from its dash on; `part` is what follows its name.
fn new_step(part: &str, condition: Option<String>, inputs: &[Vec<String>], is_spaced: bool) -> Vec<String> {
    let mut lines = if is_spaced { vec![String::new()] } else { Vec::new() };
    lines.push(format!("- uses: {ACTION}{part}@{VERSION}"));
    lines.extend(condition.map(|condition| format!("  {condition}")));
    lines.push("  with:".to_owned());
    lines.extend(inputs.iter().flatten().map(|line| format!("    {line}")));
    lines
}

/// Steps at the end of the job that save.
fn saves(layout: Layout<'_>, job: &Job<'_>, plans: &[Named<'_>], edits: &mut Vec<Edit>) {
    let Some(last) = job.steps.last() else { return };
    let mut groups: Vec<(String, Vec<&str>, BTreeMap<String, String>)> = Vec::new();
    let mut lines = Vec::new();
    let is_spaced = is_spaced(layout, job);
    for (plan, name) in plans.iter().filter(|(plan, _)| plan.is_saved) {
        let Some(name) = name else {
            let step = &job.steps[plan.step];
            let condition = drop_in_condition(step, plan);
            lines.extend(new_step("/save", condition, &drop_in_inputs(step), is_spaced));
            continue;
        };
        let condition = save_condition(plan);
        let room = |group: &&mut (String, Vec<&str>, _)| group.0 == condition && group.1.len() < NESTED;
        match groups.iter_mut().find(room) {
            Some((_, names, _)) if names.contains(name) => {}
            Some((_, names, vars)) => {
                names.push(name);
                vars.extend(plan.vars.clone());
            }
            None => groups.push((condition, vec![name], plan.vars.clone())),
        }
    }
    for (condition, names, vars) in &groups {
        let condition = (!condition.is_empty()).then(|| format!("if: {}", quoted(condition)));
        lines.extend(new_step("", condition, &action_inputs("save", names, vars), is_spaced));
    }
    let margin = layout.dash(last.node).unwrap_or_default();
    if !lines.is_empty() {
        edits.push(layout.below(last.node.end, margin, &lines));
    }
}

/// When a cache is saved; empty if always where the job has succeeded.
fn save_condition(plan: &StepPlan) -> String {
    let always = plan.is_always.then(|| "always()".to_owned());
    let parts: Vec<&String> = [&always, &plan.condition, &plan.save_if].into_iter().flatten().collect();
    match parts.as_slice() {
        [] => String::new(),
        [part] => (*part).clone(),
        parts => {
            let in_brackets = |part: &&String| {
                if part.contains("||") { format!("({part})") } else { (*part).clone() }
            };
            parts.iter().map(in_brackets).collect::<Vec<_>>().join(" && ")
        }
    }
}

fn drop_in_condition(step: &Step<'_>, plan: &StepPlan) -> Option<String> {
    let hit = step.node.value("id").map(|id| format!("steps.{}.outputs.cache-hit != 'true'", id.text));
    let both = [plan.condition.clone().map(|condition| format!("({condition})")), hit];
    let text = both.into_iter().flatten().collect::<Vec<_>>().join(" && ");
    (!text.is_empty()).then(|| format!("if: {}", quoted(&text)))
}

/// The inputs of a step that saves what a step with the inputs of actions/cache restored.
fn drop_in_inputs(step: &Step<'_>) -> Vec<Vec<String>> {
    let paths = step.lines("path");
    let path = match paths.as_slice() {
        [path] => vec![format!("path: {}", quoted(path))],
        paths => std::iter::once("path: |".to_owned())
            .chain(paths.iter().map(|path| format!("  {path}")))
            .collect(),
    };
    let key = match step.node.value("id") {
        Some(id) => format!("${{{{ steps.{}.outputs.cache-primary-key }}}}", id.text),
        None => step.input("key").map_or("", |key| key.text).to_owned(),
    };
    let key = if key.starts_with("${{") && !key.contains([':', '#']) { key } else { quoted(&key) };
    let mut inputs = vec![path, vec![format!("key: {key}")]];
    inputs.extend(
        step.input("enableCrossOsArchive").map(|value| vec![format!("enableCrossOsArchive: {}", value.text)]),
    );
    inputs
}
