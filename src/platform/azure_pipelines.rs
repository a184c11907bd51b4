//! Azure Pipelines: logging commands and predefined variables (learn.microsoft.com, "Logging commands").

#![expect(clippy::disallowed_methods, reason = "the agent reads the summary of a step from a file")]

use std::io;

use rand::RngExt as _;

use super::facts::{arch, os};
use super::user::record_dirs;
use super::{Env, JobFacts, JobStatus, Platform};
use crate::domain::event::Level;
use crate::domain::repository::RepositoryId;
use crate::domain::secret::Secret;
use crate::domain::shown::Shown;
use crate::domain::trust::{AZURE_REASONS, Trust};
use crate::domain::version::LAYOUT_ROOT;

/// A job of Azure Pipelines.
pub(crate) struct AzurePipelines {
    facts: JobFacts,
}

impl AzurePipelines {
    /// Reads the variables that the agent sets.
    pub(crate) fn new(env: &Env) -> Self {
        let owned = |name| env.var(name).map(str::to_owned);
        let temp = env.path("AGENT_TEMPDIRECTORY").unwrap_or_else(|| env.temp_dir.clone());
        AzurePipelines {
            facts: JobFacts {
                platform: "Azure Pipelines",
                is_ci: true,
                os: match env.var("AGENT_OS") {
                    Some("Darwin") => "macos".to_owned(),
                    Some("Windows_NT") => "windows".to_owned(),
                    Some("Linux") => "linux".to_owned(),
                    _ => os(),
                },
                arch: env.var("AGENT_OSARCHITECTURE").map_or_else(arch, str::to_lowercase),
                store_dir: temp.join("cachekeep-store"),
                record_dirs: record_dirs(env, &temp.join("cachekeep-state")),
                state_dir: temp.join("cachekeep-state"),
                temp,
                home: env.path("HOME").or_else(|| env.path("USERPROFILE")),
                workspace: env.path("BUILD_SOURCESDIRECTORY"),
                repository: env.var("BUILD_REPOSITORY_URI").and_then(RepositoryId::from_url),
                git_ref: owned("BUILD_SOURCEBRANCH"),
                base_ref: owned("SYSTEM_PULLREQUEST_TARGETBRANCH"),
                default_ref: None,
                sha: owned("BUILD_SOURCEVERSION"),
                run_id: owned("BUILD_BUILDID"),
                run_attempt: owned("SYSTEM_JOBATTEMPT"),
                trust: Trust::of_event(AZURE_REASONS, env.var("BUILD_REASON")),
                job_status: env.var("AGENT_JOBSTATUS").and_then(job_status),
                carried_dir: env.path("PIPELINE_WORKSPACE").map(|directory| directory.join(LAYOUT_ROOT)),
            },
        }
    }
}

/// The status of a job, as the variable `Agent.JobStatus` spells it.
fn job_status(name: &str) -> Option<JobStatus> {
    match name {
        "Succeeded" => Some(JobStatus::Succeeded),
        "SucceededWithIssues" => Some(JobStatus::SucceededWithIssues),
        "Failed" => Some(JobStatus::Failed),
        "Canceled" => Some(JobStatus::Canceled),
        _ => None,
    }
}

/// JSON without macros: the agent expands those in values of variables, too, whenever they have come to mean something.
pub(crate) fn json_without_macros(json: &str) -> String {
    json.replace('$', "\\u0024")
}

