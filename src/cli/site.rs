//! What is found before a command runs, each thing once: the platform, the settings, the way to the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::args::{ActionStep, TypedKey, TypedNames};
use super::settings::Settings;
use super::task::Task;
use super::template::{Template, Transport};
use crate::domain::event::{Event, Level, Observer as _};
use crate::domain::repository::RepositoryId;
use crate::domain::scope::{Access, Scope};
use crate::domain::shown::Shown;
use crate::domain::spec::{Spec, StoreLocation};
use crate::fs::{atomic, read};
use crate::github::credentials::NoCredentials;
use crate::github::{Credentials, Right};
use crate::platform::{Env, JobFacts, Platform, UNKNOWN_REF_CURE, git};
use crate::report::Log;
use crate::store::remote::credentials::{Mask, ServiceAccess};
use crate::store::{Clock, FrontChoice, Layers, StoreChoice, Viewpoint};

const VOLATILE_CURE: &str =
    "set `store` in cachekeep.toml or CACHEKEEP_STORE to a directory that outlives the job";

const NO_TOKEN_CURE: &str = "give the job `permissions: id-token: write`; for pull requests from forks, which cannot have it, name \
    the caches in `cache` of the step with `mode: install`, and actions/cache restores them there";

/// What the command line asks for beside settings.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The step of the GitHub action that this is, if it is one.
    pub(super) step: Option<ActionStep>,
    /// The parameters of the template for Azure Pipelines, in a step of it.
    pub(super) template: Option<Template>,
    /// The stage of the task that this is, if it is one.
    pub(super) task: Option<Task>,
    /// The key that `explain` is asked about.
    pub(super) typed_key: Option<TypedKey>,
    /// The key and the ref of the entries that are asked for.
    pub(super) typed_names: TypedNames,
    /// Whether the entries of every repository are looked at.
    pub(super) all_repositories: bool,
}

/// The surroundings of a command: platform, settings, and where the store is. Nothing is opened; the command's context is made of them.
pub(super) struct Site<'a> {
    /// The environment.
    pub(super) env: &'a Env,
    /// The time at which the process started.
    pub(super) now: DateTime<Utc>,
    /// The platform of the job.
    pub(super) platform: Arc<dyn Platform>,
    /// The log of the job.
    pub(super) log: Arc<Log>,
    /// What was configured and typed.
    pub(super) settings: Settings,
    /// The key that `explain` is asked about.
    pub(super) typed_key: Option<TypedKey>,
    /// The key and the ref of the entries that are asked for.
    pub(super) typed_names: TypedNames,
    /// The step of the GitHub action that this is, if it is one.
    pub(super) step: Option<ActionStep>,
    /// The parameters of the template for Azure Pipelines, in a step of it.
    pub(super) template: Option<Template>,
    /// The stage of the task that this is, if it is one.
    pub(super) task: Option<Task>,
    /// Where entries live: what the configuration names; else GitHub's service in its jobs if they have credentials for it, and the default
    /// directory in others. The front and the fallback are around it.
    pub(super) store: StoreChoice,
    /// Who may read and write what.
    pub(super) access: Access,
}

impl<'a> Site<'a> {
    /// Finds out where the store is and what the job may do there; opens nothing.
    pub(super) fn new(
        env: &'a Env,
        clock: Clock,
        platform: Arc<dyn Platform>,
        log: Arc<Log>,
        mut settings: Settings,
        asked: Asked,
    ) -> Self {
        let now = clock();
        let facts = platform.facts();
        let mut store = choose_store(&settings, env, facts, &asked, clock, now);
        if asked.step.is_some() {
            // Only there: the log of another command may be piped into a file.
            let (platform, log) = (Arc::clone(&platform), Arc::clone(&log));
            store.set_mask(Mask::new(move |secret| {
                platform.mask(secret).into_iter().for_each(|line| log.observe(Event::Command(line)));
            }));
        }
        if store.repository().is_none() {
            // GitHub keeps repositories apart by itself and shares nothing between them.
            settings.spec.caches.iter_mut().for_each(|cache| cache.shared = false);
        }
        let access = access(&store, &settings, facts);
        let Asked { step, template, task, typed_key, typed_names, .. } = asked;
        Site {
            env,
            now,
            platform,
            log,
            settings,
            typed_key,
            typed_names,
            step,
            template,
            task,
            store,
            access,
        }
    }

