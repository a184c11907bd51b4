//! Errors of the crate `object_store` as errors of a store.

use std::error::Error;
use std::io;

use crate::store::error::{Access, StoreError, StoreErrorKind, causes, kind_of_io};

/// The store error for an error of `object_store` at `place`; `access` is the right that the operation needed.
///
/// That crate has few kinds of its own: the kind of an I/O error is taken from its causes.
pub(super) fn store_error(
    action: &str,
    place: &str,
    access: Access,
    error: object_store::Error,
) -> StoreError {
    use object_store::Error as Objects;
    let kind = match &error {
        Objects::NotFound { .. } => StoreErrorKind::NotFound,
        Objects::PermissionDenied { .. } | Objects::Unauthenticated { .. } => StoreErrorKind::Denied(access),
        other => kind_of_cause(other, access),
    };
    StoreError::new(kind, format!("cannot {action} {place}")).caused_by(error)
}

fn kind_of_cause(error: &(dyn Error + 'static), access: Access) -> StoreErrorKind {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .map(|cause| kind_of_io(cause.kind(), access))
        .find(|kind| *kind != StoreErrorKind::Other)
        .unwrap_or(StoreErrorKind::Other)
}
