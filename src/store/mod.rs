//! Where entries live: the contract of a store, and the stores.
//!
//! A store keeps immutable entries, found by scope, key and version. It does not know what keys mean, what an
//! archive holds, or which platform the job runs on. [`contract`] is what every store does, [`catalog`] what stores do
//! that can be listed and cleaned, [`error`] what can go wrong, [`testing::conformance`] the suites that stores,
//! catalogs and decorators pass. An entry becomes visible in one
//! step, last, and only if no other has its name: the first writer wins and the others get [`Commit::Exists`].

pub mod catalog;
pub mod contract;
pub mod error;

pub mod backend;
pub mod directory;
pub mod github;
pub mod remote;

pub mod failed;
mod fallback;
pub(crate) mod forge;
mod fronted;
mod open;
pub(crate) mod probe;

pub mod testing;

pub use backend::Viewpoint;
pub use catalog::{Catalog, CatalogError, Deletion, Recovered, Survey, SurveyRequest};
pub use contract::{Clock, Commit, EntryStream, EntryWriter, NewEntry, Store, StoreExt};
pub use directory::{Directory, DirectoryStore};
pub use error::{Access, StoreError, StoreErrorKind};
pub use failed::FailedStore;
pub use github::{GitHubOptions, GitHubStore};
pub(crate) use open::{FrontChoice, JobStore, Layers, OpenOptions, StoreChoice};
pub use remote::{RemoteOptions, RemoteStore};
