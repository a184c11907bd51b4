//! Where the entries of a job live: what the configuration says, and what is reachable from here.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::settings::Settings;
use crate::domain::repository::RepositoryId;
use crate::domain::scope::Access;
use crate::domain::spec::StoreLocation;
use crate::github::{Credentials, Right, credentials::NoCredentials};
use crate::platform::{Env, JobFacts, git};
use crate::store::{self, GitHubOptions, Opened, StoreError, StoreErrorKind, Viewpoint};

/// Where the entries of a job live.
pub(super) enum JobStore {
    /// In GitHub's cache service, which these credentials open.
    Service(Credentials),
    /// In GitHub's cache service; actions/cache moves the archives, since nothing opens it for this step.
    Wrapped(NoCredentials),
    /// In GitHub's cache service as configured, which nothing opens here.
    Closed(NoCredentials),
    /// In a directory.
    Directory {
        /// The directory.
        path: PathBuf,
        /// Whose entries are seen there.
        view: Viewpoint,
        /// Why not in GitHub's cache service, which the job would prefer.
        instead_of: Option<NoCredentials>,
    },
}

/// Whether this is a job of GitHub Actions, the only place that has GitHub's cache service.
pub(super) fn is_github(env: &Env) -> bool {
    env.flag("GITHUB_ACTIONS")
}

impl JobStore {
    /// What the configured location means in this job; `in_action` is whether this is a step of the GitHub action, and
    /// `all_repositories` whether the entries of every repository are seen.
    pub(super) fn find(
        settings: &Settings,
        env: &Env,
        facts: &JobFacts,
        in_action: bool,
        all_repositories: bool,
        now: DateTime<Utc>,
    ) -> Self {
        let at = |path: &PathBuf, instead_of| {
            let own = facts.repository.clone();
            let view = Viewpoint {
                own: own.unwrap_or_else(|| git::repository_of(&settings.workspace)),
                shared: settings.spec.caches.iter().any(|cache| cache.shared),
                all: all_repositories,
            };
            JobStore::Directory { path: path.clone(), view, instead_of }
        };
        let directory = |instead_of| at(&facts.store_dir, instead_of);
        let location = &settings.spec.store;
        match location {
            StoreLocation::Directory(path) => at(path, None),
            StoreLocation::Auto if !is_github(env) => directory(None),
            StoreLocation::Auto | StoreLocation::GitHub => match Credentials::from_env(env, now) {
                Ok(credentials) => JobStore::Service(credentials),
                Err(why) if in_action && is_github(env) => JobStore::Wrapped(why),
                Err(why) if *location == StoreLocation::GitHub => JobStore::Closed(why),
                // The directory may not outlive the job, which is then warned.
                Err(why) => directory(Some(why)),
            },
        }
    }

    /// What opens the service, where that is the store.
    pub(super) fn credentials(&self) -> Option<&Credentials> {
        match self {
            JobStore::Service(credentials) => Some(credentials),
            _ => None,
        }
    }

    /// The repository whose entries the job reads and writes, where the store keeps those of several.
    pub(super) fn repository(&self) -> Option<&RepositoryId> {
        match self {
            JobStore::Directory { view, .. } => Some(&view.own),
            _ => None,
        }
    }

    /// Who may read and write what. GitHub's service takes entries only into scopes that the job's token names, and the
    /// job's ref is not always one of them; a ref that was given is kept, so that the refusal names it.
    pub(super) fn access(&self, settings: &Settings, facts: &JobFacts) -> Access {
        let access = settings.access.clone();
        let is_given = settings.git_ref != facts.git_ref;
        match self {
            JobStore::Service(credentials) if !is_given => {
                access.writing_to(&credentials.scopes_with(Right::Write).unwrap_or_default())
            }
            _ => access,
        }
    }

    /// Opens the store, or one whose operations report why it could not be opened.
    pub(super) fn open(&self, options: GitHubOptions, clock: store::Clock) -> Opened {
        match self {
            JobStore::Directory { path, view, .. } => Opened::directory(path, view.clone(), clock),
            JobStore::Service(credentials) => Opened::service(credentials.clone(), options),
            JobStore::Wrapped(why) | JobStore::Closed(why) => {
                let text = format!("cannot use GitHub's cache service: {why}");
                Opened::failed_service(&StoreError::new(StoreErrorKind::Denied(store::Access::Read), text))
            }
        }
    }
}
