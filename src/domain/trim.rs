//! Trimming: how a local folder is kept small.

use super::unit::{ByteSize, Span};

/// When files of a cache may be removed from its folder before it is saved.
///
/// At least one of the limits is set; with both, whatever is unused goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrimPolicy {
    /// What is removed as one.
    pub units: TrimUnits,
    /// The most bytes that may stay; the least recently used units go.
    pub max_size: Option<ByteSize>,
    /// Units that were not used for so long go.
    pub unused_for: Option<Span>,
}

/// What trimming removes as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrimUnits {
    /// Single files.
    #[default]
    Files,
}
