//! A store in a remote object service: whatever the crate `object_store` reaches.
//!
//! A service has neither leases nor use files: it serves a request that has begun although the object is deleted.
//! An upload is an object of its own below `uploads` ([`multipart`]), which becomes the entry by a conditional copy.

mod failure;
mod multipart;
mod objects;
mod reading;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::backend::{BackendStore, Viewpoint};
use super::contract::Clock;

pub use objects::Remote;

/// A store in a remote object service.
pub type RemoteStore = BackendStore<Remote>;

impl RemoteStore {
    /// A store in a service that has conditional copies; `location` is its URL, without secrets. Does no I/O.
    pub fn new(
        service: Arc<dyn object_store::ObjectStore>,
        location: impl Into<String>,
        view: Viewpoint,
        clock: Clock,
    ) -> Self {
        BackendStore::over(Remote::new(service, location.into(), clock), view)
    }
}
