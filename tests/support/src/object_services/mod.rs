//! Object services: real parts in processes of their own, a fake of Google's, and a front that misbehaves.
//!
//! Azurite is [`crate::github_service::azurite`].

pub mod front;
pub mod gcs;
pub mod real;

pub use front::Front;
pub use gcs::Gcs;
pub use real::{S3rver, Versitygw};
