//! What the rules look at.

use super::saved::SavedCaches;
use crate::command::pipelines::workflow::{Job, Mode, Step, StepKind, Workflow};
use crate::domain::spec::{CacheSpec, Spec, StoreLocation};

/// What the action has, as `action.yml` says.
#[derive(Debug)]
pub(crate) struct ActionFacts {
    /// The names of its inputs.
    pub inputs: Vec<&'static str>,
    /// Those that are `true` or `false`.
    pub flags: Vec<&'static str>,
    /// The values of `mode`.
    pub modes: &'static [&'static str],
}

/// What the rules look at: a job in its workflow, and the configuration.
pub(super) struct Scene<'a> {
    pub(super) workflow: &'a Workflow<'a>,
    pub(super) job: &'a Job<'a>,
    pub(super) spec: Option<&'a Spec>,
    pub(super) action: &'a ActionFacts,
    /// What the workflows of the checkout save.
    pub(super) saved: &'a SavedCaches,
}

impl<'a> Scene<'a> {
    /// The steps of the action.
    pub(super) fn ours(&self) -> impl Iterator<Item = &'a Step<'a>> {
        self.job.steps.iter().filter(|step| step.is_ours())
    }

    /// The steps of the action in a mode.
    pub(super) fn in_mode(&self, mode: Mode<'static>) -> impl Iterator<Item = &'a Step<'a>> {
        self.job.steps.iter().filter(move |step| step.is(mode))
    }

    /// The configuration of a step: none if another file has it, or its inputs.
    pub(super) fn spec_of(&self, step: &Step<'_>) -> Option<&'a Spec> {
        let is_elsewhere = ["path", "config"].iter().any(|name| step.input(name).is_some());
        self.spec.filter(|_| !is_elsewhere)
    }

    /// The declared caches of a step; `None` if only the run knows them.
    pub(super) fn caches(&self, step: &Step<'a>) -> Option<Vec<&'a CacheSpec>> {
        let spec = self.spec_of(step)?;
        let Some(named) = step.input("cache") else { return Some(spec.caches.iter().collect()) };
        named
            .is_literal()
            .then(|| named.text.split_whitespace().filter_map(|name| spec.cache(name)).collect())
    }

    /// Whether GitHub keeps the entries of a step.
    pub(super) fn is_at_github(&self, step: &Step<'_>) -> bool {
        match step.input("store") {
            Some(store) => matches!(store.text, "auto" | "github"),
            None if step.input("config").is_some() => false,
            None => {
                self.spec.is_none_or(|spec| matches!(spec.store, StoreLocation::Auto | StoreLocation::GitHub))
            }
        }
    }

    /// Steps before another one.
    pub(super) fn before(&self, step: &Step<'_>) -> impl Iterator<Item = &'a Step<'a>> {
        let place = step.place.start;
        self.job.steps.iter().filter(move |other| other.place.start < place)
    }

    /// Steps after another one.
    pub(super) fn after(&self, step: &Step<'_>) -> impl Iterator<Item = &'a Step<'a>> {
        let place = step.place.start;
        self.job.steps.iter().filter(move |other| other.place.start > place)
    }
}

/// Whether a step uses `actions/cache` or a part of it, and whether it saves.
pub(super) fn actions_cache(step: &Step<'_>) -> Option<bool> {
    match step.kind {
        StepKind::Other("actions/cache" | "actions/cache/save") => Some(true),
        StepKind::Other("actions/cache/restore") => Some(false),
        _ => None,
    }
}
