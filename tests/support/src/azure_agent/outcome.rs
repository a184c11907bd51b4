//! What a job leaves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::status::Status;

/// The stage of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The step itself.
    Main,
    /// After all steps, the last step first.
    Post,
}

/// A warning or an error that a step logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// `warning` or `error`.
    pub kind: String,
    /// Its text, masked.
    pub text: String,
}

/// How one stage of a step ended.
#[derive(Debug, Clone)]
pub struct StepResult {
    /// The step's name.
    pub name: String,
    /// What the log calls it.
    pub display_name: String,
    /// Which stage.
    pub stage: Stage,
    /// Its result.
    pub status: Status,
    /// Its part of the log, masked.
    pub log: String,
    /// What it logged.
    pub issues: Vec<Issue>,
}

/// What a job left.
pub struct JobResult {
    /// The job's result.
    pub status: Status,
    /// All that was printed, masked.
    pub log: String,
    /// Every stage that was reached, in order.
    pub steps: Vec<StepResult>,
    /// The variables at the end, by their names as they were spelt last; secrets are not among them.
    pub variables: BTreeMap<String, String>,
    /// Outputs, as `step.name`.
    pub outputs: BTreeMap<String, String>,
    /// The contents of the uploaded summaries.
    pub summaries: Vec<String>,
    /// The last progress of each step that set one.
    pub progress: Vec<(String, String)>,
    pub(super) work: PathBuf,
    /// Kept for the files in it.
    pub(super) _directory: Option<tempfile::TempDir>,
}

impl JobResult {
    /// The main stage of a step, by its name.
    #[track_caller]
    pub fn step(&self, name: &str) -> &StepResult {
        self.stage(name, Stage::Main)
    }

    /// The stage of a step after the job, by its name.
    #[track_caller]
    pub fn post(&self, name: &str) -> &StepResult {
        self.stage(name, Stage::Post)
    }

    #[track_caller]
    fn stage(&self, name: &str, stage: Stage) -> &StepResult {
        let found = self.steps.iter().find(|step| step.name == name && step.stage == stage);
        found.unwrap_or_else(|| panic!("no {stage:?} stage of `{name}`\n{}", self.log))
    }

    /// The value of a variable that is not a secret, without regard to case.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut found = self.variables.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }

    /// Panics with the log unless the job has this status.
    #[track_caller]
    pub fn expect(self, status: Status) -> Self {
        assert_eq!(self.status, status, "\n{}", self.log);
        self
    }

    /// A path in the agent's work directory: `1/s` holds the sources, `_temp` the files of this job.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.work.join(relative)
    }

    /// A path in the sources.
    pub fn source(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.work.join("1/s").join(relative)
    }
}
