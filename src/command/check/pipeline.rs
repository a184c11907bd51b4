//! An Azure pipeline as far as it is about caches: jobs, and the steps in them that keep caches.

use std::ops::Range;

use crate::command::pipelines::yaml::{Kind, Node, Value};

/// Steps that run one after the other on one machine.
#[derive(Debug, Default)]
pub(super) struct Job<'a> {
    /// The steps that keep caches, in order.
    pub(super) steps: Vec<Step<'a>>,
    /// Whether other steps may stand around these: in a template that uses them, or in one that they use.
    pub(super) is_open: bool,
}

/// A step that keeps caches.
#[derive(Debug)]
pub(super) struct Step<'a> {
    pub(super) kind: StepKind,
    /// What names the template or the task.
    pub(super) place: Range<usize>,
    /// Its parameters or inputs.
    pub(super) parameters: Option<&'a Node>,
    /// Whether it is there only under a condition of the template language.
    pub(super) is_conditional: bool,
}

/// What a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepKind {
    /// `azure-task/restore.yml`.
    Restore,
    /// `azure-task/save.yml`.
    Save,
    /// `azure-task/populate.yml`, which restores and saves.
    Populate,
    /// `azure-task/clean.yml`.
    Clean,
    /// `Cachekeep@0`, which restores and saves.
    Task,
    /// `Cache@2`, which others use by themselves.
    CacheTask,
}

impl<'a> Step<'a> {
    /// A parameter that is not empty.
    pub(super) fn parameter(&self, name: &str) -> Option<Value<'a>> {
        self.parameters?.value(name)
    }

    /// Where a finding about a parameter is shown: there, or at the step if it is not given.
    pub(super) fn place_of(&self, name: &str) -> Range<usize> {
        self.parameter(name).map_or_else(|| self.place.clone(), |value| value.place)
    }
}

/// The jobs of a document that keep caches.
pub(super) fn jobs(root: &Node) -> Vec<Job<'_>> {
    let mut jobs = Vec::new();
    let is_template = root.get("parameters").is_some()
        && ["trigger", "pr", "pool", "schedules", "resources", "extends"]
            .iter()
            .all(|name| root.get(name).is_none());
    find(root, is_template, &mut jobs);
    jobs
}

fn find<'a>(node: &'a Node, is_template: bool, jobs: &mut Vec<Job<'a>>) {
    match &node.kind {
        Kind::Mapping(fields) => {
            for (key, value) in fields {
                if key.text() == Some("steps") {
                    let mut job = Job { is_open: is_template, ..Job::default() };
                    steps(value, false, &mut job);
                    if !job.steps.is_empty() {
                        jobs.push(job);
                    }
                } else {
                    find(value, is_template, jobs);
                }
            }
        }
        Kind::Sequence(items) => items.iter().for_each(|item| find(item, is_template, jobs)),
        Kind::Scalar(_) | Kind::Alias => {}
    }
}

fn steps<'a>(list: &'a Node, is_conditional: bool, job: &mut Job<'a>) {
    for item in list.items() {
        // `${{ if … }}:` and `${{ each … }}:` put the steps below them in their own place.
        for (key, value) in item.fields() {
            if key.text().is_some_and(|key| key.starts_with("${{")) {
                steps(value, true, job);
            }
        }
        let named = item
            .get("template")
            .map(|node| (node, false))
            .or_else(|| item.get("task").map(|node| (node, true)));
        let Some((name, is_task)) = named else { continue };
        let Some(text) = name.text() else { continue };
        let kind = if is_task { task(text) } else { template(text) };
        let Some(kind) = kind else {
            job.is_open |= !is_task;
            continue;
        };
        let parameters = item.get(if is_task { "inputs" } else { "parameters" });
        job.steps.push(Step { kind, place: name.place.clone(), parameters, is_conditional });
    }
}

/// The step that a template is, by its path: `azure-task/restore.yml@ALIAS`.
fn template(name: &str) -> Option<StepKind> {
    let path = name.split('@').next()?;
    Some(match path.strip_prefix('/').unwrap_or(path).rsplit_once("azure-task/")?.1 {
        "restore.yml" => StepKind::Restore,
        "save.yml" => StepKind::Save,
        "populate.yml" => StepKind::Populate,
        "clean.yml" => StepKind::Clean,
        _ => return None,
    })
}

fn task(name: &str) -> Option<StepKind> {
    let (name, version) = name.split_once('@')?;
    let name = name.rsplit('.').next()?;
    match (name.to_ascii_lowercase().as_str(), version) {
        ("cachekeep", _) => Some(StepKind::Task),
        ("cache", "2") => Some(StepKind::CacheTask),
        _ => None,
    }
}
