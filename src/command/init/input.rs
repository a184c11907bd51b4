//! What `init` works with.

use std::path::Path;

use chrono::{DateTime, Utc};

use crate::command::check::{ActionFacts, Configuration};

/// What to look at, and what to do.
#[derive(Debug)]
pub(crate) struct InitInput<'a> {
    /// The checkout.
    pub workspace: &'a Path,
    /// The configuration, as far as there is one.
    pub configuration: Configuration<'a>,
    /// The inputs and modes of the GitHub action.
    pub action: &'a ActionFacts,
    /// Whether the files are written.
    pub writes: bool,
    /// Whether a configuration is proposed where no cache is found.
    pub starter: bool,
    /// The time.
    pub now: DateTime<Utc>,
}
