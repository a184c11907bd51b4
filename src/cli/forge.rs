//! Which forge knows the pull requests of the repository, and with which token it is asked.

use std::sync::Arc;

use reqwest::Url;

use super::args::StoreTarget;
use super::catalog;
use super::site::Site;
use crate::command::context::Context;
use crate::domain::fault::Fault;
use crate::domain::secret::Secret;
use crate::github::rest::Repository;
use crate::platform::Env;
use crate::store::forge::azure_repos::AzureRepos;
use crate::store::forge::gitlab::GitLab;
use crate::store::forge::{Forge, ForgeApi};
use crate::transport::http::options::FetchOptions;

const AZURE_CURE: &str =
    "map `SYSTEM_ACCESSTOKEN: $(System.AccessToken)`, and let the build service read the repository";

const GITLAB_CURE: &str = "set GITLAB_TOKEN to a token of the project with the scope `read_api`";

/// The forge of the site's repository; `None` where the job has no token for it.
pub(super) fn find(
    target: &StoreTarget,
    site: &Site<'_>,
    ctx: &Context<'_>,
) -> Result<Option<Arc<dyn Forge>>, Fault> {
    let api = |(base, token, cure): (Url, (&'static str, Secret), &'static str)| {
        let mut options = FetchOptions::of_entries(ctx.interrupt.cancel.clone(), ctx.now);
        options.deadline = Some(catalog::deadline(ctx));
        Ok::<_, Fault>(ForgeApi { client: ctx.client()?, options, base, token, cure })
    };
    if let Some((base, token)) = azure_repos(site.env) {
        return Ok(Some(Arc::new(AzureRepos(api((base, token, AZURE_CURE))?))));
    }
    if let Some((base, token)) = gitlab(site.env) {
        return Ok(Some(Arc::new(GitLab(api((base, token, GITLAB_CURE))?))));
    }
    let Some(repository) = on_github(site) else { return Ok(None) };
    let rest = catalog::github(repository, target, site, ctx)?;
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
