//! From errors of the crate `object_store` to ours.

use std::error::Error;
use std::io;

use crate::store::error::{Access, StoreError, StoreErrorKind, causes, kind_of_io};

/// What a failure of `object_store` at `place` means; `access` is the right that the attempt needed.
///
/// That crate has few kinds of its own: what the file system said is found among the causes.
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
