//! Detects the platform.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::azure_pipelines::AzurePipelines;
use super::facts::{Facts, arch, os};
use super::git::Checkout;
use super::github_actions::GitHubActions;
use super::gitlab::GitLab;
use super::plain::Plain;
use super::{Env, Platform};

/// Detects the platform. Refs are read from the git repository at `workspace` if the platform does not provide them.
pub fn detect(env: &Env, workspace: &Path) -> Arc<dyn Platform> {
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
fn local_facts(env: &Env, workspace: &Path) -> Facts {
    let checkout = Checkout::read(workspace);
    Facts {
        git_ref: checkout.branch,
        default_ref: checkout.default_branch,
        sha: checkout.sha,
        ..facts_of_user(env)
    }
}

/// What the user's environment tells, on platforms that have no folders of their own for us; nothing of the job.
pub(super) fn facts_of_user(env: &Env) -> Facts {
    let cache_home = cache_home(env);
    Facts {
        platform: "this machine",
        is_ci: env.flag("CI"),
        os: os(),
        arch: arch(),
        temp: env.temp_dir.clone(),
        workspace: None,
        store_dir: cache_home.join("store"),
        record_dirs: record_dirs(env, &cache_home.join("state")),
        state_dir: cache_home.join("state"),
        home: env.path("HOME").or_else(|| env.path("USERPROFILE")),
        git_ref: None,
        base_ref: None,
        default_ref: None,
        sha: None,
        run_id: None,
        run_attempt: None,
        is_trusted: true,
    }
}

/// The user's cache directory: XDG on Linux, the native one on macOS and Windows.
fn cache_home(env: &Env) -> PathBuf {
    let home = |below: &str| env.path("HOME").map(|home| home.join(below));
    let native = match std::env::consts::OS {
        "windows" => env.path("LOCALAPPDATA"),
        "macos" => home("Library/Caches"),
        _ => env.path("XDG_CACHE_HOME").or_else(|| home(".cache")),
    };
    native.unwrap_or_else(|| env.temp_dir.clone()).join("cachekeep")
}

/// Candidate directories for records of publications, in order of preference.
///
/// Temporary directories are emptied between jobs, so records there may not survive a killed job. They are used only if
/// the user's home is missing or not writable.
pub(super) fn record_dirs(env: &Env, state_dir: &Path) -> Vec<PathBuf> {
    let home = |below: &str| env.path("HOME").map(|home| home.join(below));
    let native = match std::env::consts::OS {
        "windows" => env.path("LOCALAPPDATA"),
        "macos" => home("Library/Application Support"),
        _ => env.path("XDG_STATE_HOME").or_else(|| home(".local/state")),
    };
    let of_user = native.map(|state| state.join("cachekeep"));
    // Unique to the user, because `/tmp` is shared.
    #[cfg(unix)]
    let name = format!("cachekeep-{}", rustix::process::geteuid().as_raw());
    #[cfg(not(unix))]
    let name = "cachekeep";
    of_user
        .into_iter()
        .chain([state_dir.to_owned(), env.temp_dir.join(name)])
        .map(|state| state.join("journals"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(variables: &[(&str, &str)]) -> Facts {
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
