//! Which store a job works with: what the configuration says, and what is reachable from here.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::domain::entry::LookupRequest;
use crate::domain::event::Observer;
use crate::domain::key::Key;
use crate::domain::scope::Access;
use crate::domain::spec::StoreLocation;
use crate::domain::version::Version;
use crate::github::{Credentials, Right, credentials::NoCredentials};
use crate::platform::{Env, Facts};
use crate::report::failure;
use crate::store::{self, GitHubAccess, GitHubOptions, GitHubStore, Store as _, StoreError, StoreErrorKind};
use crate::transport::blocks::BlockOptions;
use crate::transport::download::FetchOptions;
use crate::transport::http::client::Timeouts;
use crate::transport::http::retry::{Clock, RetryPolicy};
use crate::transport::ranges::RangeOptions;

use super::settings::Settings;

/// Whether this is a job of GitHub Actions, the only place that has GitHub's cache service.
pub(super) fn is_github(env: &Env) -> bool {
    env.flag("GITHUB_ACTIONS")
}

/// The job's way to GitHub's cache service, where the configuration wants it or leaves it to us.
pub(super) fn credentials(
    location: &StoreLocation,
    env: &Env,
    now: DateTime<Utc>,
) -> Option<Result<Credentials, NoCredentials>> {
    match location {
        StoreLocation::GitHub => Some(Credentials::from_env(env, now)),
        StoreLocation::Auto if is_github(env) => Some(Credentials::from_env(env, now)),
        _ => None,
    }
}

/// Who may read and write what. GitHub's service takes entries only into scopes that the job's token names, and the
/// job's ref is not always one of them; a ref that somebody gave stays, so that the refusal can name it.
pub(super) fn access_of(settings: &Settings, env: &Env, facts: &Facts, now: DateTime<Utc>) -> Access {
    let access = settings.access.clone();
    let is_given = settings.git_ref != facts.git_ref;
    match credentials(&settings.spec.store, env, now) {
        Some(Ok(found)) if !is_given => {
            access.writing_to(&found.scopes_with(Right::Write).unwrap_or_default())
        }
        _ => access,
    }
}

/// How the service is spoken to in this process.
pub(super) fn options(
    timeout: Duration,
    cancel: CancellationToken,
    now: DateTime<Utc>,
    observer: Option<Arc<dyn Observer>>,
) -> GitHubOptions {
    GitHubOptions {
        timeouts: Timeouts::default(),
        fetch: FetchOptions {
            retry: RetryPolicy::default(),
            deadline: None,
            clock: Clock::starting_at(now),
            // An archive proves itself as it is unpacked, and blobs have versions anyway.
            digest_is_checked: false,
            accept: None,
            cancel,
        },
        time_limit: Some(timeout),
        blocks: BlockOptions::default(),
        ranges: RangeOptions::default(),
        observer,
    }
}

/// Credentials as stores take them.
pub(super) fn access(
    found: Option<Result<Credentials, NoCredentials>>,
    options: impl FnOnce() -> GitHubOptions,
) -> GitHubAccess {
    let refused = |message| StoreError::new(StoreErrorKind::Denied(store::Access::Read), message);
    match found {
        Some(Ok(credentials)) => Ok((credentials, options())),
        Some(Err(why)) => Err(refused(format!("cannot use GitHub's cache service: {why}"))),
        None => Err(refused("GitHub's cache service is not asked for".to_owned())),
    }
}

/// What the service says to a lookup of nothing.
pub(super) fn ask(credentials: &Credentials, now: DateTime<Utc>) -> Result<String, String> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let options = options(PATIENCE, CancellationToken::new(), now, None);
    let started = std::time::Instant::now();
    let request = LookupRequest {
        exact: false,
        key: Key::new("cachekeep-doctor").expect("a fixed key"),
        restore_keys: Vec::new(),
        version: Version::of_roots(["cachekeep-doctor"]),
        scopes: credentials.scopes_with(Right::Read).unwrap_or_default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot ask: {error}"))?;
    let store = GitHubStore::new(credentials.clone(), options).map_err(|error| failure::chain(&error))?;
    runtime.block_on(store.lookup(&request)).map_err(|error| failure::chain(&error))?;
    Ok(format!("{} answers in {} ms", store.location(), started.elapsed().as_millis()))
}
