//! The outcome of a fetch from mirrors.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::Mirror;
use super::health::{Availability, Health};
use crate::domain::digest::ObjectId;

/// Why a fetched file was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not the object: the mirror's fault, another one is asked.
    WrongContent(String),
    /// Nothing proves that it is the object: another one is asked, and this one is not blamed.
    Unproven(String),
    /// It cannot be kept here: no mirror can help.
    Local(String),
}

/// Verifies a fetched file and takes it, by renaming it away or by copying. It is called in blocking threads, for
/// one object never twice at once.
pub(crate) type Accept = dyn Fn(&ObjectId, &Path) -> Result<(), Refusal> + Send + Sync;

/// An object that was fetched and taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Which.
    pub object: ObjectId,
    /// The mirror that had it, as an index into those that were given.
    pub mirror: usize,
    /// Its bytes.
    pub bytes: u64,
}

/// An object that no mirror gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotFetched {
    /// Which.
    pub object: ObjectId,
    /// For every mirror, in the order given, why not.
    pub reasons: Vec<String>,
}

/// What a mirror did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MirrorReport {
    /// The mirror, without secrets.
    pub mirror: String,
    /// Requests to it.
    pub requests: u64,
    /// Objects from it.
    pub delivered: u64,
    /// Whether it was given up.
    pub given_up: bool,
}

/// What ended a fetch early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// The user.
    #[error("interrupted")]
    Cancelled,
    /// Objects cannot be kept here.
    #[error("{}: {reason}", .path.display())]
    Local {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The outcome of a fetch. What was taken stays taken, whatever stopped the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchReport {
    /// What was taken.
    pub fetched: Vec<Fetched>,
    /// Objects that no mirror delivered. Objects that were not reached before a stop are not listed.
    pub missing: Vec<NotFetched>,
    /// The mirrors, in the order given.
    pub mirrors: Vec<MirrorReport>,
    /// What ended it early.
    pub stopped: Option<Stop>,
}

impl MirrorReport {
    pub(super) fn of(mirror: &Mirror, health: &Health) -> Self {
        MirrorReport {
            mirror: mirror.to_string(),
            requests: health.requests(),
            delivered: health.delivered(),
            given_up: health.availability(Instant::now()) == Availability::GivenUp,
        }
    }
}
