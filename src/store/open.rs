//! The store of a job: which one it is, known before anything is opened, and how it is opened.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::backend::{BackendStore, Viewpoint};
use super::catalog::Catalog;
use super::contract::{Clock, Store};
use super::directory::Directory;
use super::error::{Access, StoreError, StoreErrorKind, causes};
use super::failed::FailedStore;
use super::fallback::FallbackStore;
use super::fronted::{Front, FrontedStore};
use super::github::{GitHubOptions, GitHubStore};
use super::remote::credentials::{Mask, NoCredential, ServiceAccess};
use super::remote::{RemoteOptions, RemoteStore};
use crate::domain::event::{Event, Level, Observer};
use crate::domain::object_location::ObjectLocation;
use crate::domain::repository::RepositoryId;
use crate::domain::unit::SizeOrShare;
use crate::github::Credentials;
use crate::github::credentials::NoCredentials;
use crate::transport::http::options::FetchOptions;

/// Where the entries of a job live.
pub(crate) enum StoreChoice {
    /// In GitHub's cache service, which these credentials open.
    Service(Credentials),
    /// In GitHub's cache service, which nothing opens for this process.
    Closed(NoCredentials),
    /// In the cache service of Azure Pipelines, which only a task of the agent reaches.
    CacheTask {
        /// Why not in a store that this program reaches.
        why: String,
    },
    /// In a directory, which is created with its first entry.
    Directory {
        /// The directory.
        path: PathBuf,
        /// Whose entries are seen there.
        view: Viewpoint,
        /// What tells the time.
        clock: Clock,
        /// Why not in GitHub's cache service, which the job would prefer.
        instead_of: Option<NoCredentials>,
    },
    /// In an object service.
    Objects {
        /// Where the store lies there.
        location: ObjectLocation,
        /// What opens the service, or why nothing does.
        access: Result<Box<ServiceAccess>, NoCredential>,
        /// Whose entries are seen there.
        view: Viewpoint,
        /// What tells the time.
        clock: Clock,
    },
    /// In one of these, with others around it.
    Layered(Box<Layers>),
}

/// A store with others around it.
pub(crate) struct Layers {
    /// Where the entries live.
    pub(crate) store: StoreChoice,
    /// The directory that keeps copies.
    pub(crate) front: Option<FrontChoice>,
    /// What is asked where the store does not answer.
    pub(crate) fallback: Option<StoreChoice>,
}

/// The directory that keeps copies of the entries of a store.
pub(crate) struct FrontChoice {
    /// The directory.
    pub(crate) path: PathBuf,
    /// Whose entries are seen there.
    pub(crate) view: Viewpoint,
    /// What tells the time.
    pub(crate) clock: Clock,
    /// Free space that stays on its volume.
    pub(crate) reserve: SizeOrShare,
}

/// What a job knows when it opens its store.
#[derive(Clone)]
pub(crate) struct OpenOptions {
    /// Upper bound for one operation of the store.
    pub(crate) time_limit: Duration,
    /// Ends all operations.
    pub(crate) cancel: CancellationToken,
    /// The time at which the process started.
    pub(crate) now: DateTime<Utc>,
    /// Receives details and the warnings that no result carries.
    pub(crate) observer: Option<Arc<dyn Observer>>,
}

/// A store, and its catalog if it can be listed and cleaned.
pub(crate) struct OpenedStore {
    /// The store.
    pub(crate) store: Arc<dyn Store>,
    /// The catalog of the same entries.
    pub(crate) catalog: Option<Arc<dyn Catalog>>,
}

/// The store of a job, which is opened when it is first used.
pub(crate) struct JobStore<'a> {
    /// Which store it is.
    pub(crate) choice: &'a StoreChoice,
    options: OpenOptions,
    opened: OnceLock<OpenedStore>,
}

