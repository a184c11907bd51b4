//! Azure Pipelines: what runs on an imitation of its agent (`tests/support/src/azure_agent`).

mod agent;
mod task;
pub(crate) mod template;
