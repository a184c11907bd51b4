//! The changes of a pipeline: jobs that extend the template.

use super::plan::JobPlan;
use crate::command::init::edit::{Edit, Layout, quoted};
use crate::command::pipelines::yaml::Node;

/// The template of this release.
const TEMPLATE: &str = concat!(
    "https://raw.githubusercontent.com/cachekeep/cachekeep/v",
    env!("CARGO_PKG_VERSION"),
    "/gitlab/cachekeep.yml"
);

/// The changes that these plans make.
pub(in crate::command::init) fn edits(text: &str, root: &Node, plans: &[(&JobPlan, &str)]) -> Vec<Edit> {
    let layout = Layout::of(text);
    let mut edits = Vec::new();
    for (at, (_, job)) in root.fields().iter().enumerate() {
        let of_job: Vec<&(&JobPlan, &str)> = plans.iter().filter(|(plan, _)| plan.job == at).collect();
        if !of_job.is_empty() {
            of_one(layout, job, &of_job, &mut edits);
        }
    }
    if !edits.is_empty() {
        edits.extend(include(layout, root));
    }
    edits
}

fn of_one(layout: Layout<'_>, job: &Node, plans: &[&(&JobPlan, &str)], edits: &mut Vec<Edit>) {
    let Some((key, cache)) = job.fields().iter().find(|(key, _)| key.text() == Some("cache")) else { return };
    let names: Vec<&str> = plans.iter().map(|(_, name)| *name).collect();
    let mut variables = vec![format!("CACHEKEEP_CACHES: {}", quoted(&names.join(" ")))];
    if plans.iter().all(|(plan, _)| plan.is_consumer) {
        variables.push("CACHEKEEP_ROLE: consumer".to_owned());
    } else if plans.iter().any(|(plan, _)| plan.draft.saves_always) {
        variables.push("CACHEKEEP_SAVE_WHEN: always".to_owned());
    }
    let mut lines = vec!["extends: .cachekeep".to_owned()];
    if let Some(own) = job.get("variables") {
        edits.push(layout.below(own.end, &layout.indentation(own.place.start), &variables));
    } else {
        lines.push("variables:".to_owned());
        lines.extend(variables.iter().map(|line| format!("  {line}")));
    }
    let start = key.place.start;
    edits.push(Edit::replace(start..cache.end, layout.lines(start, &lines)));
}

/// Includes the template.
fn include(layout: Layout<'_>, root: &Node) -> Option<Edit> {
    if let Some(include) = root.get("include") {
        let is_there = include.items().iter().any(|item| {
            item.value("remote").is_some_and(|remote| remote.text.ends_with("/gitlab/cachekeep.yml"))
        });
        let last = include.items().last().filter(|_| !is_there)?;
        return Some(layout.below(last.end, layout.dash(last)?, &[format!("- remote: {TEMPLATE}")]));
    }
    let (first, _) = root.fields().first()?;
    let newline = layout.newline;
    let text = format!("include:{newline}  - remote: {TEMPLATE}{newline}{newline}");
    Some(Edit::insert(layout.line_start(first.place.start), text))
}
