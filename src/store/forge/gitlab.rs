//! GitLab as a forge (docs.gitlab.com, "Merge requests API", "List project merge requests").

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Forge, ForgeApi, ForgeError};
use crate::domain::retention::PullRequestState;
use crate::domain::scope::Scope;
use crate::github::rest::states::PullRequests;

/// How many merge requests are asked for at once: less than a page has at most.
const BATCH: usize = 50;

/// A project of GitLab: the base of its API is that of the project.
pub(crate) struct GitLab(pub(crate) ForgeApi);

#[async_trait]
impl Forge for GitLab {
    fn name(&self) -> String {
        "GitLab".to_owned()
    }

    async fn pull_requests(&self, numbers: &BTreeSet<u64>) -> Result<PullRequests, ForgeError> {
        let mut found = PullRequests::default();
        let numbers: Vec<u64> = numbers.iter().copied().collect();
        for batch in numbers.chunks(BATCH) {
            let mut query = vec![("state", "all".to_owned()), ("per_page", BATCH.to_string())];
            query.extend(batch.iter().map(|number| ("iids[]", number.to_string())));
            let page = self.0.get(&["merge_requests"], &query).await?;
            let page = page.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let requests: BTreeMap<u64, &Value> =
                page.iter().filter_map(|request| Some((request["iid"].as_u64()?, request))).collect();
            for number in batch {
                let request = requests.get(number).copied();
                let state = request.ok_or("GitLab does not list it").and_then(state);
                let state = state.unwrap_or_else(|why| PullRequestState::Unknown { why: why.to_owned() });
                found.0.insert(*number, state);
                found.1.extend(request.and_then(base).map(|base| (*number, base)));
            }
        }
        Ok(found)
    }
}

fn base(request: &Value) -> Option<Scope> {
    Scope::new(&format!("refs/heads/{}", request["target_branch"].as_str()?))
}

fn state(request: &Value) -> Result<PullRequestState, &'static str> {
    match request["state"].as_str() {
        // A merge request is locked while it is merged.
        Some("opened" | "locked") => Ok(PullRequestState::Open),
        Some("closed") => Ok(PullRequestState::Closed { at: instant(&request["closed_at"])? }),
        Some("merged") => Ok(PullRequestState::Closed { at: instant(&request["merged_at"])? }),
        _ => Err("GitLab does not report its state"),
    }
}

fn instant(value: &Value) -> Result<DateTime<Utc>, &'static str> {
    let text = value.as_str().ok_or("GitLab does not report when it was closed")?;
    let at = DateTime::parse_from_rfc3339(text).map_err(|_| "GitLab reports an invalid closing time")?;
    Ok(at.with_timezone(&Utc))
}
