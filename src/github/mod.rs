//! GitHub: the credentials of a job, the cache service, and the REST and GraphQL API.
//!
//! [`credentials`] finds the token and the service in the environment, [`token`] decodes the claims of a token,
//! [`cache_service`] is a client of the cache service v2, [`rest`] of the API of a repository, [`redaction`] removes
//! secrets from their answers, and [`error`] has the errors of the cache service.

pub mod credentials;
pub mod error;
pub mod redaction;
pub mod token;

pub mod cache_service;
mod messages;
pub mod rest;

pub use cache_service::{CacheService, Download, Reservation, SignedUrl};
pub use credentials::{CacheMode, Credentials, NoCredentials, TokenSource};
pub use error::{Right, ServiceError, ServiceErrorKind};
pub use token::{Claims, ScopeRights};
