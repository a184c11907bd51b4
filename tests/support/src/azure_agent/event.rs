//! What started a run, and the variables that every job has (documentation of predefined variables).

use std::path::Path;

use super::variables::Variables;

/// What started the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A push to a branch, by its full name.
    Branch(String),
    /// A tag, by its full name.
    Tag(String),
    /// A pull request of a branch, or of a fork.
    PullRequest { number: u64, source: String, target: String, is_fork: bool },
    /// A schedule, on a branch.
    Schedule(String),
}

impl Event {
    /// A push: `refs/heads/main`.
    pub fn branch(name: &str) -> Self {
        if name.starts_with("refs/tags/") {
            Event::Tag(name.to_owned())
        } else {
            Event::Branch(name.to_owned())
        }
    }

    /// A pull request from a branch of the repository to `refs/heads/main`.
    pub fn pull_request(number: u64) -> Self {
        Event::PullRequest {
            number,
            source: "refs/heads/topic".to_owned(),
            target: "refs/heads/main".to_owned(),
            is_fork: false,
        }
    }

    /// A pull request from a fork to `refs/heads/main`.
    pub fn fork(number: u64) -> Self {
        Event::PullRequest {
            number,
            source: "refs/heads/topic".to_owned(),
            target: "refs/heads/main".to_owned(),
            is_fork: true,
        }
    }

    pub(super) fn is_fork(&self) -> bool {
        matches!(self, Event::PullRequest { is_fork: true, .. })
    }

    /// `Build.SourceBranch`.
    pub(super) fn source_branch(&self) -> String {
        match self {
            Event::Branch(name) | Event::Tag(name) | Event::Schedule(name) => name.clone(),
            Event::PullRequest { number, .. } => format!("refs/pull/{number}/merge"),
        }
    }

    /// The scopes of caches that a job reads, its own first; it writes to its own alone (azure.md, section 3.5, from the
    /// documentation).
    pub(super) fn scopes(&self, default_branch: &str) -> Vec<String> {
        let mut scopes = vec![self.source_branch()];
        if let Event::PullRequest { source, target, is_fork, .. } = self {
            scopes.extend((!is_fork).then(|| source.clone()));
            scopes.push(target.clone());
        }
        scopes.push(default_branch.to_owned());
        let mut seen = Vec::new();
        scopes.retain(|scope| {
            !seen.contains(scope) && {
                seen.push(scope.clone());
                true
            }
        });
        scopes
    }

    fn reason(&self) -> &'static str {
        match self {
            Event::Branch(_) | Event::Tag(_) => "IndividualCI",
            Event::PullRequest { .. } => "PullRequest",
            Event::Schedule(_) => "Schedule",
        }
    }

    /// Sets the variables that tell the event.
    pub(super) fn predefine(&self, variables: &mut Variables) {
        let branch = self.source_branch();
        variables.predefine("Build.Reason", self.reason());
        variables.predefine("Build.SourceBranch", &branch);
        let name = match self {
            Event::PullRequest { .. } => "merge",
            _ => branch.rsplit('/').next().unwrap_or_default(),
        };
        variables.predefine("Build.SourceBranchName", name);
        let Event::PullRequest { number, source, target, is_fork } = self else {
            variables.predefine("System.PullRequest.IsFork", "False");
            return;
        };
        variables.predefine("System.PullRequest.PullRequestId", (1000 + number).to_string());
        variables.predefine("System.PullRequest.PullRequestNumber", number.to_string());
        variables.predefine("System.PullRequest.SourceBranch", source);
        variables.predefine("System.PullRequest.TargetBranch", target);
        let target_name = target.strip_prefix("refs/heads/").unwrap_or(target);
        variables.predefine("System.PullRequest.TargetBranchName", target_name);
        variables.predefine("System.PullRequest.IsFork", if *is_fork { "True" } else { "False" });
    }
}

/// The directories of a job below the agent's work directory.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub workspace: std::path::PathBuf,
    pub sources: std::path::PathBuf,
    pub temp: std::path::PathBuf,
    pub tools: std::path::PathBuf,
}

impl Places {
    /// Makes them. The directory for temporary files is emptied before each job (documentation of `Agent.TempDirectory`).
    pub(super) fn make(work: &Path) -> std::io::Result<Self> {
        let places = Places {
            workspace: work.join("1"),
            sources: work.join("1/s"),
            temp: work.join("_temp"),
            tools: work.join("_tool"),
        };
        if places.temp.exists() {
            std::fs::remove_dir_all(&places.temp)?;
        }
        for directory in [&places.sources, &places.temp, &places.tools] {
            std::fs::create_dir_all(directory)?;
        }
        Ok(places)
    }

    /// Sets the variables of a job that do not depend on its event.
    pub(super) fn predefine(&self, variables: &mut Variables, work: &Path) {
        let path = |path: &Path| path.display().to_string();
        let all = [
            ("Agent.BuildDirectory", path(&self.workspace)),
            ("Agent.HomeDirectory", path(work)),
            ("Agent.Id", "1".to_owned()),
            ("Agent.JobName", "Job".to_owned()),
            ("Agent.JobStatus", "Succeeded".to_owned()),
            ("Agent.MachineName", "machine".to_owned()),
            ("Agent.Name", "agent".to_owned()),
            ("Agent.OS", if cfg!(target_os = "macos") { "Darwin" } else { "Linux" }.to_owned()),
            ("Agent.OSArchitecture", if cfg!(target_arch = "aarch64") { "ARM64" } else { "X64" }.to_owned()),
            ("Agent.TempDirectory", path(&self.temp)),
            ("Agent.ToolsDirectory", path(&self.tools)),
            ("Agent.Version", "4.248.0".to_owned()),
            ("Agent.WorkFolder", path(work)),
            ("Build.BuildId", "42".to_owned()),
            ("Build.BuildNumber", "20260102.1".to_owned()),
            ("Build.Repository.Name", "owner/project".to_owned()),
            ("Build.Repository.Provider", "GitHub".to_owned()),
            ("Build.Repository.Uri", "https://github.com/owner/project".to_owned()),
            ("Build.SourceVersion", "0123456789abcdef0123456789abcdef01234567".to_owned()),
            ("Build.SourcesDirectory", path(&self.sources)),
            ("Pipeline.Workspace", path(&self.workspace)),
            ("System", "build".to_owned()),
            ("System.CollectionUri", "https://dev.azure.com/organization/".to_owned()),
            ("System.DefaultWorkingDirectory", path(&self.sources)),
            ("System.DefinitionId", "1".to_owned()),
            ("System.HostType", "build".to_owned()),
            ("System.JobAttempt", "1".to_owned()),
            ("System.JobDisplayName", "Job".to_owned()),
            ("System.JobId", "12f1170f-54f2-53f3-20dd-22fc7dff55f9".to_owned()),
            ("System.TeamProject", "project".to_owned()),
            ("TF_BUILD", "True".to_owned()),
        ];
        for (name, value) in all {
            variables.predefine(name, value);
        }
    }
}
