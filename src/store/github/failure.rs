//! Errors of the cache service and of its storage as errors of a store.

use crate::github::{Right, ServiceError, ServiceErrorKind};
use crate::store::error::{Access, StoreError, StoreErrorKind, kind_of_cause};
use crate::transport::http::error::{Cause, FetchError};

/// An error of the service during `action`.
pub(super) fn of_service(action: &str, access: Access, error: ServiceError) -> StoreError {
    let kind = match &error.kind {
        ServiceErrorKind::Denied { right, .. } | ServiceErrorKind::Unauthorized { right, .. } => {
            StoreErrorKind::Denied(match right {
                Right::Read => Access::Read,
                Right::Write => Access::Write,
            })
        }
        ServiceErrorKind::BudgetExceeded(_) => StoreErrorKind::BudgetExceeded,
        ServiceErrorKind::RateLimited(retry_after) => {
            StoreErrorKind::RateLimited { retry_after: *retry_after }
        }
        ServiceErrorKind::Transport(cause) => kind_of_cause(cause, access),
        ServiceErrorKind::Refused(_) | ServiceErrorKind::Malformed(_) => StoreErrorKind::Other,
    };
    StoreError::new(kind, format!("cannot {action}")).caused_by(error)
}

/// An error of the storage behind a signed URL during `action`.
pub(super) fn of_blob(action: &str, access: Access, error: FetchError) -> StoreError {
    let kind = match &error.cause {
        // The service has granted the access before: the storage refuses this signature.
        Cause::Denied(_) => StoreErrorKind::Other,
        cause => kind_of_cause(cause, access),
    };
    let why = match (&error.cause, access) {
        (Cause::Denied(_), Access::Write) => {
            ": the storage no longer accepts the signed URL, which lives for about an hour, and the service \
             gives no second one for an upload"
        }
        (Cause::Denied(_), Access::Read) => ": the storage accepts no signed URL, not even a new one",
        _ => "",
    };
    StoreError::new(kind, format!("cannot {action}{why}")).caused_by(error)
}
