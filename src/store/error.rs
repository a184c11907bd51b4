//! What can go wrong with a store.
//!
//! A [`StoreError`] names the operation with its path or URL, and the kind of the failure; its source is the
//! cause that the system or the service reported. Callers decide by [`StoreErrorKind`], never by text. Every stream
//! and pipe carries its error, so that a stream that broke off is never taken for a complete one.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::domain::hint::{Class, Hint};
use crate::domain::key::{Key, UnaskedKey};
use crate::transport::http::error::Cause;
use crate::transport::http::retry::Verdict;

/// A right to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To look up, list and read.
    Read,
    /// To create and delete.
    Write,
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The entry does not exist, or no longer.
    NotFound,
    /// The name is taken, which became known before all bytes were sent; a commit returns
    /// [`Commit::Exists`](super::Commit::Exists) instead.
    Exists,
    /// This right is missing.
    Denied(Access),
    /// The store's budget is spent: entries can be saved again after it was cleaned.
    BudgetExceeded,
    /// Too many requests; the service asks to wait.
    RateLimited {
        /// How long to wait; `None` if the service does not report it.
        retry_after: Option<Duration>,
    },
    /// The store's volume is full, or a quota is used up.
    NoSpace,
    /// The store cannot be reached or is out of order for now.
    Unavailable,
    /// Stored data is damaged.
    Corrupt,
    /// The store answered a lookup with an entry that was not asked for; the source is the
    /// [`UnaskedKey`].
    Unasked,
    /// The store has a layout or protocol that this version does not know.
    Unsupported,
    /// The time limit was reached.
    TimedOut,
    /// A signal interrupted the work.
    Interrupted,
    /// Anything else.
    Other,
}

/// A failure of a store.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    /// What helps; `None` where the kind says it.
    cure: Option<String>,
}

