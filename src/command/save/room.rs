//! Room for an entry in a directory: the reserve stays free while it is written, and where it has no room some is made.

use std::path::{Path, PathBuf};

use crate::command::cache::Cache;
use crate::command::context::Context;
use crate::command::room::{self, Free, make_room, need_of};
use crate::domain::fault::Fault;
use crate::domain::outcome::TrimOutcome;
use crate::domain::unit::ByteSize;
use crate::fs::volume::volume_of;
use crate::report::failure;
use crate::store::{StoreError, StoreErrorKind};

/// Keeps the reserve free while an entry is written.
pub(super) struct StoreGuard {
    store: PathBuf,
    reserve: ByteSize,
}

impl StoreGuard {
    /// The guard of a store in a directory, if its volume can be measured.
    pub(super) fn new(ctx: &Context<'_>, store: &Path) -> Option<Self> {
        let volume = volume_of(store).ok()?;
        Some(StoreGuard { store: store.to_owned(), reserve: ctx.reserve().of(volume.total) })
    }

    /// Fails if these bytes would leave less than the reserve.
    pub(super) fn check(&self, bytes: usize) -> Result<(), StoreError> {
        let Ok(volume) = volume_of(&self.store) else { return Ok(()) };
        if volume.free.0 >= self.reserve.0.saturating_add(bytes as u64) {
            return Ok(());
        }
        let StoreGuard { store, reserve } = self;
        let message =
            format!("volume of `{}` has {} free, and {reserve} are reserved", store.display(), volume.free);
        Err(StoreError::new(StoreErrorKind::NoSpace, message))
    }
}

/// Makes room for the entry of a cache, each way once.
pub(super) struct StoreRoom<'a> {
    cache: &'a Cache<'a>,
    store: &'a Path,
    has_trimmed: bool,
}

impl<'a> StoreRoom<'a> {
    /// For a store in a directory; others need no room here.
    pub(super) fn new(cache: &'a Cache<'a>, store: &'a Path) -> Self {
        StoreRoom { cache, store, has_trimmed: false }
    }

    /// Removes what may be removed where an archive as large as the cache would have no room. How large it is, is not known before it is
    /// made: one that is compressed well may have room even so.
    /// A tree that cannot be measured, such as one without one of its roots, says nothing about that either.
    pub(super) fn prepare(&self) {
        if let Ok(tree) = self.cache.quick_fingerprint() {
            make_room(self.cache.ctx, &need_of(&tree, self.store), Free::Now);
        }
    }

    /// After the store was full: trims the cache until its archive has room. Returns whether another attempt is worth it.
    pub(super) fn make(
        &mut self,
        why: &(dyn std::error::Error + 'static),
        trimmed: &mut Option<TrimOutcome>,
    ) -> Result<bool, Fault> {
        if std::mem::replace(&mut self.has_trimmed, true) {
            return Ok(false);
        }
        let fitted = room::trim_to_fit(self.cache, self.store, &failure::chain(why))?;
        let is_smaller = fitted.is_some();
        *trimmed = room::both(trimmed.take(), fitted);
        Ok(is_smaller)
    }
}
