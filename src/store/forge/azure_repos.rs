//! Azure Repos as a forge (learn.microsoft.com, "Pull Requests - Get Pull Request", version 7.1 of the API).

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::{Forge, ForgeApi, ForgeError};
use crate::domain::retention::PullRequestState;
use crate::domain::scope::Scope;
use crate::github::rest::states::PullRequests;

const NAME: &str = "Azure Repos";

/// The API has no question about several pull requests by their numbers; so many are asked at once.
const AT_ONCE: usize = 8;

/// A repository of Azure Repos: the base of its API is that of the repository.
pub(crate) struct AzureRepos(pub(crate) ForgeApi);

#[async_trait]
impl Forge for AzureRepos {
    fn name(&self) -> String {
        NAME.to_owned()
    }

    async fn pull_requests(&self, numbers: &BTreeSet<u64>) -> Result<PullRequests, ForgeError> {
        let questions: Vec<_> = numbers.iter().map(|number| self.ask(*number)).collect();
        let answers: Vec<(u64, Option<Value>)> =
            stream::iter(questions).buffered(AT_ONCE).try_collect().await?;
        let mut found = PullRequests::default();
        for (number, answer) in answers {
            let Some(pull) = answer else {
                let why = format!("{NAME} has no pull request of this number, or the token cannot read it");
                found.0.insert(number, PullRequestState::Unknown { why });
                continue;
            };
            found.0.insert(number, state(&pull));
            found.1.extend(pull["targetRefName"].as_str().and_then(Scope::new).map(|base| (number, base)));
        }
        Ok(found)
    }
}

impl AzureRepos {
    async fn ask(&self, number: u64) -> Result<(u64, Option<Value>), ForgeError> {
        let query = [("api-version", "7.1".to_owned())];
        Ok((number, self.0.get(&["pullRequests", &number.to_string()], &query).await?))
    }
}

fn state(pull: &Value) -> PullRequestState {
    match pull["status"].as_str() {
        Some("active") => PullRequestState::Open,
        Some("completed" | "abandoned") => PullRequestState::closed(NAME, pull["closedDate"].as_str()),
        _ => PullRequestState::Unknown { why: format!("{NAME} does not report its state") },
    }
}