    /// A path that was typed.
    pub(super) fn absolute(&self, path: &Path) -> PathBuf {
        self.env.current_dir.join(path)
    }

    /// Writes a message about the job.
    pub(super) fn report(&self, level: Level, text: String, hint: Option<String>) {
        self.log.observe(Event::Message { level, cache: None, text, hint });
    }

    /// Reports what was found before the command runs; `needs_caches` is whether it works on caches, `is_run` whether it is `run`, of
    /// which a job may have many.
    pub(super) fn report_findings(&self, needs_caches: bool, is_run: bool) {
        if needs_caches {
            self.warn_of_volatile_store(is_run);
            self.warn_of_unknown_ref();
        }
        self.report_scopes();
    }

    /// Which scopes the job reads and writes, for the verbose log.
    fn report_scopes(&self) {
        let facts = self.platform.facts();
        let refs = [&self.settings.git_ref, &facts.base_ref, &facts.default_ref];
        let is_invalid = |name: &&String| !name.trim().is_empty() && Scope::new(name).is_none();
        for name in refs.into_iter().flatten().filter(is_invalid) {
            let text =
                format!("`{}` is not a ref name that git allows, and treated as unknown", Shown::value(name));
            let hint = "name the branch with `--ref`, `--base-ref` or `--default-ref`".to_owned();
            self.report(Level::Warning, text, Some(hint));
        }
        let read: Vec<&str> = self.access.readable.iter().map(Scope::as_str).collect();
        let of = self.store.repository().map_or_else(String::new, |repository| format!(" of {repository}"));
        let text = format!("scopes{of}: reads {}; writes {}", read.join(", then "), self.access.own);
        self.report(Level::Debug, text, None);
    }

    /// Warns of a job of a CI whose branch is not known, so that its entries are not where other jobs look.
    fn warn_of_unknown_ref(&self) {
        if self.settings.git_ref.is_some() || !self.platform.facts().is_ci {
            return;
        }
        let text = format!("the branch of this job is not known: it saves into {}", self.access.own);
        self.report(Level::Warning, text, Some(UNKNOWN_REF_CURE.to_owned()));
    }

    /// Warns where entries are kept in a directory that does not outlive the job.
    fn warn_of_volatile_store(&self, is_run: bool) {
        let StoreChoice::Directory { path, instead_of, .. } = self.store.innermost() else { return };
        if !self.settings.store_is_volatile(self.platform.facts()) {
            return;
        }
        let (text, cure) = match instead_of {
            Some(why) => (format!("no entry is restored or saved in this job: {why}"), NO_TOKEN_CURE),
            None => (
                format!("entries are kept in {}, which does not outlive this job", path.display()),
                VOLATILE_CURE,
            ),
        };
        let is_known = instead_of.is_some() && is_run && self.was_reported("no-token");
        self.report(if is_known { Level::Debug } else { Level::Warning }, text, Some(cure.to_owned()));
    }

    /// Whether an earlier step of this job reported something; from now on one has. A step that cannot note it reports it again.
    fn was_reported(&self, what: &str) -> bool {
        let note = self.platform.facts().state_dir.join("reported").join(what);
        let is_noted = read::is_there(&note);
        if !is_noted {
            let _ = atomic::write_below(&note, b"", self.now);
        }
        is_noted
    }

    /// Why nothing is saved, where the job has no store but a directory that ends with it.
    pub(super) fn keeps_nothing(&self) -> Option<&NoCredentials> {
        match self.store.innermost() {
            StoreChoice::Directory { instead_of, .. }
                if self.settings.store_is_volatile(self.platform.facts()) =>
            {
                instead_of.as_ref()
            }
            _ => None,
        }
    }
}

/// Whether this is a job of GitHub Actions, the only place that has GitHub's cache service.
pub(super) fn is_github(env: &Env) -> bool {
    env.flag("GITHUB_ACTIONS")
}

/// The repository of a job whose platform does not name one.
fn repository(settings: &Settings, facts: &JobFacts) -> RepositoryId {
    let is_named = match &settings.spec.store {
        StoreLocation::Directory(path) => *path != facts.store_dir,
        StoreLocation::Objects(_) => true,
        StoreLocation::Auto | StoreLocation::GitHub => false,
    };
    // A platform that names events names repositories, too: one with a name that is refused stays apart.
    if is_named && facts.trust.event.is_none() && !git::is_in_checkout(&settings.workspace) {
        RepositoryId::without_checkout()
    } else {
        git::repository_of(&settings.workspace)
    }
}

