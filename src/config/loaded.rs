//! A configuration that was read.

use crate::domain::finding::Finding;
use crate::domain::spec::Spec;

/// A configuration without errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The declared caches, store and policies.
    pub spec: Spec,
    /// Findings that are allowed but probably unintended, in the order of the file.
    pub warnings: Vec<Finding>,
}
