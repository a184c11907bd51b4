//! Opens the store at a configured location.

use std::path::Path;
use std::sync::Arc;

use crate::domain::spec::StoreLocation;
use crate::github::Credentials;

use super::catalog::Catalog;
use super::contract::{Clock, Store};
use super::directory::DirectoryStore;
use super::error::{StoreError, StoreErrorKind};
use super::failed::FailedStore;
use super::github::{GitHubOptions, GitHubStore};

/// The credentials for GitHub's cache service, or why there are not any.
pub type GitHubAccess = Result<(Credentials, GitHubOptions), StoreError>;

/// What the job's environment provides; stores do not read it.
pub struct OpenContext<'a> {
    /// The directory of [`StoreLocation::Auto`] where GitHub's cache service is not available.
    pub default_directory: &'a Path,
    /// GitHub's cache service.
    pub github: GitHubAccess,
}

/// A store, and its catalog if it can be listed and cleaned.
#[derive(Clone)]
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The catalog of the same entries.
    pub catalog: Option<Arc<dyn Catalog>>,
}

impl Opened {
    fn with_catalog(store: impl Store + Catalog + 'static) -> Self {
        let store = Arc::new(store);
        let catalog = Arc::clone(&store) as Arc<dyn Catalog>;
        Opened { store, catalog: Some(catalog) }
    }
}

/// Opens the store at a location.
pub fn open(location: &StoreLocation, context: OpenContext<'_>, clock: Clock) -> Result<Opened, StoreError> {
    let directory = match (location, context.github) {
        (StoreLocation::Auto, Ok(access)) => return in_service(access),
        (StoreLocation::GitHub, access) => return in_service(access?),
        (StoreLocation::Auto, Err(_)) => context.default_directory,
        (StoreLocation::Directory(directory), _) => directory,
    };
    Ok(Opened::with_catalog(DirectoryStore::new(directory, clock)))
}

/// Opens the store at a location; if that fails, returns a [`FailedStore`]: a job goes on without its caches.
pub fn open_or_failed(location: &StoreLocation, context: OpenContext<'_>, clock: Clock) -> Opened {
    let shown = match location {
        StoreLocation::Auto => context.default_directory.display().to_string(),
        StoreLocation::GitHub => "GitHub's cache service".to_owned(),
        StoreLocation::Directory(directory) => directory.display().to_string(),
    };
    open(location, context, clock)
        .unwrap_or_else(|error| Opened::with_catalog(FailedStore::new(shown, &error)))
}

fn in_service((credentials, options): (Credentials, GitHubOptions)) -> Result<Opened, StoreError> {
    let store = GitHubStore::new(credentials, options).map_err(|error| {
        StoreError::new(StoreErrorKind::Other, "cannot speak to GitHub's cache service").caused_by(error)
    })?;
    Ok(Opened { store: Arc::new(store), catalog: None })
}
