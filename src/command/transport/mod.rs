//! How entries travel: moved by this process, or by actions/cache between two of its steps.

pub(super) mod direct;
pub(crate) mod wrapped;
