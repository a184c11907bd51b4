//! GitHub as a forge: GraphQL has the states of fifty pull requests in one answer.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{Forge, ForgeError};
use crate::domain::hint::Hint as _;
use crate::github::rest::Rest;
use crate::github::rest::states::PullRequests;

#[async_trait]
impl Forge for Rest {
    fn name(&self) -> String {
        "GitHub".to_owned()
    }

    async fn pull_requests(&self, numbers: &BTreeSet<u64>) -> Result<PullRequests, ForgeError> {
        let answered = Rest::pull_requests(self, numbers).await;
        answered.map_err(|error| ForgeError { reason: error.to_string(), cure: error.hint() })
    }
}
