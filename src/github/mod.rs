//! GitHub: the credentials of a job, the cache service, and the REST and GraphQL API.
//!
//! [`credentials`] finds the token, with its claims, and the service in the environment,
//! [`cache_service`] is a client of the cache service v2, [`rest`] of the API of a repository, [`redaction`] removes
//! secrets from their answers, and [`error`] has the errors of the cache service.

pub(crate) mod credentials;
pub(crate) mod error;
pub(crate) mod redaction;

pub(crate) mod cache_service;
pub(crate) mod rest;

pub(crate) use cache_service::{CacheService, Reservation};
pub(crate) use credentials::Credentials;
pub(crate) use error::{Right, ServiceError, ServiceErrorKind};
