//! States of pull requests and refs, queried in batches with GraphQL.
//!
//! An error for an item or for a whole query makes the state unknown, and entries of unknown state are kept. Every
//! query includes the default branch: if even that is not visible, no ref counts as deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Rest;
use super::error::{ApiError, ApiErrorKind, line};
use crate::domain::retention::{PullRequestState, RefState};
use crate::domain::scope::Scope;

/// Number of items in a query.
const BATCH: usize = 50;

/// Prefixes of refs that GraphQL can query.
const REFS: [&str; 2] = ["refs/heads/", "refs/tags/"];

/// States of pull requests, and their base branches as far as GitHub reports them.
pub(crate) type PullRequests = (BTreeMap<u64, PullRequestState>, BTreeMap<u64, Scope>);

/// The response to a query. Parts of it may be missing, each with an error.
#[derive(Deserialize)]
struct StateResponse {
    data: Option<Value>,
    #[serde(default)]
    errors: Vec<QueryError>,
}

#[derive(Deserialize)]
struct QueryError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    path: Vec<Value>,
}

impl Rest {
    /// States and bases of pull requests by number. Fails only if further queries are pointless.
    pub async fn pull_requests(&self, numbers: &BTreeSet<u64>) -> Result<PullRequests, ApiError> {
        let (mut states, mut bases) = PullRequests::default();
        let numbers: Vec<u64> = numbers.iter().copied().collect();
        for batch in numbers.chunks(BATCH) {
            let mut fields = String::new();
            for number in batch {
                let _ = write!(
                    fields,
                    " p{number}: pullRequest(number: {number}) {{ state closedAt baseRefName }}"
                );
            }
            let answer = self.ask("", &fields, Map::new()).await?;
            for number in batch {
                let found = answer.field(&format!("p{number}"));
                bases.extend(found.as_ref().ok().and_then(|pull| base(pull)).map(|base| (*number, base)));
                let state = found.and_then(pull_request);
                let state = state.unwrap_or_else(|why| PullRequestState::Unknown { why });
                states.insert(*number, state);
            }
        }
        Ok((states, bases))
    }

    /// States of branches, tags and merge-queue refs.
    pub async fn refs(
        &self,
        scopes: &BTreeSet<Scope>,
        default_branch: &Scope,
    ) -> Result<BTreeMap<Scope, RefState>, ApiError> {
        let mut states = BTreeMap::new();
        let (askable, others): (Vec<&Scope>, Vec<&Scope>) =
            scopes.iter().partition(|scope| REFS.iter().any(|prefix| scope.as_str().starts_with(prefix)));
        for scope in others {
            let why = "GitHub cannot be queried for refs of this kind".to_owned();
            states.insert(scope.clone(), RefState::Unknown { why });
        }
        for batch in askable.chunks(BATCH - 1) {
            let mut declared = String::from(", $d: String!");
            let mut fields = String::from(" d: ref(qualifiedName: $d) { name }");
            let mut variables = Map::from_iter([("d".to_owned(), json!(default_branch.as_str()))]);
            for (index, scope) in batch.iter().enumerate() {
                let _ = write!(declared, ", $r{index}: String!");
                let _ = write!(fields, " r{index}: ref(qualifiedName: $r{index}) {{ name }}");
                variables.insert(format!("r{index}"), json!(scope.as_str()));
            }
            let answer = self.ask(&declared, &fields, variables).await?;
            let sees_refs = match answer.field("d") {
                Ok(Value::Null) => Err("the token cannot read the default branch".to_owned()),
                other => other.map(|_| ()),
            };
            for (index, scope) in batch.iter().enumerate() {
                let found = sees_refs.clone().and_then(|()| answer.field(&format!("r{index}")));
                let state = match found {
                    Ok(Value::Null) => RefState::DeletedOrAbsent { since: None },
                    Ok(_) => RefState::Exists,
                    Err(why) => RefState::Unknown { why },
                };
                states.insert((*scope).clone(), state);
            }
        }
        Ok(states)
    }

    /// Queries fields of the repository. An error that concerns this query only becomes part of the response; one that
    /// every query would hit is returned.
    async fn ask(
        &self,
        declared: &str,
        fields: &str,
        variables: Map<String, Value>,
    ) -> Result<StateResponse, ApiError> {
        let repository = &self.endpoint.repository;
        let query = format!(
            "query($owner: String!, $name: String!{declared}) {{ repository(owner: $owner, name: $name) {{{fields} }} }}"
        );
        let mut variables = variables;
        variables.insert("owner".to_owned(), json!(repository.owner));
        variables.insert("name".to_owned(), json!(repository.name));
        let body = json!({ "query": query, "variables": variables });
        let answer =
            self.octocrab.post::<_, StateResponse>(self.endpoint.graphql.as_str(), Some(&body)).await;
        match answer.map_err(|error| ApiError::of(&self.endpoint.graphql, error)) {
            Ok(answer) => Ok(answer),
            Err(error) if error.ends_the_run() && !error.is_denied() => Err(error),
            Err(ApiError { kind: kind @ ApiErrorKind::Unauthorized(_), address }) => {
                Err(ApiError { address, kind })
            }
            Err(error) => {
                let refusal = QueryError { message: error.kind.to_string(), path: Vec::new() };
                Ok(StateResponse { data: None, errors: vec![refusal] })
            }
        }
    }
}

impl StateResponse {
    /// The value of a field, possibly null, or why it is missing.
    fn field(&self, alias: &str) -> Result<&Value, String> {
        let concerns = |error: &&QueryError| {
            error.path.get(1).is_none_or(|segment| segment.as_str().is_none_or(|segment| segment == alias))
        };
        if let Some(error) = self.errors.iter().find(concerns) {
            return Err(format!("GitHub says \"{}\"", line(&error.message)));
        }
        let repository = self.data.as_ref().and_then(|data| data.get("repository"));
        repository
            .and_then(|repository| repository.get(alias))
            .ok_or_else(|| "the response lacks the field".to_owned())
    }
}

fn base(pull: &Value) -> Option<Scope> {
    let name = pull["baseRefName"].as_str().filter(|name| !name.is_empty())?;
    Scope::new(&format!("refs/heads/{name}"))
}

fn pull_request(value: &Value) -> Result<PullRequestState, String> {
    match value["state"].as_str() {
        Some("OPEN") => Ok(PullRequestState::Open),
        Some("CLOSED" | "MERGED") => Ok(PullRequestState::closed("GitHub", value["closedAt"].as_str())),
        _ => Err("GitHub does not report its state".to_owned()),
    }
}
