//! Stores that keep each entry as one object at a path: what a directory and a remote object service have in common.
//!
//! [`layout`] says which path an entry has, [`operations`] what a backend has to provide, and [`BackendStore`]
//! makes a store of a backend.

pub(super) mod layout;
mod name;
pub mod operations;
mod store;

pub use operations::Backend;
pub use store::BackendStore;
