//! What is found before a command runs, each thing once: the platform, the settings, the way to the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::args::{ActionStep, TypedKey};
use super::backend::JobStore;
use super::settings::Settings;
use crate::domain::event::{Event, Level, Observer};
use crate::domain::hint::Hint as _;
use crate::domain::scope::{Access, Scope};
use crate::domain::shown::Shown;
use crate::platform::{Env, Platform};
use crate::report::Log;
use crate::store::{Clock, GitHubOptions, Opened};

const VOLATILE_CURE: &str =
    "set `store` in cachekeep.toml or CACHEKEEP_STORE to a directory that outlives the job";

/// What the command line asks for beside settings.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// The step of the GitHub action that this is, if it is one.
    pub(super) step: Option<ActionStep>,
    /// The key that `explain` is asked about.
    pub(super) typed_key: Option<TypedKey>,
    /// Whether the entries of every repository are looked at.
    pub(super) all_repositories: bool,
}

/// The surroundings of a command.
pub(super) struct Site<'a> {
    /// The environment.
    pub(super) env: &'a Env,
    /// What tells stores the time.
    pub(super) clock: Clock,
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
    /// The step of the GitHub action that this is, if it is one.
    pub(super) step: Option<ActionStep>,
    /// Where entries live.
    pub(super) backend: JobStore,
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
        let Asked { step, typed_key, all_repositories } = asked;
        let facts = platform.facts();
        let backend = JobStore::find(&settings, env, facts, step.is_some(), all_repositories, now);
        if backend.repository().is_none() {
            // GitHub keeps repositories apart by itself and shares nothing between them.
            settings.spec.caches.iter_mut().for_each(|cache| cache.shared = false);
        }
        let access = backend.access(&settings, platform.facts());
        Site { env, clock, now, platform, log, settings, typed_key, step, backend, access }
    }

    /// Opens the store, or one whose operations report why it could not be opened.
    pub(super) fn open_store(&self, cancel: CancellationToken) -> Opened {
        let observer = Arc::clone(&self.log) as Arc<dyn Observer>;
        let options = GitHubOptions::for_job(self.settings.timeout, cancel, self.now, Some(observer));
        let opened = self.backend.open(options, self.clock);
        self.report(Level::Debug, format!("opened the store at {}", opened.store.location()), None);
        opened
    }

    /// A path that was typed.
    pub(super) fn absolute(&self, path: &Path) -> PathBuf {
        self.env.current_dir.join(path)
    }

    /// Writes a message about the job.
    pub(super) fn report(&self, level: Level, text: String, hint: Option<String>) {
        self.log.observe(Event::Message { level, cache: None, text, hint });
    }

    /// Which scopes the job reads and writes, for the verbose log.
    pub(super) fn report_scopes(&self) {
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
        let of = self.backend.repository().map_or_else(String::new, |repository| format!(" of {repository}"));
        let text = format!("scopes{of}: reads {}; writes {}", read.join(", then "), self.access.own);
        self.report(Level::Debug, text, None);
    }

    /// Warns where entries are kept in a directory that does not outlive the job.
    pub(super) fn warn_of_volatile_store(&self) {
        let JobStore::Directory { path, instead_of, .. } = &self.backend else { return };
        if !self.settings.store_is_volatile(self.platform.facts()) {
            return;
        }
        let directory = path.display();
        let (text, hint) = match instead_of {
            Some(why) => {
                (format!("entries are kept in {directory} and lost with this job: {why}"), why.hint())
            }
            None => (
                format!("entries are kept in {directory}, which does not outlive this job"),
                Some(VOLATILE_CURE.to_owned()),
            ),
        };
        self.report(Level::Warning, text, hint);
    }
}
