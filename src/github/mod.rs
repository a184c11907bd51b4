//! GitHub: what a job may do there, its cache service, and its API.
//!
//! [`credentials`] finds the token and the service in the environment, [`token`] reads what a token says of
//! itself, [`cache_service`] speaks the service's second version, [`rest`] asks the API of a repository,
//! [`redaction`] keeps signatures out of what they say, and [`error`] is what can go wrong.

pub mod credentials;
pub mod error;
pub mod redaction;
pub mod token;

pub mod cache_service;
mod messages;
pub mod rest;

pub use cache_service::{CacheService, Download, Reservation, SignedUrl};
pub use credentials::{CacheMode, Credentials, TokenSource, Unusable};
pub use error::{Right, ServiceError, ServiceErrorKind};
pub use token::{Claims, ScopeRights};
