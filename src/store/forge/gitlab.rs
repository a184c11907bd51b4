//! GitLab as a forge (docs.gitlab.com, "Merge requests API", "List project merge requests").

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use serde_json::Value;

use super::{Forge, ForgeApi, ForgeError};
use crate::domain::retention::PullRequestState;
use crate::domain::scope::Scope;
use crate::github::rest::states::PullRequests;

const NAME: &str = "GitLab";

/// How many merge requests are asked for at once: less than a page has at most.
const BATCH: usize = 50;

/// A project of GitLab: the base of its API is that of the project.
pub(crate) struct GitLab(pub(crate) ForgeApi);

#[async_trait]
impl Forge for GitLab {
    fn name(&self) -> String {
        NAME.to_owned()
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
                let not_listed = || PullRequestState::Unknown { why: format!("{NAME} does not list it") };
                let state = request.map_or_else(not_listed, state);
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

fn state(request: &Value) -> PullRequestState {
    match request["state"].as_str() {
        // A merge request is locked while it is merged.
        Some("opened" | "locked") => PullRequestState::Open,
        Some("closed") => PullRequestState::closed(NAME, request["closed_at"].as_str()),
        Some("merged") => PullRequestState::closed(NAME, request["merged_at"].as_str()),
        _ => PullRequestState::Unknown { why: format!("{NAME} does not report its state") },
    }
}
