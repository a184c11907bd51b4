//! Opens the store at a configured location.

use std::path::Path;
use std::sync::Arc;

use crate::domain::spec::StoreLocation;
use crate::github::Credentials;

use super::contract::{Clock, Store};
use super::directory::DirectoryStore;
use super::error::{StoreError, StoreErrorKind};
use super::failed::FailedStore;
use super::github::{GitHubOptions, GitHubStore};

/// The credentials for GitHub's cache service, or why there are none.
pub type GitHubAccess = Result<(Credentials, GitHubOptions), StoreError>;

/// What the job's environment provides; stores do not read it.
pub struct OpenContext<'a> {
    /// The directory of [`StoreLocation::Auto`] where GitHub's cache service is not available.
    pub default_directory: &'a Path,
    /// GitHub's cache service.
    pub github: GitHubAccess,
}

/// Opens the store at a location.
pub fn open(
    location: &StoreLocation,
    context: OpenContext<'_>,
    clock: Clock,
) -> Result<Arc<dyn Store>, StoreError> {
    let directory = match (location, context.github) {
        (StoreLocation::Auto, Ok(access)) => return in_service(access),
        (StoreLocation::GitHub, access) => return in_service(access?),
        (StoreLocation::Auto, Err(_)) => context.default_directory,
        (StoreLocation::Directory(directory), _) => directory,
    };
    Ok(Arc::new(DirectoryStore::new(directory, clock)))
}

/// The store at a location, or a [`FailedStore`]: a job goes on without its caches.
pub fn open_or_failed(location: &StoreLocation, context: OpenContext<'_>, clock: Clock) -> Arc<dyn Store> {
    let shown = match location {
        StoreLocation::Auto => context.default_directory.display().to_string(),
        StoreLocation::GitHub => "GitHub's cache service".to_owned(),
        StoreLocation::Directory(directory) => directory.display().to_string(),
    };
    match open(location, context, clock) {
        Ok(store) => store,
        Err(error) => Arc::new(FailedStore::new(shown, &error)),
    }
}

fn in_service((credentials, options): (Credentials, GitHubOptions)) -> Result<Arc<dyn Store>, StoreError> {
    let store = GitHubStore::new(credentials, options).map_err(|error| {
        StoreError::new(StoreErrorKind::Other, "cannot speak to GitHub's cache service").caused_by(error)
    })?;
    Ok(Arc::new(store))
}
