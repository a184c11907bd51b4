//! The versions of the format.

/// The newest format: it has a list of all files. This program writes it, and [`UNLISTED`] where a list would be too long.
pub const FORMAT: u32 = 2;

/// The format before it, without a list; its digest covers all bytes.
pub(crate) const UNLISTED: u32 = 1;
