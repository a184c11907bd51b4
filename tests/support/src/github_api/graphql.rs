//! The GraphQL API, as far as states of pull requests and refs are asked for.

use axum::body::Bytes;
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::{Answer, World};

/// More questions than this in one query are refused here, to keep queries small.
const MOST: usize = 50;

#[expect(clippy::single_match_else, reason = "both answers are as likely")]
pub(super) fn answer(world: &mut World, body: &Bytes) -> Answer {
    let request: Value = serde_json::from_slice(body).expect("a query in JSON");
    let query = request["query"].as_str().expect("a query");
    let variables = &request["variables"];
    assert_eq!((variables["owner"].as_str(), variables["name"].as_str()), (Some("octo"), Some("hello")));
    let mut fields = Map::new();
    let mut errors = Vec::new();
    for question in questions(query) {
        let alias = question.alias.clone();
        let value = match question.what {
            What::Pull(number) if world.broken_pulls.contains(&number) => {
                let message = "Something went wrong while executing your query.";
                errors.push(json!({ "message": message, "path": ["repository", alias] }));
                Value::Null
            }
            What::Pull(number) => match world.pulls.get(&number) {
                Some(pull) => {
                    let state = match (pull.closed_at, pull.merged) {
                        (None, _) => "OPEN",
                        (Some(_), true) => "MERGED",
                        (Some(_), false) => "CLOSED",
                    };
                    let at = pull.closed_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
                    json!({ "state": state, "closedAt": at, "baseRefName": pull.base })
                }
                None => {
                    let message = format!("Could not resolve to a PullRequest with the number of {number}.");
                    errors.push(
                        json!({ "type": "NOT_FOUND", "path": ["repository", alias], "message": message }),
                    );
                    Value::Null
                }
            },
            What::Ref(variable) => {
                let name = variables[&variable].as_str().expect("a name");
                if world.sees_refs && world.refs.contains(name) {
                    json!({ "name": name })
                } else {
                    Value::Null
                }
            }
        };
        fields.insert(question.alias, value);
    }
    assert!(fields.len() <= MOST, "{} questions in one query", fields.len());
    let mut answer = json!({ "data": { "repository": fields } });
    if !errors.is_empty() {
        answer["errors"] = errors.into();
    }
    Answer::of(200, answer)
}

struct Question {
    alias: String,
    what: What,
}

enum What {
    Pull(u64),
    Ref(String),
}

/// The questions of a query: `alias: pullRequest(number: 7)` or `alias: ref(qualifiedName: $x)`.
fn questions(query: &str) -> Vec<Question> {
    let mut found = Vec::new();
    for (name, is_pull) in [(": pullRequest(number: ", true), (": ref(qualifiedName: $", false)] {
        let mut parts = query.split(name);
        let mut before = parts.next().unwrap_or_default();
        for part in parts {
            let alias = before.rsplit(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default();
            let argument = part.split(')').next().unwrap_or_default();
            let what = if is_pull {
                What::Pull(argument.parse().expect("a number"))
            } else {
                What::Ref(argument.to_owned())
            };
            found.push(Question { alias: alias.to_owned(), what });
            before = part;
        }
    }
    found
}
