//! Where entries live: the contract of a store, and the stores.
//!
//! A store keeps immutable entries, found by scope, key and version. It knows nothing of what keys mean,
//! what an archive holds, or which platform asks. [`contract`] is the trait, [`error`] what can go wrong,
//! [`conformance`] the suite that every store and every decorator passes. An entry becomes visible in one
//! step, last, and only if no other has its name: the first writer wins and the others learn
//! [`Commit::Exists`].

pub mod contract;
pub mod error;

pub mod github;
pub mod memory;
pub mod object;
pub mod read_only;

pub mod open;
pub mod unusable;

pub mod housekeeping;

pub mod conformance;

pub use contract::{
    Clock, Commit, Deletion, EntryStream, EntryWriter, ListFilter, NewEntry, Recovered, Store, StoreExt,
};
pub use error::{Access, Retry, StoreError, StoreErrorKind};
pub use github::{GitHubOptions, GitHubStore};
pub use memory::MemoryStore;
pub use object::ObjectStore;
pub use open::{GitHubAccess, Surroundings, open, open_or_unusable};
pub use read_only::ReadOnly;
pub use unusable::Unusable;
