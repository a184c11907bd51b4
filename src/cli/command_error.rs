//! Why a command did not come to an outcome, and what the process returns then.

use super::exit::{self, Exit};
use super::housekeeping::TargetError;
use super::stages;
use crate::command::{clean, explain, key, session, usage};
use crate::domain::hint::Hint;

/// Why a command did not come to an outcome.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error(transparent)]
    Session(#[from] session::Error),
    #[error(transparent)]
    Key(#[from] key::KeyError),
    #[error(transparent)]
    Stage(#[from] stages::StageError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Clean(#[from] clean::CleanError),
    #[error(transparent)]
    Usage(#[from] usage::UsageError),
    #[error(transparent)]
    Explain(#[from] explain::ExplainError),
}

impl CommandError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            CommandError::Clean(error) if error.is_denied() => exit::NOT_PERMITTED,
            CommandError::Usage(error) if error.is_denied() => exit::NOT_PERMITTED,
            CommandError::Explain(error) if error.is_denied() => exit::NOT_PERMITTED,
            _ if self.is_usage() => exit::USAGE,
            _ => exit::FAILED,
        }
    }

    pub(super) fn is_usage(&self) -> bool {
        match self {
            CommandError::Session(error) | CommandError::Key(key::KeyError::Session(error)) => {
                error.source.is_fault_of_configuration()
            }
            CommandError::Key(_) => true,
            CommandError::Stage(error) => error.is_usage(),
            CommandError::Target(error) => error.is_usage(),
            CommandError::Usage(_) => false,
            CommandError::Explain(error) => error.is_usage(),
            CommandError::Clean(error) => {
                matches!(error, clean::CleanError::Saved(saved) if saved.is_usage())
            }
        }
    }
}

impl Hint for CommandError {
    fn hint(&self) -> Option<String> {
        match self {
            CommandError::Session(error) => error.hint(),
            CommandError::Key(error) => error.hint(),
            CommandError::Stage(error) => error.hint(),
            CommandError::Target(error) => error.hint(),
            CommandError::Clean(error) => error.hint(),
            CommandError::Usage(error) => error.hint(),
            CommandError::Explain(error) => error.hint(),
        }
    }
}
