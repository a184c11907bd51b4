//! Stores that keep each entry as one object at a path: what a directory and a remote object service have in common.
//!
//! [`layout`] defines the path of an entry, [`operations`] what a backend provides; [`BackendStore`] is a store over a
//! backend.

pub(super) mod layout;
mod name;
pub mod operations;
mod store;

pub use layout::Viewpoint;
pub use operations::Backend;
pub use store::BackendStore;
