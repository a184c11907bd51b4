//! Caches that other programs keep, wherever they were found.

use super::azure::TaskPlan;
use super::candidate::Candidate;
use super::draft::Draft;
use super::github::StepPlan;
use super::gitlab::JobPlan;

/// A cache that another program keeps, in any CI.
pub(super) type Found = Candidate<Plan>;

/// How a cache is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// In a workflow of GitHub Actions.
    GitHub(StepPlan),
    /// In a pipeline of Azure Pipelines.
    Azure(TaskPlan),
    /// In a pipeline of GitLab CI.
    GitLab(JobPlan),
}

impl Plan {
    /// The cache, if it is declared.
    pub(super) fn draft(&self) -> Option<&Draft> {
        match self {
            Plan::GitHub(plan) => plan.draft.as_ref(),
            Plan::Azure(plan) => Some(&plan.draft),
            Plan::GitLab(plan) => Some(&plan.draft),
        }
    }

    /// The same, to be changed.
    pub(super) fn draft_mut(&mut self) -> Option<&mut Draft> {
        match self {
            Plan::GitHub(plan) => plan.draft.as_mut(),
            Plan::Azure(plan) => Some(&mut plan.draft),
            Plan::GitLab(plan) => Some(&mut plan.draft),
        }
    }

    /// What will be different, beside what holds for every cache.
    pub(super) fn differences(&self) -> Vec<String> {
        match self {
            Plan::GitHub(plan) => plan.differences(),
            Plan::Azure(_) => TaskPlan::differences(),
            Plan::GitLab(_) => JobPlan::differences(),
        }
    }
}
