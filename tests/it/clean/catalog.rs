//! A repository's caches as a catalog.

use std::time::{Duration, Instant};

use cachekeep::domain::secret::Secret;
use cachekeep::parts::RetryPolicy;
use cachekeep::parts::{Client, Timeouts};
use cachekeep::parts::{Endpoint, Pace, Repository, Rest, RestOptions};
use cachekeep::store::github::GitHubCatalog;
use cachekeep::store::testing::conformance;

use super::now;
use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};

/// The catalog that this server serves; to be called on a runtime.
pub(super) fn catalog_of(api: &GitHubApi) -> GitHubCatalog {
    let repository = Repository::parse(REPOSITORY).expect("a repository");
    let endpoint = Endpoint::new(Some(&api.url()), None, repository).expect("an address");
    let options = RestOptions {
        token: Secret::new(TOKEN),
        pace: Pace::of_deletions(1_000_000),
        retry: RetryPolicy::default(),
        deadline: Instant::now() + Duration::from_mins(10),
    };
    GitHubCatalog::new(Rest::new(Client::new(Timeouts::default()).expect("a client"), endpoint, options))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_caches_of_a_repository_are_a_catalog() {
    // Each check has a server of its own, which ends with the test.
    let servers = std::sync::Mutex::new(Vec::new());
    conformance::run_filled_catalog(async || {
        let api = GitHubApi::start(now());
        for (git_ref, key) in [
            ("refs/heads/topic", "b-1"),
            ("refs/heads/main", "b-1"),
            ("refs/heads/main", "a-2"),
            ("refs/pull/7/merge", "a-1"),
        ] {
            api.world().save(git_ref, key, (2.0, 1.0), 5);
        }
        let catalog = catalog_of(&api);
        servers.lock().expect("no panic").push(api);
        catalog
    })
    .await;
}
