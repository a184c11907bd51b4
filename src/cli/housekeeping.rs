//! Which store `clean`, `ls`, `usage` and `explain` look at: that of the configuration, or a repository's on GitHub.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::args::Target;
use super::settings::Settings;
use crate::command::context::Context;
use crate::domain::hint::Hint;
use crate::domain::secret::Secret;
use crate::domain::spec::StoreLocation;
use crate::github::rest::{Endpoint, EndpointError, Options, Pace, Repository, Rest};
use crate::platform::Env;
use crate::store::housekeeping::{GitHubCaches, Housekeeping, OwnStore};
use crate::transport::http::client::ClientError;
use crate::transport::http::retry::RetryPolicy;

/// What a timeout beyond the clock's reach means.
const FOREVER: Duration = Duration::from_hours(8760);

/// Why a store cannot be looked after.
#[derive(Debug, thiserror::Error)]
pub(super) enum TargetError {
    /// The repository or the API's address is wrong.
    #[error("{origin}: {source}")]
    Endpoint {
        /// The flag or variable.
        origin: &'static str,
        /// What is wrong with it.
        source: EndpointError,
    },
    /// There is no token.
    #[error("there is no token for GitHub's API")]
    NoToken,
    /// HTTPS cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl TargetError {
    /// Whether what was typed or set is at fault.
    pub(super) fn is_usage(&self) -> bool {
        !matches!(self, TargetError::Client(_))
    }
}

impl Hint for TargetError {
    fn hint(&self) -> Option<String> {
        match self {
            TargetError::NoToken => Some(
                "set GITHUB_TOKEN in the step's `env` to `${{ github.token }}`, or elsewhere to what `gh auth token` prints"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// Opens it. Who names a repository means GitHub; a job there does, too, unless its store is another.
pub(super) fn open(
    target: &Target,
    env: &Env,
    settings: &Settings,
    ctx: &Context<'_>,
) -> Result<Box<dyn Housekeeping>, TargetError> {
    let job = || {
        let is_job = env.flag("GITHUB_ACTIONS")
            && matches!(settings.spec.store, StoreLocation::Auto | StoreLocation::GitHub);
        env.var("GITHUB_REPOSITORY").filter(|_| is_job).map(|name| ("GITHUB_REPOSITORY", name))
    };
    let Some((origin, name)) = target.repository.as_deref().map(|name| ("--repository", name)).or_else(job)
    else {
        let default_branch = ctx.access.readable.last().unwrap_or(&ctx.access.own).clone();
        return Ok(Box::new(OwnStore::new(Arc::clone(&ctx.store), default_branch)));
    };
    let repository = Repository::parse(name).map_err(|source| TargetError::Endpoint { origin, source })?;
    let endpoint = Endpoint::new(env.var("GITHUB_API_URL"), env.var("GITHUB_GRAPHQL_URL"), repository)
        .map_err(|source| TargetError::Endpoint { origin: "GITHUB_API_URL", source })?;
    let token = env.var("GITHUB_TOKEN").or_else(|| env.var("GH_TOKEN")).ok_or(TargetError::NoToken)?;
    let options = Options {
        token: Secret::new(token.trim()),
        pace: Pace::of_deletions(target.deletions_per_minute),
        retry: RetryPolicy::default(),
        deadline: Instant::now().checked_add(ctx.timeout).unwrap_or_else(|| Instant::now() + FOREVER),
    };
    let client = ctx.client()?;
    // The client's worker lives on the runtime.
    let _runtime = ctx.runtime.enter();
    Ok(Box::new(GitHubCaches::new(Rest::new(client, endpoint, options))))
}