impl<'a> JobStore<'a> {
    /// Opens nothing.
    pub(crate) fn new(choice: &'a StoreChoice, options: OpenOptions) -> Self {
        JobStore { choice, options, opened: OnceLock::new() }
    }

    /// The store.
    pub(crate) fn get(&self) -> &Arc<dyn Store> {
        &self.opened().store
    }

    /// Its catalog; `None` in GitHub's cache service, where a job can neither list nor delete, and which is not opened for that.
    pub(crate) fn catalog(&self) -> Option<&Arc<dyn Catalog>> {
        if self.choice.credentials().is_some() { None } else { self.opened().catalog.as_ref() }
    }

    /// The catalog of the entries of all repositories in a store of our own.
    pub(crate) fn catalog_of_all(&self) -> Option<Arc<dyn Catalog>> {
        self.choice.open_for_all(self.options.clone()).and_then(|opened| opened.catalog)
    }

    fn opened(&self) -> &OpenedStore {
        self.opened.get_or_init(|| {
            let opened = self.choice.open(self.options.clone());
            if let Some(observer) = &self.options.observer {
                let text = format!("opened the store at {}", (*opened.store).location());
                observer.observe(Event::Message { level: Level::Debug, cache: None, text, hint: None });
            }
            opened
        })
    }
}

impl StoreChoice {
    /// Where the entries live, without what is around it.
    pub(crate) fn innermost(&self) -> &StoreChoice {
        match self {
            StoreChoice::Layered(layers) => layers.store.innermost(),
            _ => self,
        }
    }

    /// What opens the service, where that is the store.
    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        match self.innermost() {
            StoreChoice::Service(credentials) => Some(credentials),
            _ => None,
        }
    }

    /// The directory that it is in, where it is in one.
    pub(crate) fn directory(&self) -> Option<&Path> {
        match self.innermost() {
            StoreChoice::Directory { path, .. } => Some(path),
            _ => None,
        }
    }

    /// The repository whose entries the job reads and writes, where the store keeps those of several.
    pub(crate) fn repository(&self) -> Option<&RepositoryId> {
        match self.innermost() {
            StoreChoice::Directory { view, .. } | StoreChoice::Objects { view, .. } => Some(&view.own),
            _ => None,
        }
    }

    /// Has credentials that are issued for the store hidden in the log.
    pub(crate) fn set_mask(&mut self, mask: Mask) {
        match self {
            StoreChoice::Objects { access: Ok(access), .. } => access.set_mask(mask),
            StoreChoice::Layered(layers) => {
                layers.fallback.iter_mut().for_each(|fallback| fallback.set_mask(mask.clone()));
                layers.store.set_mask(mask);
            }
            _ => {}
        }
    }

    /// Opens the store. One that cannot be opened is a store whose operations report why, so that the job goes on without
    /// its caches.
    pub(crate) fn open(&self, options: OpenOptions) -> OpenedStore {
        self.open_as(options, None)
    }

    /// Opens a store of our own to look at the entries of all repositories in it; `None` if it is not one.
    pub(crate) fn open_for_all(&self, options: OpenOptions) -> Option<OpenedStore> {
        let store = self.innermost();
        match store {
            StoreChoice::Directory { view, .. } | StoreChoice::Objects { view, .. } => {
                let view = Viewpoint { all: true, ..view.clone() };
                Some(store.open_as(options, Some(view)))
            }
            _ => None,
        }
    }

    /// Opens the store, as it is seen from elsewhere if that is given.
    fn open_as(&self, options: OpenOptions, seen_from: Option<Viewpoint>) -> OpenedStore {
        const SERVICE: &str = "GitHub's cache service";
        if let StoreChoice::Layered(layers) = self {
            return layers.open(&options);
        }
        let OpenOptions { time_limit, cancel, now, observer } = options;
        match self {
            StoreChoice::Layered(_) => unreachable!("it is opened above"),
            // On Windows `file:///srv/x` is a place on whichever drive is the current one.
            StoreChoice::Directory { path, .. } if !path.is_absolute() => {
                let place = path.display().to_string();
                let why = format!("cannot open `{place}`: it names no drive, as `file:///C:/cache` does");
                OpenedStore::failed(&place, StoreErrorKind::Other, why)
            }
            StoreChoice::Directory { path, view, clock, .. } => {
                let view = seen_from.unwrap_or_else(|| view.clone());
                OpenedStore::with_catalog(BackendStore::over(Directory::new(path, *clock), view))
            }
            StoreChoice::Service(credentials) => {
                let fetch = FetchOptions::of_entries(cancel, now);
                let options =
                    GitHubOptions { time_limit: Some(time_limit), observer, ..GitHubOptions::new(fetch) };
                if let Ok(store) = GitHubStore::new(credentials.clone(), options) {
                    // The service has no method to list entries.
                    OpenedStore { store: Arc::new(store), catalog: None }
                } else {
                    // HTTPS cannot be set up.
                    let why = format!("cannot speak to {SERVICE}");
                    OpenedStore::failed(SERVICE, StoreErrorKind::Other, why)
                }
            }
            StoreChoice::Closed(why) => {
                let kind = StoreErrorKind::Denied(Access::Read);
                OpenedStore::failed(SERVICE, kind, format!("cannot use {SERVICE}: {why}"))
            }
            StoreChoice::CacheTask { .. } => {
                let kind = StoreErrorKind::Denied(Access::Read);
                let place = "the cache service of Azure Pipelines";
                OpenedStore::failed(place, kind, format!("only `Cache@2` can use {place}"))
            }
            StoreChoice::Objects { location, access, view, clock } => {
                let options = RemoteOptions::for_job(cancel, now, observer);
                let place = location.to_string();
                let access = match access {
                    Ok(access) => access,
                    Err(why) => {
                        let kind = StoreErrorKind::Denied(Access::Read);
                        return OpenedStore::failed(&place, kind, format!("cannot open {place}: {why}"));
                    }
                };
                let view = seen_from.unwrap_or_else(|| view.clone());
                match RemoteStore::connect(location, access, view, *clock, options) {
                    Ok(store) => OpenedStore::with_catalog(store),
                    Err(error) => OpenedStore::failed(&place, error.kind(), chain(&error)),
                }
            }
        }
    }
}

