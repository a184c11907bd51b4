//! The version of the format.

/// The format that this program writes and the only one it reads.
pub const FORMAT: u32 = 1;
