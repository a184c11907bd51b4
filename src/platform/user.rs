//! Directories of the user, for platforms that have none for us.

use std::path::{Path, PathBuf};

use super::Env;
use super::facts::{JobFacts, arch, os};
use crate::domain::trust::Trust;

/// Facts from the user's environment, for platforms without directories of their own. Nothing about the job.
pub(super) fn facts_of_user(env: &Env) -> JobFacts {
    let cache_home = cache_home(env);
    JobFacts {
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
        repository: None,
        git_ref: None,
        base_ref: None,
        default_ref: None,
        sha: None,
        run_id: None,
        run_attempt: None,
        trust: Trust::without_events(),
        job_status: None,
        carried_dir: None,
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
    native.map_or_else(|| private_temp(env), |cache| cache.join("cachekeep"))
}

/// A directory of this user where all users have one for temporary files, for an environment without a home.
#[cfg(unix)]
#[expect(clippy::disallowed_methods, reason = "looks whose the directory is")]
fn private_temp(env: &Env) -> PathBuf {
    use std::os::unix::fs::MetadataExt as _;
    let user = rustix::process::geteuid().as_raw();
    let own = env.temp_dir.join(format!("cachekeep-{user}"));
    let is_own =
        |found: &std::fs::Metadata| found.is_dir() && found.uid() == user && found.mode() & 0o022 == 0;
    match std::fs::symlink_metadata(&own) {
        // Another user has made it, perhaps with entries in it that no job of this user saved.
        Ok(found) if !is_own(&found) => env.temp_dir.join(format!("cachekeep-{user}-{}", std::process::id())),
        _ => own,
    }
}

#[cfg(not(unix))]
fn private_temp(env: &Env) -> PathBuf {
    env.temp_dir.join("cachekeep")
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
