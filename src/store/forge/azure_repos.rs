//! Azure Repos as a forge (learn.microsoft.com, "Pull Requests - Get Pull Request", version 7.1 of the API).

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::Value;

use super::{Forge, ForgeApi, ForgeError};
use crate::domain::retention::PullRequestState;
use crate::domain::scope::Scope;
use crate::github::rest::states::PullRequests;

/// The API has no question about several pull requests by their numbers; so many are asked at once.
const AT_ONCE: usize = 8;

/// A repository of Azure Repos: the base of its API is that of the repository.
pub(crate) struct AzureRepos(pub(crate) ForgeApi);

#[async_trait]
impl Forge for AzureRepos {
    fn name(&self) -> String {
        "Azure Repos".to_owned()
    }

    async fn pull_requests(&self, numbers: &BTreeSet<u64>) -> Result<PullRequests, ForgeError> {
        let questions: Vec<_> = numbers.iter().map(|number| self.ask(*number)).collect();
        let answers: Vec<(u64, Option<Value>)> =
            stream::iter(questions).buffered(AT_ONCE).try_collect().await?;
        let mut found = PullRequests::default();
        for (number, answer) in answers {
            let why =
                "Azure Repos has no pull request of this number, or the token cannot read it".to_owned();
            let Some(pull) = answer else {
                found.0.insert(number, PullRequestState::Unknown { why });
                continue;
            };
            found.0.insert(
                number,
                state(&pull).unwrap_or_else(|why| PullRequestState::Unknown { why: why.to_owned() }),
            );
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

fn state(pull: &Value) -> Result<PullRequestState, &'static str> {
    match pull["status"].as_str() {
        Some("active") => Ok(PullRequestState::Open),
        Some("completed" | "abandoned") => Ok(PullRequestState::Closed { at: instant(&pull["closedDate"])? }),
        _ => Err("Azure Repos does not report its state"),
    }
}

fn instant(value: &Value) -> Result<DateTime<Utc>, &'static str> {
    let text = value.as_str().ok_or("Azure Repos does not report when it was closed")?;
    let at = DateTime::parse_from_rfc3339(text).map_err(|_| "Azure Repos reports an invalid closing time")?;
    Ok(at.with_timezone(&Utc))
}
