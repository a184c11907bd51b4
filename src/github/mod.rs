//! GitHub: its API for a repository's caches, pull requests and refs.
//!
//! [`rest`] lists and deletes caches and asks for states; [`redaction`] keeps what a service says fit to be shown.

pub mod redaction;
pub mod rest;
