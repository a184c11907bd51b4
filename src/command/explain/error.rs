//! Why nothing can be explained.

use crate::command::key;
use crate::command::session;
use crate::command::usage::UsageError;
use crate::domain::hint::Hint;
use crate::store::StoreError;

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A cache cannot be opened or its key not be made.
    #[error(transparent)]
    Session(#[from] session::Error),
    /// The store cannot be looked into.
    #[error(transparent)]
    Store(#[from] UsageError),
    /// A lookup failed.
    #[error("cannot look up in {location}: {source}")]
    Lookup {
        /// The store.
        location: String,
        /// Why not.
        source: StoreError,
    },
    /// The keys of another job cannot be read.
    #[error(transparent)]
    Diff(#[from] key::KeyError),
    /// What was typed is no key.
    #[error("`{text}`: {source}")]
    Key {
        /// What was typed.
        text: String,
        /// Why not.
        source: crate::domain::key::KeyError,
    },
    /// What was typed is no version.
    #[error("`{0}` is not a version: a version has 64 hexadecimal digits in lower case")]
    Version(String),
    /// A version says nothing about a declared cache, which has its own.
    #[error("`--version` goes with `--key`: a declared cache has a version of its own")]
    VersionWithoutKey,
    /// One key is of one cache.
    #[error("`--key` is explained for one cache, not for several")]
    KeyOfSeveral,
    /// There is no cache and no key.
    #[error("there is nothing to explain: no cache is declared here and no key was given")]
    Nothing,
}

impl ExplainError {
    /// Whether a right is missing.
    pub fn is_denied(&self) -> bool {
        matches!(self, ExplainError::Store(error) if error.is_denied())
    }

    /// Whether what was typed or configured is at fault.
    pub fn is_usage(&self) -> bool {
        match self {
            ExplainError::Session(error) => error.source.is_fault_of_configuration(),
            ExplainError::Store(_) | ExplainError::Lookup { .. } => false,
            _ => true,
        }
    }
}

impl Hint for ExplainError {
    fn hint(&self) -> Option<String> {
        match self {
            ExplainError::Session(error) => error.hint(),
            ExplainError::Store(error) => error.hint(),
            ExplainError::Lookup { source, .. } => source.hint(),
            ExplainError::Diff(error) => error.hint(),
            ExplainError::Version(_) => Some("`cachekeep ls --json` lists the versions there are".to_owned()),
            ExplainError::Nothing => Some(
                "run it where `cachekeep.toml` is, or give `--key KEY`, with `--restore-key` if need be"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}
