//! A catalog that knows which pull requests are open.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::Forge;
use crate::domain::clean::ApiCalls;
use crate::domain::entry::{Entry, EntryId};
use crate::domain::entry_filter::EntryFilter;
use crate::domain::hint::Hint as _;
use crate::domain::retention::facts::pull_request_of;
use crate::domain::retention::{Facts, PullRequestState};
use crate::domain::scope::Section;
use crate::store::catalog::{Catalog, CatalogError, Deletion, Recovered, Survey, SurveyRequest};

/// A catalog whose surveys have the states that a forge reports.
pub(crate) struct Tracked {
    catalog: Arc<dyn Catalog>,
    forge: Arc<dyn Forge>,
}

impl Tracked {
    /// The catalog of one repository, with the forge that keeps it.
    pub(crate) fn new(catalog: Arc<dyn Catalog>, forge: Arc<dyn Forge>) -> Self {
        Tracked { catalog, forge }
    }
}

/// The pull requests that the forge can know: those of this repository. Entries that all repositories share may be
/// of another one with the same number.
fn numbers(facts: &Facts) -> BTreeSet<u64> {
    let mut own = BTreeSet::new();
    let mut foreign = BTreeSet::new();
    for entry in &facts.entries {
        if let Some(number) = pull_request_of(&entry.scope) {
            let numbers = if *entry.scope.section() == Section::Own { &mut own } else { &mut foreign };
            numbers.insert(number);
        }
    }
    &own - &foreign
}

#[async_trait]
impl Catalog for Tracked {
    async fn survey(&self, request: &SurveyRequest) -> Result<Survey, CatalogError> {
        let mut survey = self.catalog.survey(request).await?;
        let mut numbers = numbers(&survey.facts);
        // The user says that it is closed, and the forge may hear of it later.
        request.only_pull_request.map(|number| numbers.remove(&number));
        if numbers.is_empty() {
            return Ok(survey);
        }
        match self.forge.pull_requests(&numbers).await {
            Ok((states, bases)) => {
                survey.facts.pull_requests.extend(states);
                survey.facts.bases.extend(bases);
            }
            Err(error) => {
                let name = self.forge.name();
                let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
                survey.notes.push(format!("cannot ask {name} which pull requests are open: {error}{hint}"));
                let why = format!("{name} could not be asked");
                let unknown = numbers
                    .into_iter()
                    .map(|number| (number, PullRequestState::Unknown { why: why.clone() }));
                survey.facts.pull_requests.extend(unknown);
            }
        }
        Ok(survey)
    }

    fn location(&self) -> String {
        self.catalog.location()
    }

    async fn list(&self, filter: &EntryFilter) -> Result<Vec<Entry>, CatalogError> {
        self.catalog.list(filter).await
    }

    async fn leased(&self, ids: &[EntryId]) -> Result<BTreeSet<EntryId>, CatalogError> {
        self.catalog.leased(ids).await
    }

    async fn delete(&self, id: &EntryId) -> Result<Deletion, CatalogError> {
        self.catalog.delete(id).await
    }

    async fn recover(&self) -> Result<Recovered, CatalogError> {
        self.catalog.recover().await
    }

    fn now(&self) -> Option<DateTime<Utc>> {
        self.catalog.now()
    }

    fn calls(&self) -> Option<ApiCalls> {
        self.catalog.calls()
    }
}
