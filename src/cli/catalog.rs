//! Which store `clean`, `ls`, `usage` and `explain` look at: that of the configuration, or a repository's on GitHub.

use std::sync::Arc;

use super::args::StoreTarget;
use super::forge;
use super::site::Site;
use crate::command::context::Context;
use crate::domain::fault::Fault;
use crate::domain::spec::StoreLocation;
use crate::github::rest::Repository;
use crate::store::Catalog;
use crate::store::forge::Tracked;
use crate::store::github::GitHubCatalog;

/// There is no token for GitHub's API.
pub(super) fn no_token() -> Fault {
    Fault::usage("there is no token for GitHub's API").with_hint(
        "set GITHUB_TOKEN in the step's `env` to `${{ github.token }}`, or elsewhere to what `gh auth token` prints"
            .to_owned(),
    )
}

/// The store cannot be listed, and no repository was named whose caches can be.
fn no_catalog(location: &str) -> Fault {
    let why = format!(
        "cannot list the entries at {location}: the cache service of a job has no such method; GitHub's REST API \
         has, with `permissions: actions: write`"
    );
    Fault::denied(why).with_hint("set `GITHUB_TOKEN` and give `--repository OWNER/NAME`".to_owned())
}

/// Opens it. Who names a repository means GitHub; a job there does, too, unless its store is another.
pub(super) fn open(
    target: &StoreTarget,
    site: &Site<'_>,
    ctx: &Context<'_>,
) -> Result<Arc<dyn Catalog>, Fault> {
    find(target, site, ctx)?.ok_or_else(no_token)
}

/// The same with the states of pull requests: GitHub's caches come with them, for any other store the forge is asked.
pub(super) fn open_with_states(
    target: &StoreTarget,
    site: &Site<'_>,
    ctx: &Context<'_>,
) -> Result<Arc<dyn Catalog>, Fault> {
    let catalog = open(target, site, ctx)?;
    let is_of_our_own = ctx.store.catalog().is_some_and(|own| Arc::ptr_eq(own, &catalog));
    if !is_of_our_own || target.all_repositories {
        return Ok(catalog);
    }
    Ok(match forge::find(target, site, ctx)? {
        Some(forge) => Arc::new(Tracked::new(catalog, forge)),
        None => catalog,
    })
}

/// The same; `None` where only a token is missing.
pub(super) fn find(
    target: &StoreTarget,
    site: &Site<'_>,
    ctx: &Context<'_>,
) -> Result<Option<Arc<dyn Catalog>>, Fault> {
    let env = site.env;
    let job = || {
        let is_job = env.flag("GITHUB_ACTIONS")
            && matches!(site.settings.spec.store, StoreLocation::Auto | StoreLocation::GitHub);
        env.var("GITHUB_REPOSITORY").filter(|_| is_job).map(|name| ("GITHUB_REPOSITORY", name))
    };
    let Some((origin, name)) = target.repository.as_deref().map(|name| ("--repository", name)).or_else(job)
    else {
        let on_github = site.settings.spec.store == StoreLocation::GitHub;
        let catalog = ctx.store.catalog().filter(|_| !on_github).cloned();
        return catalog.map(Some).ok_or_else(|| no_catalog(&ctx.store().location()));
    };
    if target.all_repositories {
        return Err(Fault::usage(
            "`--all-repositories` is for stores of our own: GitHub keeps the caches of each repository apart",
        )
        .with_hint("name another repository with `--repository`".to_owned()));
    }
    let repository = Repository::parse(name).map_err(|source| Fault::usage(origin).caused_by(source))?;
    let rest = forge::github(repository, target, site, ctx)?;
    Ok(rest.map(|rest| Arc::new(GitHubCatalog::new(rest)) as Arc<dyn Catalog>))
}
