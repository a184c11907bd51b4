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
    /// Whether a script saves, which may declare a cache by arguments.
    has_script: bool,
}

impl SavedCaches {
    /// Adds what a document saves, if it is a workflow.
    pub(in crate::command::check) fn add(&mut self, root: &Node) {
        if let Some(workflow) = workflow::read(root) {
            self.add_workflow(&workflow);
        }
    }

    /// What a workflow saves.
    pub(super) fn of(workflow: &Workflow<'_>) -> Self {
        let mut saved = SavedCaches::default();
        saved.add_workflow(workflow);
        saved
    }

    fn add_workflow(&mut self, workflow: &Workflow<'_>) {
        for job in &workflow.jobs {
            for step in job.steps.iter().filter(|step| saves(step)) {
                let is_ours = step.is_ours();
                self.has_script |= !is_ours;
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

    /// Whether anything is saved.
    pub(super) fn has_any(&self) -> bool {
        self.all || !self.names.is_empty() || !self.paths.is_empty()
    }

    /// Whether a path of a step that declares its cache by inputs is saved. What an expression gives may be any path.
    pub(super) fn has_path_of(&self, step: &Step<'_>) -> bool {
        let paths = step.lines("path");
        let is_open = |path: &str| path.contains("${{");
        self.has_script
            || paths.iter().any(|path| is_open(path) || self.paths.contains(*path))
            || self.paths.iter().any(|path| is_open(path))
    }

    /// Whether a declared cache is saved.
    pub(super) fn has(&self, cache: &CacheSpec) -> bool {
        self.all || self.names.contains(&cache.name)
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
