//! Object services: real parts in processes of their own, a fake of Google's, a fake of what issues
//! credentials, and a front that misbehaves.
//!
//! Azurite is [`crate::github_service::azurite`].

pub mod front;
pub mod gcs;
pub mod identity;
pub mod real;
mod sigv4;

pub use front::Front;
pub use gcs::Gcs;
pub use identity::Identity;
pub use real::{S3rver, Versitygw};