impl StoreError {
    /// A failure; `message` names the operation with its path or URL.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        StoreError { kind, message: message.into(), source: None, cure: None }
    }

    /// The same failure with the cause that the system or the service reported.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure with what helps, where that is not what helps with every failure of its kind.
    #[must_use]
    pub fn cured_by(self, cure: Option<String>) -> Self {
        StoreError { cure, ..self }
    }

    /// A failure of the file system at `place`; `access` is the right that the operation needed.
    pub fn of_io(action: &str, place: impl fmt::Display, access: Access, source: io::Error) -> Self {
        let kind = kind_of_io(source.kind(), access);
        StoreError::new(kind, format!("cannot {action} {place}")).caused_by(source)
    }

    /// The bytes at `place` end before the size that was promised.
    pub(super) fn too_short(place: &str, missing: u64) -> Self {
        StoreError::new(StoreErrorKind::Corrupt, format!("{place} ends {missing} bytes before its size"))
    }

    /// The key that the store answered with although it was not asked for.
    pub fn unasked_key(&self) -> Option<&Key> {
        causes(self).find_map(|cause| cause.downcast_ref::<UnaskedKey>()).map(|answer| &answer.matched)
    }

    /// The kind of the failure.
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }

    /// What was being done, without the text for the kind of failure.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The store error among the causes of another error, also where an [`io::Error`] carries it.
    pub fn in_causes_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a StoreError> {
        causes(error).find_map(|cause| cause.downcast_ref())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.kind {
            StoreErrorKind::Denied(Access::Read) => f.write_str(": reading is not permitted"),
            StoreErrorKind::Denied(Access::Write) => f.write_str(": writing is not permitted"),
            StoreErrorKind::NotFound => f.write_str(": it is not there"),
            StoreErrorKind::Exists => f.write_str(": it exists already"),
            StoreErrorKind::BudgetExceeded => f.write_str(": the budget of the store is spent"),
            StoreErrorKind::RateLimited { retry_after: None } => f.write_str(": too many requests"),
            StoreErrorKind::RateLimited { retry_after: Some(pause) } => {
                write!(f, ": too many requests, the next is allowed in {} s", pause.as_secs())
            }
            StoreErrorKind::NoSpace => f.write_str(": no space is left"),
            StoreErrorKind::Unavailable => f.write_str(": it cannot be reached for now"),
            StoreErrorKind::Corrupt
            | StoreErrorKind::Unasked
            | StoreErrorKind::Unsupported
            | StoreErrorKind::TimedOut
            | StoreErrorKind::Interrupted
            | StoreErrorKind::Other => Ok(()),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl Hint for StoreError {
    fn hint(&self) -> Option<String> {
        if let Some(cure) = &self.cure {
            return Some(cure.clone());
        }
        let text = match self.kind {
            StoreErrorKind::Denied(Access::Read) => "let this user read the store, or choose another `store`",
            StoreErrorKind::Denied(Access::Write) => {
                "let this user write to the store, or give the cache `role = \"consumer\"`"
            }
            StoreErrorKind::BudgetExceeded => "delete unused entries, or raise the budget",
            StoreErrorKind::NoSpace => "free space on the store's volume, or delete old entries",
            StoreErrorKind::RateLimited { .. } => "wait, and let fewer jobs save at once",
            StoreErrorKind::Unavailable => "check the network or the mount and run it again",
            StoreErrorKind::Corrupt => "delete the damaged entry; the next save creates it anew",
            StoreErrorKind::Unsupported => "use a newer version of cachekeep, or another `store`",
            StoreErrorKind::TimedOut => "give it more time with `--timeout`",
            StoreErrorKind::NotFound
            | StoreErrorKind::Exists
            | StoreErrorKind::Unasked
            | StoreErrorKind::Interrupted
            | StoreErrorKind::Other => return None,
        };
        Some(text.to_owned())
    }

    fn class(&self) -> Class {
        match self.kind {
            StoreErrorKind::Denied(_) => Class::Denied,
            StoreErrorKind::TimedOut | StoreErrorKind::Interrupted => Class::Cancelled,
            _ => Class::Environment,
        }
    }
}

/// The kind of an error of the file system.
pub(super) fn kind_of_io(kind: io::ErrorKind, access: Access) -> StoreErrorKind {
    use io::ErrorKind as Io;
    match kind {
        Io::NotFound => StoreErrorKind::NotFound,
        Io::PermissionDenied | Io::ReadOnlyFilesystem => StoreErrorKind::Denied(access),
        Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => StoreErrorKind::NoSpace,
        Io::TimedOut
        | Io::StaleNetworkFileHandle
        | Io::HostUnreachable
        | Io::NetworkUnreachable
        | Io::NetworkDown
        | Io::ConnectionRefused
        | Io::ConnectionReset
        | Io::ConnectionAborted
        | Io::NotConnected
        | Io::ResourceBusy => StoreErrorKind::Unavailable,
        Io::UnexpectedEof => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Other,
    }
}

/// The kind of a failed request; `access` is the right that it needed.
pub(super) fn kind_of_cause(cause: &Cause, access: Access) -> StoreErrorKind {
    match cause {
        // A changed blob is another entry: the requested one has vanished.
        Cause::NotFound | Cause::CannotResume { .. } => StoreErrorKind::NotFound,
        Cause::Denied(_) => StoreErrorKind::Denied(access),
        Cause::RateLimited(retry_after) => StoreErrorKind::RateLimited { retry_after: *retry_after },
        Cause::Deadline => StoreErrorKind::Unavailable,
        cause if cause.verdict() != Verdict::Final => StoreErrorKind::Unavailable,
        _ => StoreErrorKind::Other,
    }
}

/// An error, then its causes; an error that an [`io::Error`] wraps counts as its cause, which `source` skips.
pub(super) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref::<io::Error>() {
            Some(wrapper) => wrapper.get_ref().map(|inner| inner as _),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn io_error(kind: io::ErrorKind) -> StoreError {
        StoreError::of_io("create", "/srv/ci/x", Access::Write, io::Error::from(kind))
    }

    #[test]
    fn errors_of_the_file_system_become_kinds() {
        let check = |kind, expect| assert_eq!(io_error(kind).kind(), expect, "{kind:?}");
        check(io::ErrorKind::StorageFull, StoreErrorKind::NoSpace);
        check(io::ErrorKind::QuotaExceeded, StoreErrorKind::NoSpace);
        check(io::ErrorKind::PermissionDenied, StoreErrorKind::Denied(Access::Write));
        check(io::ErrorKind::ReadOnlyFilesystem, StoreErrorKind::Denied(Access::Write));
        check(io::ErrorKind::NotFound, StoreErrorKind::NotFound);
        check(io::ErrorKind::StaleNetworkFileHandle, StoreErrorKind::Unavailable);
        check(io::ErrorKind::InvalidData, StoreErrorKind::Other);
    }

    #[test]
    fn the_message_names_the_place_and_the_reason() {
        assert_eq!(
            io_error(io::ErrorKind::PermissionDenied).to_string(),
            "cannot create /srv/ci/x: writing is not permitted"
        );
        assert_eq!(
            io_error(io::ErrorKind::StorageFull).to_string(),
            "cannot create /srv/ci/x: no space is left"
        );
    }

    #[test]
    fn a_store_error_is_found_below_layers_of_io_errors() {
        let store = StoreError::new(StoreErrorKind::Unavailable, "x");
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, store));
        let found = StoreError::in_causes_of(&wrapped).expect("it is in there");
        assert_eq!(found.kind(), StoreErrorKind::Unavailable);
        assert!(StoreError::in_causes_of(&io::Error::other("plain")).is_none());
    }
}
