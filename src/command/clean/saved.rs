//! Plans in files: written to be looked at, read back to be carried out.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use crate::domain::hint::Hint;
use crate::domain::retention::Plan;
use crate::fs::atomic;
use crate::fs::path_error::PathError;
use crate::fs::text::{self, TextError};
use crate::report::json;
use crate::report::json::plan::{PlanDocument, PlanError};

/// A plan of a million entries is smaller.
const MAX_BYTES: u64 = 2 << 30;

/// Why a plan cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// It cannot be written.
    #[error("the plan is not saved")]
    Write(#[from] PathError),
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] TextError),
    /// It is something else.
    #[error("`{}`: {source}", path.display())]
    NoPlan {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: PlanError,
    },
    /// It is for another store.
    #[error("`{}` is a plan for {planned}, not for {here}", path.display())]
    OtherStore {
        /// The file.
        path: PathBuf,
        /// The store of the plan.
        planned: String,
        /// The store of this run.
        here: String,
    },
}

impl SavedError {
    /// Whether the plan that was named is at fault.
    pub fn is_usage(&self) -> bool {
        !matches!(self, SavedError::Write(_))
    }
}

impl Hint for SavedError {
    fn hint(&self) -> Option<String> {
        match self {
            SavedError::NoPlan { .. } => {
                Some("write plans with `cachekeep clean --plan-out FILE`".to_owned())
            }
            _ => None,
        }
    }
}

/// Saves a plan for a store.
pub(super) fn write(path: &Path, plan: &Plan, store: &str, now: DateTime<Utc>) -> Result<(), SavedError> {
    let text = json::render(&PlanDocument::of(plan, store));
    Ok(atomic::write(path, text.as_bytes(), now)?)
}

/// Reads a plan for this store.
pub(super) fn read(path: &Path, store: &str) -> Result<Plan, SavedError> {
    let text = text::read(path, MAX_BYTES)?;
    let no_plan = |source| SavedError::NoPlan { path: path.to_owned(), source };
    let document = PlanDocument::parse(&text).map_err(no_plan)?;
    if document.store() != store {
        let (planned, here) = (document.store().to_owned(), store.to_owned());
        return Err(SavedError::OtherStore { path: path.to_owned(), planned, here });
    }
    document.plan().map_err(no_plan)
}
