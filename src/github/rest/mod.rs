//! A client of GitHub's API, as far as cleaning needs it: caches, pull requests, refs and limits of one repository.
//!
//! [`endpoint`] has the URLs and the repository, [`pace`] and [`limits`] stay within the rate limits, [`exchange`]
//! is the HTTP layer below octocrab, [`caches`] and [`states`] are the queries, and [`error`] has the errors.

pub(crate) mod endpoint;
pub(crate) mod error;
pub(crate) mod limits;
pub(crate) mod pace;

pub(crate) mod exchange;

pub(crate) mod caches;
pub(crate) mod states;

use chrono::{DateTime, Utc};
use octocrab::{AuthState, Octocrab, OctocrabBuilder};

pub(crate) use endpoint::{Endpoint, Repository};
pub(crate) use error::ApiError;
pub(crate) use exchange::RestOptions;
pub(crate) use pace::Pace;

use crate::domain::clean::ApiCalls;
use crate::transport::http::client::Client;
use endpoint::join;
use exchange::Exchange;

/// A client of the API for one repository. Sends one request at a time.
pub struct Rest {
    octocrab: Octocrab,
    exchange: Exchange,
    endpoint: Endpoint,
}

impl Rest {
    /// Creates a client. Must be called within a Tokio runtime.
    pub fn new(client: Client, endpoint: Endpoint, options: RestOptions) -> Self {
        let exchange = Exchange::new(client, endpoint.api.clone(), options);
        let builder = OctocrabBuilder::new_empty().with_service(exchange.clone()).with_auth(AuthState::None);
        let octocrab = match builder.build() {
            Ok(octocrab) => octocrab,
            Err(never) => match never {},
        };
        Rest { octocrab, exchange, endpoint }
    }

    /// Human-readable name of the repository.
    pub fn location(&self) -> String {
        self.endpoint.shown()
    }

    /// The requests so far, including retries.
    pub fn calls(&self) -> ApiCalls {
        self.exchange.calls()
    }

    /// The time of the server at its last response.
    pub fn server_time(&self) -> Option<DateTime<Utc>> {
        self.exchange.server_time()
    }

    /// The error of a failed request to a path of the API.
    fn failed(&self, path: &str, error: octocrab::Error) -> ApiError {
        ApiError::of(&join(&self.endpoint.api, path), error)
    }
}
