//! A store in an object service: Azure Blob Storage, Amazon S3 and services with its interface, Google Cloud Storage.
//!
//! The crate `object_store` lists, reads and deletes; the uploads are this room's own, because an entry becomes visible
//! by one conditional step ([`upload`]) that the crate does not make: a block list of [`azure`], the completion of a
//! multipart upload of [`s3`], a copy of [`gcs`]. All requests are made by [`http`]. [`credentials`] finds in the
//! environment what opens a service.
//!
//! A service has no leases: it serves a request that has begun although the object is deleted.

mod azure;
mod connect;
pub mod credentials;
mod failure;
mod gcs;
mod http;
mod multipart;
mod objects;
mod reading;
mod s3;
mod signed;
mod upload;

use super::backend::BackendStore;

pub use connect::RemoteOptions;
pub use objects::Remote;

/// A store in an object service.
pub type RemoteStore = BackendStore<Remote>;
