//! What is known of the job that runs.

use std::path::PathBuf;

use crate::domain::scope::{Access, Scope};

/// Facts of the job; what the platform does not tell is absent, never made up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The platform's name, for people.
    pub platform: &'static str,
    /// Whether nobody watches a terminal.
    pub is_ci: bool,
    /// `linux`, `macos` or `windows`.
    pub os: String,
    /// `x64`, `arm64`, `x86`, `arm`.
    pub arch: String,
    /// The folder for temporary files of the job.
    pub temp: PathBuf,
    /// The user's home.
    pub home: Option<PathBuf>,
    /// The checkout, where the platform names it.
    pub workspace: Option<PathBuf>,
    /// Where the embedded store lies by default.
    pub store_dir: PathBuf,
    /// Where a job's restore leaves notes for its save.
    pub state_dir: PathBuf,
    /// Where records of publications lie, which outlive jobs: in the user's folder for state, or else
    /// in `state_dir` or the system's temporary folder.
    pub record_dirs: Vec<PathBuf>,
    /// The git ref of the job.
    pub git_ref: Option<String>,
    /// The branch that a pull request is to be merged into.
    pub base_ref: Option<String>,
    /// The repository's default branch.
    pub default_ref: Option<String>,
    /// The commit.
    pub sha: Option<String>,
    /// The platform's number of this run.
    pub run_id: Option<String>,
    /// Which attempt at it this is, from 1.
    pub run_attempt: Option<String>,
    /// Whether the code that runs comes from someone who may write to the repository.
    pub is_trusted: bool,
}

/// The scope of work that belongs to no git ref.
const NO_REF: &str = "refs/local/workspace";

impl Facts {
    /// Who may read and write what, from these refs.
    pub fn access(&self) -> Access {
        let scope = |name: &Option<String>| name.as_deref().and_then(Scope::new);
        let own = scope(&self.git_ref).unwrap_or_else(|| Scope::new(NO_REF).expect("it is not empty"));
        Access::new(own, scope(&self.base_ref), scope(&self.default_ref))
    }
}

/// The operating system this was compiled for, in our words.
pub fn os() -> String {
    std::env::consts::OS.to_owned()
}

/// The processor this was compiled for, in the words of GitHub's runners, lower case.
pub fn arch() -> String {
    match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => other,
    }
    .to_owned()
}
