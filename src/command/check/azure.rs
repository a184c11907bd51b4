//! What cannot work in an Azure pipeline: the templates in `azure-task/`, the task, and `Cache@2` below them.

use std::ops::Range;

use super::pipeline::{Job, Step, StepKind};
use super::problem::{Problem, Problems};
use crate::command::wrapped::NESTED;
use crate::domain::object_location::ObjectService;
use crate::domain::spec::{CacheSpec, SavePolicy, Spec, StoreLocation};

/// When `Cache@2` moves the archives of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrapped {
    Never,
    /// In jobs that cannot open the store, such as those of pull requests from forks.
    AtTimes,
    Always,
}

/// What a step works on and how, as far as can be told before the pipeline runs.
struct Use<'a> {
    step: &'a Step<'a>,
    wrapped: Wrapped,
    /// The caches; `None` if only the run knows them.
    caches: Option<Vec<Named<'a>>>,
}

/// A cache that a step names.
struct Named<'a> {
    name: &'a str,
    place: Range<usize>,
    /// `None` if it is not declared.
    spec: Option<&'a CacheSpec>,
}

/// Checks a job. Without a usable configuration what depends on it is left out.
pub(super) fn check(job: &Job<'_>, spec: Option<&Spec>) -> Vec<Problem> {
    let mut problems = Problems::default();
    let uses: Vec<Use<'_>> = job.steps.iter().map(|step| Use::of(step, spec)).collect();
    for used in &uses {
        of_step(used, spec, &mut problems);
    }
    pairs(job, &uses, &mut problems);
    format_of_others(&uses, &mut problems);
    program(job, &mut problems);
    problems.0
}

impl<'a> Use<'a> {
    fn of(step: &'a Step<'a>, spec: Option<&'a Spec>) -> Self {
        Use { step, wrapped: wrapped(step, spec), caches: caches(step, spec) }
    }

    fn prefix(&self) -> &'a str {
        self.step.parameter("prefix").map_or("CACHEKEEP", |prefix| prefix.text)
    }

    /// The declared caches, each with its place.
    fn declared(&self) -> impl Iterator<Item = (&Range<usize>, &'a CacheSpec)> {
        self.caches.iter().flatten().filter_map(|cache| Some((&cache.place, cache.spec?)))
    }
}

fn wrapped(step: &Step<'_>, spec: Option<&Spec>) -> Wrapped {
    if !matches!(step.kind, StepKind::Restore | StepKind::Save | StepKind::Populate) {
        return Wrapped::Never;
    }
    match step.parameter("transport").map(|transport| transport.text) {
        Some("native") => Wrapped::Never,
        Some("wrapped") => Wrapped::Always,
        // An expression may become any of them, and so may a store in a configuration that is not known.
        Some(other) if other != "auto" => Wrapped::AtTimes,
        _ if has_store(step, spec) != Some(false) => Wrapped::AtTimes,
        _ => Wrapped::Always,
    }
}

/// Whether a step has a store of its own; `None` if that cannot be told.
fn has_store(step: &Step<'_>, spec: Option<&Spec>) -> Option<bool> {
    if let Some(store) = step.parameter("store") {
        return Some(store.text != "auto");
    }
    if step.parameter("config").is_some() {
        return None;
    }
    spec.map(|spec| matches!(spec.store, StoreLocation::Directory(_) | StoreLocation::Objects(_)))
}

fn caches<'a>(step: &Step<'a>, spec: Option<&'a Spec>) -> Option<Vec<Named<'a>>> {
    if ["path", "config"].iter().any(|name| step.parameter(name).is_some()) {
        return None;
    }
    let spec = spec?;
    let Some(value) = step.parameter("cache") else {
        let all = spec.caches.iter().map(|cache| Named {
            name: &cache.name,
            place: step.place.clone(),
            spec: Some(cache),
        });
        return Some(all.collect());
    };
    if !value.is_literal() {
        return None;
    }
    let named = |name: &'a str| Named { name, place: value.place.clone(), spec: spec.cache(name) };
    Some(value.text.split([' ', ',', '\n']).filter(|name| !name.is_empty()).map(named).collect())
}

/// Rules of one step.
fn of_step(used: &Use<'_>, spec: Option<&Spec>, problems: &mut Problems) {
    if used.step.kind == StepKind::CacheTask {
        return;
    }
    for cache in used.caches.iter().flatten().filter(|cache| cache.spec.is_none()) {
        problems.error(
            "azure-unknown-cache",
            &cache.place,
            format!("there is no cache `{}` in the configuration", cache.name),
            "declare it in cachekeep.toml, or correct the name",
        );
    }
    store(used.step, spec, problems);
    if used.wrapped != Wrapped::Never {
        slots(used, problems);
    }
    if used.wrapped == Wrapped::Always {
        policies(used, problems);
    }
}

