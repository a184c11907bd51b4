//! GitHub's API, as far as cleaning needs it: caches, pull requests, refs and limits of one repository.
//!
//! [`endpoint`] says where the API is and for whom, [`pace`] and [`limits`] keep within its limits,
//! [`exchange`] sends requests below octocrab, [`caches`] and [`states`] are the questions, and [`error`] is
//! what can go wrong.

pub mod endpoint;
pub mod error;
pub mod limits;
pub mod pace;

pub mod exchange;

pub mod caches;
pub mod states;

use std::time::Instant;

use chrono::{DateTime, Utc};
use octocrab::{AuthState, Octocrab, OctocrabBuilder};
use reqwest::Url;

pub use caches::Listing;
pub use endpoint::{Endpoint, EndpointError, Repository};
pub use error::{ApiError, ApiErrorKind};
pub use pace::Pace;

use crate::domain::clean::ApiCalls;
use crate::domain::secret::Secret;
use crate::transport::http::client::Client;
use crate::transport::http::retry::RetryPolicy;
use exchange::Exchange;

/// What a client of the API needs besides its endpoint.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who asks: `GITHUB_TOKEN` or a personal one.
    pub token: Secret,
    /// How fast requests follow each other.
    pub pace: Pace,
    /// How failures that pass by themselves are met.
    pub retry: RetryPolicy,
    /// Nothing is waited for beyond this.
    pub deadline: Instant,
}

/// The API of one repository. One request is under way at a time.
pub struct Rest {
    octocrab: Octocrab,
    exchange: Exchange,
    endpoint: Endpoint,
}

impl Rest {
    /// A client of the API; to be called within a runtime.
    pub fn new(client: Client, endpoint: Endpoint, options: Options) -> Self {
        let exchange = Exchange::new(client, endpoint.api.clone(), options);
        let builder = OctocrabBuilder::new_empty().with_service(exchange.clone()).with_auth(AuthState::None);
        let octocrab = match builder.build() {
            Ok(octocrab) => octocrab,
            Err(never) => match never {},
        };
        Rest { octocrab, exchange, endpoint }
    }

    /// The repository, for people.
    pub fn location(&self) -> String {
        self.endpoint.shown()
    }

    /// Requests so far, attempts that were repeated included.
    pub fn calls(&self) -> ApiCalls {
        self.exchange.calls()
    }

    /// The server's time, as of its last answer.
    pub fn server_time(&self) -> Option<DateTime<Utc>> {
        self.exchange.server_time()
    }

    /// A failure of a request below the API's address.
    fn failed(&self, path: &str, error: octocrab::Error) -> ApiError {
        ApiError::of(&join(&self.endpoint.api, path), error)
    }
}

/// A URL below another one, whether or not that ends in a slash.
fn join(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    url.set_path(&format!("{}/{}", base.path().trim_end_matches('/'), path.trim_start_matches('/')));
    url.set_query(query);
    url
}
