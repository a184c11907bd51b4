//! Failures of an object service as errors of a store.

use object_store::client::HttpError;

use crate::store::error::{Access, StoreError, StoreErrorKind, causes, kind_of_cause};
use crate::transport::http::error::Cause;

use super::credentials::renewal::RenewalError;
use super::http::ServiceRefusal;

/// The store error for an error of `object_store` at `place`; `access` is the right that the operation needed.
///
/// The texts of that crate contain whole URLs and repeat each other: only what the service said is kept.
pub(super) fn store_error(
    action: &str,
    place: &str,
    access: Access,
    error: &object_store::Error,
) -> StoreError {
    use object_store::Error as Objects;
    if let Some(unissued) = causes(error).find_map(|cause| cause.downcast_ref::<RenewalError>()) {
        let failed = StoreError::new(unissued.kind(access), format!("cannot {action} {place}"));
        return failed.caused_by(unissued.to_string()).cured_by(unissued.cure());
    }
    if let Some(answer) = causes(error).find_map(|cause| cause.downcast_ref::<ServiceRefusal>()) {
        return refused(action, place, access, answer);
    }
    let kind = match error {
        Objects::NotFound { .. } | Objects::Precondition { .. } => StoreErrorKind::NotFound,
        Objects::AlreadyExists { .. } => StoreErrorKind::Exists,
        Objects::PermissionDenied { .. } | Objects::Unauthenticated { .. } => StoreErrorKind::Denied(access),
        _ => StoreErrorKind::Other,
    };
    let failed = StoreError::new(kind, format!("cannot {action} {place}"));
    match causes(error).last() {
        Some(innermost) if kind == StoreErrorKind::Other => failed.caused_by(innermost.to_string()),
        _ => failed,
    }
}

/// The same for an error of a request that this room makes itself.
pub(super) fn http_error(action: &str, place: &str, access: Access, error: &HttpError) -> StoreError {
    match causes(error).find_map(|cause| cause.downcast_ref::<ServiceRefusal>()) {
        Some(answer) => refused(action, place, access, answer),
        None => StoreError::new(StoreErrorKind::Other, format!("cannot {action} {place}"))
            .caused_by(error.to_string()),
    }
}

fn refused(action: &str, place: &str, access: Access, answer: &ServiceRefusal) -> StoreError {
    let kind = match (&answer.cause, answer.code.as_deref()) {
        // An object that is absent is not an error of a request; its container is.
        (Cause::NotFound, Some(_)) => StoreErrorKind::Other,
        (cause, _) => kind_of_cause(cause, access),
    };
    StoreError::new(kind, format!("cannot {action} {place}")).caused_by(answer.to_string())
}