/// What opens the store, and what needs one.
fn store(step: &Step<'_>, spec: Option<&Spec>, problems: &mut Problems) {
    let is_without = has_store(step, spec) == Some(false);
    let native = step.parameter("transport").filter(|transport| transport.text == "native");
    match (step.kind, native) {
        (StepKind::Restore | StepKind::Save | StepKind::Populate, Some(native)) if is_without => problems.error(
            "azure-no-store",
            &native.place,
            "`transport: native` has no store to go to".to_owned(),
            "name one by `store`, here or in cachekeep.toml: docs/object-stores.md",
        ),
        (StepKind::Task, _) if is_without => problems.error(
            "azure-no-store",
            &step.place,
            "the task has no store: only the templates can use `Cache@2`".to_owned(),
            "name a store by `store`, here or in cachekeep.toml, or use azure-task/restore.yml and save.yml",
        ),
        (StepKind::Clean, _) if is_without => problems.error(
            "azure-nothing-to-clean",
            &step.place,
            "there is no store to clean, and entries of `Cache@2` cannot be deleted".to_owned(),
            "name a store by `store`, or remove the step: the service deletes what was not used for seven days",
        ),
        _ => {}
    }
    let connection = step.parameter("serviceConnection").or_else(|| step.parameter("azureSubscription"));
    if let Some(connection) = connection
        && opens_azure(step, spec) == Some(false)
    {
        problems.warning(
            "azure-unused-connection",
            &connection.place,
            "the service connection opens nothing: the store is not at `az://`".to_owned(),
            "remove it, or name an `az://` store",
        );
    }
}

/// Whether the store is one that a service connection opens; `None` if that cannot be told.
fn opens_azure(step: &Step<'_>, spec: Option<&Spec>) -> Option<bool> {
    match step.parameter("store") {
        Some(store) if !store.is_literal() => None,
        Some(store) => Some(store.text.starts_with("az://") || store.text.starts_with("https://")),
        None if step.parameter("config").is_some() => None,
        None => match &spec?.store {
            StoreLocation::Objects(location) => Some(matches!(location.service, ObjectService::Azure { .. })),
            _ => Some(false),
        },
    }
}

/// `Cache@2` stands in the template as often as it has slots.
fn slots(used: &Use<'_>, problems: &mut Problems) {
    let Some(caches) = &used.caches else { return };
    if caches.len() <= NESTED {
        return;
    }
    let place = used.step.place_of("cache");
    let message = format!("{} caches, but `Cache@2` moves at most {NESTED} in one use", caches.len());
    let hint = "split them over two uses, the second with a `prefix` of its own, or use a store of your own";
    if used.wrapped == Wrapped::Always {
        problems.error("azure-too-many-caches", &place, message, hint);
    } else {
        let message = format!("{message}, as jobs need that cannot open the store");
        problems.warning("azure-too-many-caches", &place, message, hint);
    }
}

/// What `Cache@2` does not do.
fn policies(used: &Use<'_>, problems: &mut Problems) {
    for (place, cache) in used.declared() {
        if cache.save == SavePolicy::Always && used.step.kind != StepKind::Restore {
            problems.warning(
                "azure-save-always",
                place,
                format!(
                    "`{}` has `save = \"always\"`, but `Cache@2` saves nothing after a job that failed",
                    cache.name
                ),
                "use a store of your own, which is written in any case: docs/object-stores.md",
            );
        }
        if used.step.kind == StepKind::Save {
            continue;
        }
        for prefix in cache.restore_keys.iter().filter(|prefix| !prefix.source().ends_with('-')) {
            problems.warning(
                "azure-restore-key",
                place,
                format!(
                    "the restore key `{prefix}` of `{}` does not end in `-`: `Cache@2` finds only keys that have it as a whole \
                     segment",
                    cache.name
                ),
                "end it where the key has a `-`, and with it",
            );
        }
    }
}

