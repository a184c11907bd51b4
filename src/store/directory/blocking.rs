//! File work on threads that may block.

use std::path::Path;

use crate::store::error::{StoreError, StoreErrorKind};
use crate::threads::blocking::blocking as on_thread;

/// Runs file work of the store at `root` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    root: &Path,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    on_thread(work).await.unwrap_or_else(|error| {
        let message = format!("work on the store at {} was aborted", root.display());
        Err(StoreError::new(StoreErrorKind::Other, message).caused_by(error))
    })
}
