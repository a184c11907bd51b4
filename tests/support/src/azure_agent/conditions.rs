//! Conditions of steps (`ExpressionManager`, documentation of conditions).

use super::expression::{Expression, Scope, is_function};
use super::status::Status;
use super::value::{Value, same_text};
use super::variables::Variables;

/// What a step's condition sees when the step is about to start.
pub(super) struct Moment<'a> {
    /// The job's status so far.
    pub status: Status,
    /// The job's variables.
    pub variables: &'a Variables,
}

/// The functions of the job's status.
const OF_STATUS: [&str; 5] = ["always", "canceled", "failed", "succeeded", "succeededOrFailed"];

/// Parses a condition; one that calls what the imitation does not know is refused at once.
pub(super) fn parse(text: &str) -> Result<Expression, String> {
    let condition = Expression::parse(text)?;
    let is_known = |name: &&str| is_function(name) || OF_STATUS.iter().any(|known| same_text(known, name));
    match condition.functions().into_iter().find(|name| !is_known(name)) {
        Some(unknown) => Err(format!("the imitation does not know the function `{unknown}` of conditions")),
        None => Ok(condition),
    }
}

/// Whether the condition holds; without one, a step runs if all before succeeded.
pub(super) fn holds(condition: Option<&Expression>, moment: &Moment<'_>) -> Result<bool, String> {
    match condition {
        Some(condition) => Ok(condition.evaluate(moment)?.is_true()),
        None => Ok(moment.status <= Status::SucceededWithIssues),
    }
}

impl Scope for Moment<'_> {
    fn named(&self, name: &str) -> Option<Value> {
        let all = || self.variables.all().map(|(name, value)| (name.to_owned(), Value::text(value)));
        same_text(name, "variables").then(|| Value::Object(all().collect()))
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Option<Value> {
        if !arguments.is_empty() {
            return None;
        }
        // `SucceededNode`, `FailedNode`, `SucceededOrFailedNode`, `CanceledNode`, `AlwaysNode`.
        Some(Value::Bool(match name.to_lowercase().as_str() {
            "always" => true,
            "canceled" => self.status == Status::Canceled,
            "failed" => self.status == Status::Failed,
            "succeeded" => self.status <= Status::SucceededWithIssues,
            "succeededorfailed" => self.status <= Status::Failed,
            _ => return None,
        }))
    }
}
