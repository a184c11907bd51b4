//! Where entries live: the contract of a store, and the stores.
//!
//! A store keeps immutable entries, found by scope, key and version. It does not know what keys mean, what an
//! archive holds, or which platform the job runs on. [`contract`] is the trait, [`error`] what can go wrong,
//! [`testing::conformance`] the suite that every store and every decorator passes. An entry becomes visible in one
//! step, last, and only if no other has its name: the first writer wins and the others get [`Commit::Exists`].

pub mod contract;
pub mod error;

pub mod backend;
pub mod directory;
pub mod github;
pub mod remote;

pub mod failed;
pub mod open;

pub mod catalog;

pub mod testing;

pub use contract::{
    Clock, Commit, Deletion, EntryStream, EntryWriter, ListFilter, NewEntry, Recovered, Store, StoreExt,
};
pub use directory::DirectoryStore;
pub use error::{Access, Retry, StoreError, StoreErrorKind};
pub use failed::FailedStore;
pub use github::{GitHubOptions, GitHubStore};
pub use open::{GitHubAccess, OpenContext, open, open_or_failed};
pub use remote::RemoteStore;
