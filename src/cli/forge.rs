//! Which forge knows the pull requests of the repository, and with which token it is asked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Url;

use super::args::StoreTarget;
use super::site::Site;
use crate::command::context::Context;
use crate::domain::fault::Fault;
use crate::domain::secret::Secret;
use crate::github::rest::{Endpoint, Pace, Repository, Rest, RestOptions};
use crate::platform::Env;
use crate::store::forge::azure_repos::AzureRepos;
use crate::store::forge::gitlab::GitLab;
use crate::store::forge::{Forge, ForgeApi};
use crate::transport::http::options::FetchOptions;
use crate::transport::http::retry::RetryPolicy;

const AZURE_CURE: &str =
    "map `SYSTEM_ACCESSTOKEN: $(System.AccessToken)`, and let the build service read the repository";

const GITLAB_CURE: &str = "set GITLAB_TOKEN to a token of the project with the scope `read_api`";

/// What a timeout beyond the clock's reach means.
const FOREVER: Duration = Duration::from_hours(8760);

/// The forge of the site's repository; `None` where the job has no token for it.
pub(super) fn find(
    target: &StoreTarget,
    site: &Site<'_>,
    ctx: &Context<'_>,
) -> Result<Option<Arc<dyn Forge>>, Fault> {
    let api = |(base, token, cure): (Url, (&'static str, Secret), &'static str)| {
        let mut options = FetchOptions::of_entries(ctx.interrupt.cancel.clone(), ctx.now);
        options.deadline = Some(deadline(ctx));
        Ok::<_, Fault>(ForgeApi { client: ctx.http_client()?, options, base, token, cure })
    };
    if let Some((base, token)) = azure_repos(site.env) {
        return Ok(Some(Arc::new(AzureRepos(api((base, token, AZURE_CURE))?))));
    }
    if let Some((base, token)) = gitlab(site.env) {
        return Ok(Some(Arc::new(GitLab(api((base, token, GITLAB_CURE))?))));
    }
    let Some(repository) = on_github(site) else { return Ok(None) };
    let rest = github(repository, target, site, ctx)?;
    Ok(rest.map(|rest| Arc::new(rest) as Arc<dyn Forge>))
}

/// The API of the repository in Azure Repos that a job of Azure Pipelines builds.
fn azure_repos(env: &Env) -> Option<(Url, (&'static str, Secret))> {
    if env.var("BUILD_REPOSITORY_PROVIDER") != Some("TfsGit") {
        return None;
    }
    let token = env.var("SYSTEM_ACCESSTOKEN")?;
    let project = env.var("SYSTEM_TEAMPROJECTID").or_else(|| env.var("SYSTEM_TEAMPROJECT"))?;
    let path = [project, "_apis", "git", "repositories", env.var("BUILD_REPOSITORY_ID")?];
    let base = below(env.var("SYSTEM_COLLECTIONURI")?, &path)?;
    Some((base, ("authorization", Secret::new(format!("Bearer {}", token.trim())))))
}

/// The API of the project whose pipeline runs on GitLab. The job's own token cannot read merge requests.
fn gitlab(env: &Env) -> Option<(Url, (&'static str, Secret))> {
    let base = below(env.var("CI_API_V4_URL")?, &["projects", env.var("CI_PROJECT_ID")?])?;
    Some((base, ("private-token", Secret::new(env.var("GITLAB_TOKEN")?.trim()))))
}

fn below(url: &str, path: &[&str]) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    url.path_segments_mut().ok()?.pop_if_empty().extend(path);
    Some(url)
}

/// The repository, if GitHub keeps it.
fn on_github(site: &Site<'_>) -> Option<Repository> {
    let server = site.env.var("GITHUB_SERVER_URL").unwrap_or("https://github.com");
    let host = Url::parse(server).ok()?.host_str()?.to_owned();
    let path = site.store.repository()?.as_str().strip_prefix(&host)?.strip_prefix('/')?;
    Repository::parse(path).ok()
}

/// GitHub's API for a repository; `None` where there is no token for it.
pub(super) fn github(
    repository: Repository,
    target: &StoreTarget,
    site: &Site<'_>,
    ctx: &Context<'_>,
) -> Result<Option<Rest>, Fault> {
    let env = site.env;
    let endpoint = Endpoint::new(env.var("GITHUB_API_URL"), env.var("GITHUB_GRAPHQL_URL"), repository)
        .map_err(|source| Fault::usage("GITHUB_API_URL").caused_by(source))?;
    let Some(token) = env.var("GITHUB_TOKEN").or_else(|| env.var("GH_TOKEN")) else { return Ok(None) };
    let options = RestOptions {
        token: Secret::new(token.trim()),
        pace: Pace::of_deletions(target.deletions_per_minute),
        retry: RetryPolicy::default(),
        deadline: deadline(ctx),
    };
    let client = ctx.http_client()?;
    // The client's worker lives on the runtime.
    let _runtime = ctx.runtime.enter();
    Ok(Some(Rest::new(client, endpoint, options)))
}

/// When questions to an API end.
fn deadline(ctx: &Context<'_>) -> Instant {
    Instant::now().checked_add(ctx.timeout).unwrap_or_else(|| Instant::now() + FOREVER)
}
