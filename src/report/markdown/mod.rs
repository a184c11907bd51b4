//! Summaries of a step, as Markdown.

pub mod clean;
pub(crate) mod outcome;
