//! Whether the cache service answers.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::domain::entry::LookupRequest;
use crate::domain::key::Key;
use crate::domain::version::Version;
use crate::github::{Credentials, Right};
use crate::report::failure;
use crate::store::contract::Store as _;
use crate::threads::executor::Owner;

use super::options::GitHubOptions;
use super::store::GitHubStore;

/// How long the service may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Looks up a key that does not exist. Returns the location of the service with its response time, or the error with
/// its causes.
pub fn probe(credentials: &Credentials, now: DateTime<Utc>) -> Result<String, String> {
    let options = GitHubOptions::for_job(TIME_LIMIT, CancellationToken::new(), now, None);
    let started = Instant::now();
    let request = LookupRequest {
        exact: false,
        key: Key::new("cachekeep-doctor").expect("a fixed key"),
        restore_keys: Vec::new(),
        version: Version::of_roots(["cachekeep-doctor"]),
        scopes: credentials.scopes_with(Right::Read).unwrap_or_default(),
    };
    let runtime = Owner::start_without_threads().map_err(|error| format!("cannot ask: {error}"))?;
    let store = GitHubStore::new(credentials.clone(), options).map_err(|error| failure::chain(&error))?;
    runtime.executor().block_on(store.lookup(&request)).map_err(|error| failure::chain(&error))?;
    Ok(format!("{} answers in {} ms", store.location(), started.elapsed().as_millis()))
}
