//! The changes of a pipeline: templates that restore and save in the place of `Cache@2`.

use std::collections::BTreeMap;

use super::plan::{TaskPlan, VERSION, lists};
use crate::command::init::edit::{Edit, Layout, quoted, replace_fields};
use crate::command::pipelines::yaml::Node;

/// The changes that these plans make.
pub(in crate::command::init) fn edits(text: &str, root: &Node, plans: &[(&TaskPlan, &str)]) -> Vec<Edit> {
    let layout = Layout::of(text);
    let mut edits = Vec::new();
    for (at, steps) in lists(root).into_iter().enumerate() {
        let of_list: Vec<&(&TaskPlan, &str)> = plans.iter().filter(|(plan, _)| plan.list == at).collect();
        let Some(((first, _), rest)) = of_list.split_first() else { continue };
        let mut names: Vec<&str> = of_list.iter().map(|(_, name)| *name).collect();
        names.dedup();
        let vars: BTreeMap<&String, &String> = of_list.iter().flat_map(|(plan, _)| &plan.vars).collect();
        restore(layout, &steps.items()[first.step], &parameters(&names, &vars, true), &mut edits);
        for (plan, _) in rest {
            let step = &steps.items()[plan.step];
            edits.push(layout.without_block(step.place.start, step.end));
        }
        let Some(last) = steps.items().last() else { continue };
        let mut lines =
            vec!["- template: azure-task/save.yml@cachekeep".to_owned(), "  parameters:".to_owned()];
        lines.extend(parameters(&names, &vars, false).iter().flatten().map(|line| format!("    {line}")));
        let margin = layout.dash(last).unwrap_or_default();
        edits.push(layout.below(last.end, margin, &lines));
    }
    if !edits.is_empty() {
        edits.extend(resource(layout, root));
    }
    edits
}

fn parameters(names: &[&str], vars: &BTreeMap<&String, &String>, installs: bool) -> Vec<Vec<String>> {
    let mut parameters = vec![vec![format!("cache: {}", quoted(&names.join(" ")))]];
    let values: Vec<String> = vars.iter().map(|(name, value)| format!("{name}={value}")).collect();
    match values.as_slice() {
        [] => {}
        [value] => parameters.push(vec![format!("vars: {value}")]),
        values => {
            let lines = values.iter().map(|value| format!("  {value}"));
            parameters.push(std::iter::once("vars: |".to_owned()).chain(lines).collect());
        }
    }
    if installs {
        parameters.push(vec![format!("version: v{VERSION}")]);
        parameters.push(vec!["sums: |".to_owned(), "  <the lines of release.sha256>".to_owned()]);
    }
    parameters
}

/// Makes a step a template with these parameters, field by field, so that comments between them stay.
fn restore(layout: Layout<'_>, step: &Node, parameters: &[Vec<String>], edits: &mut Vec<Edit>) {
    for field in step.fields() {
        let (key, value) = field;
        match key.text() {
            Some("task") => {
                let text = "template: azure-task/restore.yml@cachekeep";
                edits.push(Edit::replace(key.place.start..value.end, text));
            }
            Some("inputs") => {
                edits.push(Edit::replace(key.place.start..key.end, "parameters"));
                replace_fields(layout, value, |_| true, parameters, edits);
            }
            _ => edits.push(layout.without(field)),
        }
    }
}

/// Names the repository of the templates, unless the pipeline does.
fn resource(layout: Layout<'_>, root: &Node) -> Option<Edit> {
    let lines = |margin: &str| -> Vec<String> {
        ["- repository: cachekeep", "  type: github", "  name: cachekeep/cachekeep"]
            .iter()
            .map(|line| (*line).to_owned())
            .chain([format!("  ref: refs/tags/v{VERSION}"), "  endpoint: github.com".to_owned()])
            .map(|line| format!("{margin}{line}"))
            .collect()
    };
    let join = |lines: &[String]| lines.iter().fold(String::new(), |text, line| text + line + layout.newline);
    let resources = root.get("resources");
    if let Some(repositories) = resources.and_then(|resources| resources.get("repositories")) {
        let is_named = |item: &&Node| item.value("repository").is_some_and(|name| name.text == "cachekeep");
        if repositories.items().iter().find(is_named).is_some() {
            return None;
        }
        let last = repositories.items().last()?;
        let margin = layout.dash(last)?;
        return Some(layout.below(last.end, margin, &lines("")));
    }
    if let Some(resources) = resources {
        let (first, _) = resources.fields().first()?;
        let at = layout.line_start(first.place.start);
        let margin = layout.indentation(first.place.start);
        let text = join(&[vec![format!("{margin}repositories:")], lines(&format!("{margin}  "))].concat());
        return Some(Edit::insert(at, text));
    }
    let (first, _) = root.fields().first()?;
    let text = join(&[vec!["resources:".to_owned(), "  repositories:".to_owned()], lines("    ")].concat());
    Some(Edit::insert(layout.line_start(first.place.start), format!("{text}{}", layout.newline)))
}