impl Layers {
    /// The front and the fallback serve jobs; what is listed and cleaned is the store.
    fn open(&self, options: &OpenOptions) -> OpenedStore {
        let OpenedStore { mut store, catalog } = self.store.open(options.clone());
        let observer = || options.observer.clone();
        if let Some(FrontChoice { path, view, clock, reserve }) = &self.front {
            let directory = BackendStore::over(Directory::new(path, *clock), view.clone());
            let front = Front { path: path.clone(), store: directory, reserve: *reserve };
            store = Arc::new(FrontedStore::new(store, front, observer()));
        }
        if let Some(fallback) = &self.fallback {
            let fallback = fallback.open(options.clone()).store;
            store = Arc::new(FallbackStore::new(store, fallback, observer()));
        }
        OpenedStore { store, catalog }
    }
}

/// The message of an error with its causes.
fn chain(error: &StoreError) -> String {
    causes(error).skip(1).fold(error.message().to_owned(), |text, cause| format!("{text}: {cause}"))
}

impl OpenedStore {
    /// A store whose operations fail with this message.
    fn failed(location: &str, kind: StoreErrorKind, message: String) -> Self {
        OpenedStore::with_catalog(FailedStore::new(location.to_owned(), &StoreError::new(kind, message)))
    }

    fn with_catalog(store: impl Store + Catalog + 'static) -> Self {
        let store = Arc::new(store);
        let catalog = Arc::clone(&store) as Arc<dyn Catalog>;
        OpenedStore { store, catalog: Some(catalog) }
    }
}