/// Escapes the message of a logging command.
fn escape_data(text: &str) -> String {
    text.replace('%', "%AZP25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a logging command.
fn escape_property(text: &str) -> String {
    escape_data(text).replace(';', "%3B").replace(']', "%5D")
}

fn set_variable(name: &str, value: &str, properties: &str) -> String {
    format!("##vso[task.setvariable variable={}{properties}]{}", escape_property(name), escape_data(value))
}

/// The line that keeps a value for the later stages of the task that prints it.
pub(crate) fn task_variable(name: &str, value: &str) -> String {
    format!("##vso[task.settaskvariable variable={}]{}", escape_property(name), escape_data(value))
}

impl Platform for AzurePipelines {
    fn facts(&self) -> &JobFacts {
        &self.facts
    }

    fn group_start(&self, title: &Shown) -> Option<String> {
        Some(format!("##[group]{}", escape_data(title)))
    }

    fn group_end(&self) -> Option<String> {
        Some("##[endgroup]".to_owned())
    }

    fn message(&self, level: Level, text: &Shown) -> String {
        match level {
            Level::Debug => format!("##[debug]{}", escape_data(text)),
            Level::Info => text.to_string(),
            Level::Warning => format!("##vso[task.logissue type=warning;]{}", escape_data(text)),
            Level::Error => format!("##vso[task.logissue type=error;]{}", escape_data(text)),
        }
    }

    fn progress(&self, percent: u64, text: &Shown) -> Option<String> {
        Some(format!("##vso[task.setprogress value={percent};]{}", escape_data(text)))
    }

    fn export(&self, name: &str, value: &str) -> io::Result<Option<String>> {
        Ok(Some(set_variable(name, value, "")))
    }

    // `VarUtil.ConvertToEnvVariableFormat` of the agent.
    fn exported_name(&self, name: &str) -> String {
        name.replace(['.', ' '], "_").to_uppercase()
    }

    fn mask(&self, secret: &Secret) -> Option<String> {
        Some(format!("##vso[task.setsecret]{}", escape_data(secret.expose())))
    }

    fn output(&self, name: &str, value: &str) -> io::Result<Option<String>> {
        Ok(Some(set_variable(name, value, ";isOutput=true")))
    }

    fn summary(&self, markdown: &str) -> io::Result<Option<String>> {
        let name = format!("cachekeep-summary-{:016x}.md", rand::rng().random::<u64>());
        let file = self.facts.temp.join(name);
        std::fs::write(&file, markdown)?;
        Ok(Some(format!("##vso[task.uploadsummary]{}", escape_data(&file.display().to_string()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_build_decides_whether_it_is_privileged() {
        let is_privileged = |reason: &str| {
            AzurePipelines::new(&Env::of([("BUILD_REASON", reason)])).facts.trust.is_privileged
        };
        for reason in ["Manual", "IndividualCI", "BatchedCI", "Schedule", "PullRequest"] {
            assert!(!is_privileged(reason), "{reason}");
        }
        for reason in ["ResourceTrigger", "BuildCompletion", "UserCreated", ""] {
            assert!(is_privileged(reason), "{reason}");
        }
    }

    #[test]
    fn the_repository_is_that_of_the_address_without_its_user() {
        let named = |url| AzurePipelines::new(&Env::of([("BUILD_REPOSITORY_URI", url)])).facts.repository;
        let name = |url| named(url).map(|id| id.to_string());
        assert_eq!(name("https://github.com/Owner/Name").as_deref(), Some("github.com/owner/name"));
        assert_eq!(
            name("https://org@dev.azure.com/org/project/_git/name").as_deref(),
            Some("dev.azure.com/org/project/_git/name")
        );
        assert_eq!(name(""), None);
    }

    #[test]
    fn untrusted_text_cannot_inject_commands() {
        let job = AzurePipelines::new(&Env::of([]));
        assert_eq!(job.mask(&Secret::new("hush")).as_deref(), Some("##vso[task.setsecret]hush"));
        let message = |level, text| job.message(level, &Shown::message(text));
        assert_eq!(message(Level::Info, "x ##vso[task.complete]"), r"x \u{23}#vso[task.complete]");
        assert_eq!(
            message(Level::Warning, "a\n  ##vso[x]"),
            r"##vso[task.logissue type=warning;]a%0A  \u{23}#vso[x]"
        );
        assert_eq!(
            job.progress(7, &Shown::value("c: ##vso[x]\n")).as_deref(),
            Some(r"##vso[task.setprogress value=7;]c: \u{23}#vso[x]\u{a}")
        );
        assert_eq!(
            job.export("A;isSecret=false]", "v\n%").expect("a line").as_deref(),
            Some("##vso[task.setvariable variable=A%3BisSecret=false%5D]v%0A%AZP25")
        );
    }
}
