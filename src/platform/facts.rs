//! Facts about the current job.

use std::fmt;
use std::path::PathBuf;

use crate::domain::repository::RepositoryId;
use crate::domain::scope::{Access, Scope};
use crate::domain::trust::Trust;

/// Facts about the job. What the platform does not provide is `None`, never guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JobFacts {
    /// Human-readable name of the platform.
    pub platform: &'static str,
    /// Whether this is a CI job, as opposed to an interactive run.
    pub is_ci: bool,
    /// `linux`, `macos` or `windows`.
    pub os: String,
    /// `x64`, `arm64`, `x86`, `arm`.
    pub arch: String,
    /// The directory for temporary files of the job.
    pub temp: PathBuf,
    /// The user's home directory.
    pub home: Option<PathBuf>,
    /// The directory of the checkout, if the platform provides it.
    pub workspace: Option<PathBuf>,
    /// Default location of a directory store.
    pub store_dir: PathBuf,
    /// Where receipts of restores lie, which later steps of the job read.
    pub state_dir: PathBuf,
    /// Candidate directories for records of publications, in order of preference. They should outlive the job: first the
    /// user's state directory, then `state_dir` and the system's temporary directory.
    pub record_dirs: Vec<PathBuf>,
    /// The repository of the job; for a pull request from a fork, the one that it is opened against.
    pub repository: Option<RepositoryId>,
    /// The git ref of the job.
    pub git_ref: Option<String>,
    /// The base branch of a pull request.
    pub base_ref: Option<String>,
    /// The repository's default branch.
    pub default_ref: Option<String>,
    /// The commit hash.
    pub sha: Option<String>,
    /// The platform's identifier of this run.
    pub run_id: Option<String>,
    /// The number of the attempt at that run, from 1.
    pub run_attempt: Option<String>,
    /// Whether the configuration may be a stranger's, by the event of this job.
    pub trust: Trust,
    /// How the job went so far.
    pub job_status: Option<JobStatus>,
    /// Where trees lie for a task of the platform that moves archives, beside the checkout.
    pub carried_dir: Option<PathBuf>,
}

/// How a job went so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobStatus {
    /// Every step succeeded.
    Succeeded,
    /// Some step has issues, and none failed.
    SucceededWithIssues,
    /// A step failed.
    Failed,
    /// It was stopped.
    Canceled,
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JobStatus::Succeeded => "succeeded",
            JobStatus::SucceededWithIssues => "has issues",
            JobStatus::Failed => "failed",
            JobStatus::Canceled => "was canceled",
        })
    }
}

/// What to do where neither the platform nor git tells the branch.
pub(crate) const UNKNOWN_REF_CURE: &str = "name the branch with `--ref` or CACHEKEEP_REF";

/// The scope of a workspace without a git ref and a commit.
const NO_REF: &str = "refs/local/workspace";

impl JobFacts {
    /// The scopes that the job reads and writes, derived from its refs. A job that knows its commit and not its branch
    /// writes into a scope of that commit: builds of all branches would otherwise share one.
    pub(crate) fn access(&self) -> Access {
        let scope = |name: &Option<String>| name.as_deref().and_then(Scope::new);
        let of_commit = || Scope::new(&format!("refs/commits/{}", self.sha.as_deref()?));
        let own = scope(&self.git_ref)
            .or_else(of_commit)
            .unwrap_or_else(|| Scope::new(NO_REF).expect("it is not empty"));
        Access::new(own, scope(&self.base_ref), scope(&self.default_ref))
    }
}

/// The target operating system: `linux`, `macos` or `windows`.
pub(crate) fn os() -> String {
    std::env::consts::OS.to_owned()
}

/// The target architecture, in lower case, as GitHub's runners name it.
pub(crate) fn arch() -> String {
    match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    }
    .to_owned()
}
