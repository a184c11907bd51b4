//! What differs between stores of objects: where bytes wait until they are an entry.

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path;

use crate::store::contract::{NewEntry, Recovered};
use crate::store::error::StoreError;

/// How uploads are begun, and found again after their process died.
#[async_trait]
pub(super) trait Uploads: Send + Sync {
    /// Begins an upload outside the entries, in a store that has its marker.
    async fn begin(&self, new: &NewEntry) -> Result<Box<dyn Upload>, StoreError>;

    /// Removes what dead processes left.
    async fn recover(&self) -> Result<Recovered, StoreError>;
}

/// Bytes on their way to become an entry. Dropped, they go away as far as that can be done at once.
#[async_trait]
pub(super) trait Upload: Send {
    /// Adds bytes at the end.
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError>;

    /// Makes an object of all bytes at a path where there is none, in one step; `false` if there is one.
    async fn publish(self: Box<Self>, target: &Path) -> Result<bool, StoreError>;

    /// Removes the bytes.
    async fn abort(self: Box<Self>);
}
