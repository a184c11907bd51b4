//! From what the configuration says to a store.

use std::path::Path;
use std::sync::Arc;

use crate::domain::spec::StoreLocation;
use crate::github::Credentials;

use super::contract::{Clock, Store};
use super::error::{StoreError, StoreErrorKind};
use super::github::{GitHubOptions, GitHubStore};
use super::object::ObjectStore;
use super::unusable::Unusable;

/// What opens GitHub's cache service from here, or why nothing does.
pub type GitHubAccess = Result<(Credentials, GitHubOptions), StoreError>;

/// What [`StoreLocation::Auto`] and [`StoreLocation::GitHub`] mean here; stores know nothing of the environment.
pub struct Surroundings<'a> {
    /// Where entries are kept on platforms without a store of their own.
    pub default_directory: &'a Path,
    /// GitHub's cache service.
    pub github: GitHubAccess,
}

/// Opens the store at a location.
pub fn open(
    location: &StoreLocation,
    surroundings: Surroundings<'_>,
    clock: Clock,
) -> Result<Arc<dyn Store>, StoreError> {
    let directory = match (location, surroundings.github) {
        (StoreLocation::Auto, Ok(access)) => return in_service(access),
        (StoreLocation::GitHub, access) => return in_service(access?),
        (StoreLocation::Auto, Err(_)) => surroundings.default_directory,
        (StoreLocation::Directory(directory), _) => directory,
    };
    Ok(Arc::new(ObjectStore::in_directory(directory, clock)))
}

/// The store at a location, or one that says why it could not be opened: a job goes on without its caches.
pub fn open_or_unusable(
    location: &StoreLocation,
    surroundings: Surroundings<'_>,
    clock: Clock,
) -> Arc<dyn Store> {
    let shown = match location {
        StoreLocation::Auto => surroundings.default_directory.display().to_string(),
        StoreLocation::GitHub => "GitHub's cache service".to_owned(),
        StoreLocation::Directory(directory) => directory.display().to_string(),
    };
    match open(location, surroundings, clock) {
        Ok(store) => store,
        Err(error) => Arc::new(Unusable::new(shown, &error)),
    }
}

fn in_service((credentials, options): (Credentials, GitHubOptions)) -> Result<Arc<dyn Store>, StoreError> {
    let store = GitHubStore::new(credentials, options).map_err(|error| {
        StoreError::new(StoreErrorKind::Other, "cannot speak to GitHub's cache service").caused_by(error)
    })?;
    Ok(Arc::new(store))
}
