//! From what the configuration says to a store.

use std::path::Path;
use std::sync::Arc;

use crate::domain::spec::StoreLocation;

use super::contract::{Clock, Store};
use super::error::StoreError;
use super::object::ObjectStore;
use super::unusable::Unusable;

/// Opens the store at a location; `default_directory` is where [`StoreLocation::Auto`] keeps entries on
/// platforms without a store of their own.
pub async fn open(
    location: &StoreLocation,
    default_directory: &Path,
    clock: Clock,
) -> Result<Arc<dyn Store>, StoreError> {
    let directory = match location {
        StoreLocation::Auto => default_directory,
        StoreLocation::Directory(directory) => directory,
    };
    Ok(Arc::new(ObjectStore::in_directory(directory, clock).await?))
}

/// The store at a location, or one that says why it could not be opened: a job goes on without its caches.
pub async fn open_or_unusable(
    location: &StoreLocation,
    default_directory: &Path,
    clock: Clock,
) -> Arc<dyn Store> {
    let shown = match location {
        StoreLocation::Auto => default_directory,
        StoreLocation::Directory(directory) => directory,
    };
    match open(location, default_directory, clock).await {
        Ok(store) => store,
        Err(error) => Arc::new(Unusable::new(shown.display().to_string(), &error)),
    }
}
