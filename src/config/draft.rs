//! A converted cache with the places of its parts, for the rules across caches.

use std::ops::Range;

use crate::domain::spec::{CacheSpec, PathPattern};

/// A value with its byte range in the file.
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Range<usize>,
}

/// A converted cache with the places of its parts, for the rules across caches.
pub(super) struct Draft {
    pub(super) spec: CacheSpec,
    pub(super) name: Range<usize>,
    pub(super) paths: Vec<Placed<PathPattern>>,
    pub(super) export: Vec<Placed<String>>,
}
