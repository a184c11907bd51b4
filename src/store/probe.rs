//! Whether the service of a store answers.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::open::{OpenOptions, StoreChoice};
use crate::domain::entry::LookupRequest;
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::version::Version;
use crate::report::failure;
use crate::threads::executor::Owner;

/// How long the service may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Looks up a key that does not exist, in these scopes. Returns the location of the service with its response time, or
/// the error with its causes.
pub(crate) fn probe(choice: &StoreChoice, scopes: Vec<Scope>, now: DateTime<Utc>) -> Result<String, String> {
    let options =
        OpenOptions { time_limit: TIME_LIMIT, cancel: CancellationToken::new(), now, observer: None };
    let started = Instant::now();
    let request = LookupRequest {
        exact: false,
        key: Key::new("cachekeep-doctor").expect("a fixed key"),
        restore_keys: Vec::new(),
        version: Version::of_roots(["cachekeep-doctor"]),
        scopes,
    };
    let runtime = Owner::start_without_threads().map_err(|error| format!("cannot ask: {error}"))?;
    let store = choice.open(options).store;
    runtime.executor().block_on(store.lookup(&request)).map_err(|error| failure::chain(&error))?;
    Ok(format!("{} answers in {} ms", store.location(), started.elapsed().as_millis()))
}
