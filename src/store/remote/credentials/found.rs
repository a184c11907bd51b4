//! What was found in the environment, and why there is no credential.

use chrono::{DateTime, Utc};

use crate::domain::hint::{Class, Hint};

/// A credential that was found, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundCredential {
    /// The kind of credential and the variables that hold it.
    pub source: &'static str,
    /// When it expires, if it says so.
    pub expires_at: Option<DateTime<Utc>>,
    /// The address of the service.
    pub endpoint: String,
}

/// The environment has no usable credential for an object service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCredential {
    /// Nothing was found.
    #[error("there is no credential for {service}: looked for {looked_for}")]
    Absent {
        /// The service.
        service: &'static str,
        /// The variables that were looked for.
        looked_for: &'static str,
    },
    /// A variable is missing or cannot be used.
    #[error("{0}")]
    Unusable(String),
}

impl Hint for NoCredential {
    fn hint(&self) -> Option<String> {
        match self {
            NoCredential::Absent { .. } => Some(
                "set one of them in the environment of the step; `cachekeep doctor` names what is found"
                    .to_owned(),
            ),
            NoCredential::Unusable(_) => None,
        }
    }

    fn class(&self) -> Class {
        Class::Denied
    }
}
