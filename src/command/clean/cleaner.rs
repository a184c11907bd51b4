//! What the steps of a cleaning share: the store, the options and the deadline.

use super::options::CleanOptions;
use crate::command::context::{Context, Deadline};
use crate::command::usage::not_surveyed;
use crate::domain::fault::Fault;
use crate::store::{Catalog, Survey};

/// A run of `clean`.
pub(in crate::command) struct Cleaner<'a> {
    pub(in crate::command) ctx: &'a Context<'a>,
    pub(in crate::command) target: &'a dyn Catalog,
    pub(in crate::command) options: &'a CleanOptions,
    pub(in crate::command) deadline: &'a Deadline,
}

impl Cleaner<'_> {
    /// Surveys the store, until the deadline.
    pub(in crate::command) fn survey(&self) -> Result<Survey, Fault> {
        let request = self.ctx.survey_request(self.options.policy.only_pull_request);
        let surveyed = self.ctx.wait(self.deadline, self.target.survey(&request));
        surveyed.map_err(|why| not_surveyed(self.target, why))
    }
}
