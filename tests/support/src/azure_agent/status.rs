//! Results of steps and jobs, and how they merge (`TaskResult`, `TaskResultUtil.MergeTaskResults`).

/// The result of a step, or of a job. The order is that of the agent: the worse is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All went well.
    Succeeded,
    /// Something failed that may fail.
    SucceededWithIssues,
    /// A step failed.
    Failed,
    /// The job was cancelled.
    Canceled,
    /// The step's condition was not met.
    Skipped,
}

impl Status {
    /// The words of `AGENT_JOBSTATUS` and of `task.complete`.
    pub fn parse(word: &str) -> Option<Self> {
        let all = [
            Status::Succeeded,
            Status::SucceededWithIssues,
            Status::Failed,
            Status::Canceled,
            Status::Skipped,
        ];
        all.into_iter().find(|status| status.to_string().eq_ignore_ascii_case(word))
    }

    /// `TaskResultUtil.MergeTaskResults`: the worse of both, and what is cancelled or skipped stays so.
    pub(super) fn merge(self, coming: Status) -> Status {
        if self > Status::Failed { self } else { self.max(coming) }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}
