//! The steps of the GitHub action and of the template for Azure Pipelines: all at once where the store is within reach, else
//! around the steps that move archives, actions/cache and `Cache@2`.
//!
//! Steps tell each other what they found by outputs and variables: `action.yml` carries the outputs of one step, and of
//! the nested steps of actions/cache, into the environment of the next; in the template variables of the job do that.

pub(super) mod install;
pub(super) mod nested;
pub(super) mod task;
