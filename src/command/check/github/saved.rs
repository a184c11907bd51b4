//! What the workflows of a checkout save: a cache that one restores may be filled by another.

use std::collections::BTreeSet;

use crate::command::pipelines::workflow::{self, Mode, Step, Workflow};
use crate::command::pipelines::yaml::{Node, Value};
use crate::domain::spec::CacheSpec;

/// What workflows save.
#[derive(Debug, Default)]
pub(crate) struct SavedCaches {
    /// Every cache, or caches that only the run knows.
    all: bool,
    /// Caches by their names.
    names: BTreeSet<String>,
    /// Caches that inputs declare, by their paths.
    paths: BTreeSet<String>,
}

impl SavedCaches {
    /// Adds what a document saves, if it is a workflow.
    pub(in crate::command::check) fn add(&mut self, root: &Node) {
        let Some(workflow) = workflow::read(root) else { return };
        for job in &workflow.jobs {
            for step in job.steps.iter().filter(|step| saves(step)) {
                let is_ours = step.is_ours();
                self.add_named(step.input("cache").filter(|_| is_ours), step.lines("path"));
            }
            if populates(job.node) {
                self.add_named(job.node.get("with").and_then(|with| with.value("cache")), Vec::new());
            }
        }
    }

    fn add_named(&mut self, named: Option<Value<'_>>, paths: Vec<&str>) {
        match named.filter(Value::is_literal) {
            Some(named) => self.names.extend(named.text.split_whitespace().map(str::to_owned)),
            None if paths.is_empty() => self.all = true,
            None => self.paths.extend(paths.into_iter().map(str::to_owned)),
        }
    }

    /// Whether something that a step restores is saved; `caches` are those of the step, if they are known.
    pub(super) fn has_some_of(&self, step: &Step<'_>, caches: Option<&[&CacheSpec]>) -> bool {
        let paths = step.lines("path");
        self.all
            || paths.iter().any(|path| self.paths.contains(*path))
            || caches.is_some_and(|caches| caches.iter().any(|cache| self.names.contains(&cache.name)))
            || caches.is_none() && paths.is_empty() && !self.names.is_empty()
    }
}

/// Whether a step saves caches.
fn saves(step: &Step<'_>) -> bool {
    step.is(Mode::Save)
        || ["cachekeep save", "cachekeep run"].iter().any(|words| step.script().contains(words))
        || step.node.value("shell").is_some_and(|shell| shell.text.contains("cachekeep run"))
}

/// Whether a job calls the workflow that fills caches.
fn populates(job: &Node) -> bool {
    job.value("uses").is_some_and(|uses| uses.text.contains("/.github/workflows/populate.yml"))
}

/// Whether a workflow saves something.
pub(super) fn is_any_in(workflow: &Workflow<'_>) -> bool {
    workflow.jobs.iter().any(|job| job.steps.iter().any(saves) || populates(job.node))
}