/// Restores and saves that belong together.
fn pairs(job: &Job<'_>, uses: &[Use<'_>], problems: &mut Problems) {
    for (at, used) in uses.iter().enumerate() {
        match used.step.kind {
            StepKind::Restore | StepKind::Populate => {
                twice(used, &uses[..at], problems);
                if used.step.kind == StepKind::Restore && !job.is_open {
                    never_saved(used, &uses[at + 1..], problems);
                }
            }
            StepKind::Save if used.wrapped == Wrapped::Always && !job.is_open => {
                never_restored(used, &uses[..at], problems);
            }
            _ => {}
        }
    }
}

fn twice(used: &Use<'_>, earlier: &[Use<'_>], problems: &mut Problems) {
    let is_same = |other: &&Use<'_>| {
        matches!(other.step.kind, StepKind::Restore | StepKind::Populate)
            && other.prefix() == used.prefix()
            && !other.step.is_conditional
    };
    if used.wrapped != Wrapped::Never
        && !used.step.is_conditional
        && earlier.iter().any(|other| is_same(&other))
    {
        problems.error(
            "azure-same-prefix",
            &used.step.place_of("prefix"),
            format!(
                "a second restore with the prefix `{}` takes over the variables of the first",
                used.prefix()
            ),
            "give it, and its save, a `prefix` of its own, such as `prefix: SECOND`",
        );
    }
}

fn never_saved(used: &Use<'_>, later: &[Use<'_>], problems: &mut Problems) {
    let only_reads = used.step.parameter("role").is_some_and(|role| role.text != "writer");
    let is_saved =
        later.iter().any(|other| other.step.kind == StepKind::Save && other.prefix() == used.prefix());
    let may_save = used.declared().any(|(_, cache)| cache.save != SavePolicy::Never);
    if !only_reads && !is_saved && (may_save || used.caches.is_none()) {
        problems.warning(
            "azure-never-saved",
            &used.step.place,
            "nothing that this step restores is ever saved".to_owned(),
            "add azure-task/save.yml after the build, or say `role: consumer`",
        );
    }
}

fn never_restored(used: &Use<'_>, earlier: &[Use<'_>], problems: &mut Problems) {
    let restores: Vec<&Use<'_>> = earlier
        .iter()
        .filter(|other| other.step.kind == StepKind::Restore && other.prefix() == used.prefix())
        .collect();
    if restores.is_empty() {
        problems.error(
            "azure-never-restored",
            &used.step.place,
            "`Cache@2` saves only what azure-task/restore.yml prepared in the same job, with the same prefix"
                .to_owned(),
            "add azure-task/restore.yml before the build",
        );
        return;
    }
    let known = |name: &str| {
        restores.iter().any(|other| match &other.caches {
            Some(caches) => caches.iter().any(|cache| cache.name == name),
            None => true,
        })
    };
    for cache in used.caches.iter().flatten().filter(|cache| !known(cache.name)) {
        problems.error(
            "azure-never-restored",
            &cache.place,
            format!("`Cache@2` cannot save `{}`, which the restore before it does not name", cache.name),
            "name the same caches in both steps",
        );
    }
}

/// The agent's setting for the format holds for the whole job.
fn format_of_others(uses: &[Use<'_>], problems: &mut Problems) {
    let has_others = uses.iter().any(|used| used.step.kind == StepKind::CacheTask);
    for used in uses.iter().filter(|used| used.wrapped != Wrapped::Never && has_others) {
        if let Some(format) = used.step.parameter("format").filter(|format| format.text == "files") {
            problems.warning(
                "azure-format-of-others",
                &format.place,
                "`format: files` holds for every `Cache@2` of the job, and the others then lose modes and links".to_owned(),
                "keep those caches with cachekeep as well, or use `format: tar`",
            );
        }
    }
}

/// The first step of a job installs the program.
fn program(job: &Job<'_>, problems: &mut Problems) {
    let first = job.steps.iter().find(|step| !matches!(step.kind, StepKind::CacheTask | StepKind::Task));
    let Some(first) = first.filter(|_| !job.is_open) else { return };
    if ["version", "source"].iter().all(|name| first.parameter(name).is_none()) {
        problems.error(
            "azure-no-program",
            &first.place,
            "nothing says which cachekeep the job installs".to_owned(),
            "give `version` and `sums` of a release, `version: installed`, or `source`",
        );
    } else if let Some(version) = first.parameter("version")
        && version.is_literal()
        && version.text != "installed"
        && first.parameter("sums").is_none()
        && first.parameter("source").is_none()
    {
        problems.error(
            "azure-no-program",
            &version.place,
            "a release is installed only if its archives' sums are known".to_owned(),
            "paste the lines of its release.sha256 into `sums`",
        );
    }
}