/// Why `Cache@2` moves the archives of a job of Azure Pipelines; `None` where it does not.
fn why_wrapped(transport: Transport, location: &StoreLocation, store: &StoreChoice) -> Option<String> {
    match (transport, location, store) {
        (Transport::Wrapped, ..) => Some("the parameter `transport` says so".to_owned()),
        (Transport::Auto, StoreLocation::Auto, _) => Some("no store of your own is configured".to_owned()),
        (Transport::Auto, _, StoreChoice::Objects { location, access: Err(error), .. }) => {
            Some(format!("{location} cannot be used: {error}"))
        }
        _ => None,
    }
}

/// What the configured location of the store means in this job, with its front and its fallback.
pub(super) fn choose_store(
    settings: &Settings,
    env: &Env,
    facts: &JobFacts,
    asked: &Asked,
    clock: Clock,
    now: DateTime<Utc>,
) -> StoreChoice {
    let spec = &settings.spec;
    let view = || Viewpoint {
        own: facts.repository.clone().unwrap_or_else(|| repository(settings, facts)),
        shared: spec.caches.iter().any(|cache| cache.shared),
        all: asked.all_repositories,
    };
    let at = |path: &PathBuf, instead_of| StoreChoice::Directory {
        path: path.clone(),
        view: view(),
        clock,
        instead_of,
    };
    let choose = |location: &StoreLocation| match location {
        StoreLocation::Directory(path) => at(path, None),
        StoreLocation::Objects(location) => StoreChoice::Objects {
            location: location.clone(),
            access: ServiceAccess::find(location, env).map(Box::new),
            view: view(),
            clock,
        },
        StoreLocation::Auto if !is_github(env) => at(&facts.store_dir, None),
        StoreLocation::Auto | StoreLocation::GitHub => match Credentials::from_env(env, now) {
            Ok(credentials) => StoreChoice::Service(credentials),
            // In a step of the action, actions/cache moves the archives.
            Err(why) if asked.step.is_some() && is_github(env) => StoreChoice::Closed(why),
            Err(why) if *location == StoreLocation::GitHub => StoreChoice::Closed(why),
            // The directory may not outlive the job, which is then warned.
            Err(why) => at(&facts.store_dir, Some(why)),
        },
    };
    let store = choose(&spec.store);
    let template = asked.template.as_ref();
    match template.and_then(|template| why_wrapped(template.transport, &spec.store, &store)) {
        Some(why) => StoreChoice::CacheTask { why },
        None => with_layers(store, spec, view, clock, choose),
    }
}

/// A store with its front and its fallback.
fn with_layers(
    store: StoreChoice,
    spec: &Spec,
    view: impl Fn() -> Viewpoint,
    clock: Clock,
    choose: impl Fn(&StoreLocation) -> StoreChoice,
) -> StoreChoice {
    let is_elsewhere = matches!(store, StoreChoice::Objects { .. } | StoreChoice::Service(_));
    let front = spec.front.clone().filter(|_| is_elsewhere).map(|path| {
        let reserve = spec.disk.reserve;
        FrontChoice { path, view: view(), clock, reserve }
    });
    let fallback = spec.fallback.as_ref().filter(|fallback| **fallback != spec.store);
    match (front, fallback.map(choose)) {
        (None, None) => store,
        // Where actions/cache moves the archives, nothing else is asked.
        _ if matches!(store, StoreChoice::Closed(_)) => store,
        (front, fallback) => StoreChoice::Layered(Box::new(Layers { store, front, fallback })),
    }
}

/// Who may read and write what. GitHub's service takes entries only into scopes that the job's token names, and the
/// job's ref is not always one of them; a ref that was given is kept, so that the refusal names it.
pub(super) fn access(store: &StoreChoice, settings: &Settings, facts: &JobFacts) -> Access {
    let access = settings.access.clone();
    match store.credentials() {
        Some(credentials) if settings.git_ref == facts.git_ref => {
            access.writing_to(&credentials.scopes_with(Right::Write).unwrap_or_default())
        }
        _ => access,
    }
}
