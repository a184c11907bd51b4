//! Opens stores. Which one a job uses is for its caller to decide.

use std::path::Path;
use std::sync::Arc;

use crate::github::Credentials;

use super::backend::Viewpoint;
use super::catalog::Catalog;
use super::contract::{Clock, Store};
use super::directory::DirectoryStore;
use super::error::{StoreError, StoreErrorKind};
use super::failed::FailedStore;
use super::github::{GitHubOptions, GitHubStore};

/// A store, and its catalog if it can be listed and cleaned.
#[derive(Clone)]
pub struct Opened {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The catalog of the same entries.
    pub catalog: Option<Arc<dyn Catalog>>,
}

impl Opened {
    /// The store in a directory, which is created with its first entry, as a job sees it.
    pub fn directory(directory: &Path, view: Viewpoint, clock: Clock) -> Self {
        Opened::with_catalog(DirectoryStore::new(directory, view, clock))
    }

    /// GitHub's cache service, or a [`FailedStore`] where HTTPS cannot be set up: a job goes on without its caches. The
    /// service has no method to list entries.
    pub fn service(credentials: Credentials, options: GitHubOptions) -> Self {
        match GitHubStore::new(credentials, options) {
            Ok(store) => Opened { store: Arc::new(store), catalog: None },
            Err(error) => {
                let text = "cannot speak to GitHub's cache service";
                Opened::failed_service(&StoreError::new(StoreErrorKind::Other, text).caused_by(error))
            }
        }
    }

    /// GitHub's cache service where it cannot be used: every operation reports why.
    pub fn failed_service(error: &StoreError) -> Self {
        Opened::with_catalog(FailedStore::new("GitHub's cache service".to_owned(), error))
    }

    fn with_catalog(store: impl Store + Catalog + 'static) -> Self {
        let store = Arc::new(store);
        let catalog = Arc::clone(&store) as Arc<dyn Catalog>;
        Opened { store, catalog: Some(catalog) }
    }
}
