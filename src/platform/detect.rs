//! Detects the platform.

use std::path::Path;
use std::sync::Arc;

use super::azure_pipelines::AzurePipelines;
use super::facts::JobFacts;
use super::git::Checkout;
use super::github_actions::GitHubActions;
use super::gitlab::GitLab;
use super::plain::Plain;
use super::user::facts_of_user;
use super::{Env, Platform};

/// Detects the platform. Refs are read from the git repository at `workspace` if the platform does not provide them.
pub(crate) fn detect(env: &Env, workspace: &Path) -> Arc<dyn Platform> {
    if env.flag("GITHUB_ACTIONS") {
        Arc::new(GitHubActions::new(env))
    } else if env.flag("TF_BUILD") {
        Arc::new(AzurePipelines::new(env))
    } else if env.flag("GITLAB_CI") {
        Arc::new(GitLab::new(env))
    } else {
        Arc::new(Plain::new(local_facts(env, workspace)))
    }
}

/// Facts of a laptop, or of a CI that we do not know: `--ref` and its kin serve the latter.
fn local_facts(env: &Env, workspace: &Path) -> JobFacts {
    let checkout = Checkout::read(workspace);
    JobFacts {
        git_ref: checkout.branch,
        default_ref: checkout.default_branch,
        sha: checkout.sha,
        repository: checkout.repository,
        ..facts_of_user(env)
    }
}

/// Whether this job runs on a machine that the platform provides, which is thrown away after it.
pub(crate) fn is_hosted(env: &Env) -> bool {
    let is_github = env.var("RUNNER_ENVIRONMENT") == Some("github-hosted");
    // Microsoft's agents are named so (learn.microsoft.com, "Predefined variables").
    let is_azure = env
        .var("AGENT_NAME")
        .is_some_and(|name| name.starts_with("Hosted Agent") || name.starts_with("Azure Pipelines "));
    is_github || is_azure
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(variables: &[(&str, &str)]) -> JobFacts {
        let dir = tempfile::tempdir().expect("a temp dir");
        detect(&Env::of(variables.iter().copied()), dir.path()).facts().clone()
    }

    #[test]
    fn each_platform_is_detected_by_its_variable() {
        assert_eq!(facts(&[("GITHUB_ACTIONS", "true")]).platform, "GitHub Actions");
        assert_eq!(facts(&[("TF_BUILD", "True")]).platform, "Azure Pipelines");
        assert_eq!(facts(&[("GITLAB_CI", "true")]).platform, "GitLab CI");
        assert_eq!(facts(&[]).platform, "this machine");
    }

    #[test]
    fn a_directory_without_git_has_its_own_scope() {
        let access = facts(&[]).access();
        assert_eq!(access.own.as_str(), "refs/local/workspace");
        assert_eq!(access.readable.len(), 1);
    }

    #[test]
    fn a_commit_without_a_branch_has_its_own_scope_and_reads_the_default_branch() {
        let commit = |sha: &str| JobFacts {
            git_ref: None,
            sha: Some(sha.to_owned()),
            default_ref: Some("refs/heads/main".to_owned()),
            ..facts(&[])
        };
        let access = commit("0123abc").access();
        let names: Vec<&str> = access.readable.iter().map(crate::domain::scope::Scope::as_str).collect();
        assert_eq!(names, ["refs/commits/0123abc", "refs/heads/main"]);
        assert_ne!(commit("4567def").access().own, access.own);
    }

    #[test]
    fn a_pull_request_reads_its_base() {
        let access = facts(&[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_REF", "refs/pull/7/merge"),
            ("GITHUB_BASE_REF", "release"),
        ])
        .access();
        let names: Vec<&str> = access.readable.iter().map(crate::domain::scope::Scope::as_str).collect();
        assert_eq!(names, ["refs/pull/7/merge", "refs/heads/release"]);
    }
}
