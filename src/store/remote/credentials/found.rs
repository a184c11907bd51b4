//! What was found in the environment, and why no credential was found.

use chrono::{DateTime, Utc};

use crate::domain::hint::{Class, Hint};

/// A credential that was found, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCredential {
    /// The kind of credential and the variables that hold it.
    pub source: &'static str,
    /// When it expires, if it says so.
    pub expires_at: Option<DateTime<Utc>>,
    /// Whether it is exchanged anew before it expires.
    pub is_renewed: bool,
    /// The address of the service.
    pub endpoint: String,
}

/// The environment has no usable credential for an object service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoCredential {
    message: String,
    hint: Option<&'static str>,
}

impl NoCredential {
    /// Nothing was found among these variables.
    pub(super) fn absent(service: &str, looked_for: &str) -> Self {
        NoCredential {
            message: format!("there is no credential for {service}: looked for {looked_for}"),
            hint: Some(
                "set one of them in the environment of the step; `cachekeep doctor` names what is found",
            ),
        }
    }

    /// A variable is missing or cannot be used.
    pub(super) fn unusable(message: impl Into<String>) -> Self {
        NoCredential { message: message.into(), hint: None }
    }

    /// The same with what helps.
    pub(super) fn with_hint(self, hint: &'static str) -> Self {
        NoCredential { hint: Some(hint), ..self }
    }
}

impl Hint for NoCredential {
    fn hint(&self) -> Option<String> {
        self.hint.map(str::to_owned)
    }

    fn class(&self) -> Class {
        Class::Denied
    }
}
