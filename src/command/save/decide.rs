//! Whether a cache is worth saving and may be saved: decisions from what is known, without looking at anything.

use crate::domain::entry::Entry;
use crate::domain::event::Level;
use crate::domain::outcome::SaveResult;
use crate::domain::scope::Scope;
use crate::domain::spec::{CacheSpec, Role, SavePolicy};
use crate::domain::trust::Grants;
use crate::domain::written_paths::{CURE, OtherPaths};
use crate::github::credentials::NoCredentials;
use crate::platform::JobStatus;

/// Why a cache is not saved, though nothing failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SaveRefusal {
    /// The documented result.
    pub(crate) result: SaveResult,
    /// The reason.
    pub(crate) reason: String,
    /// What the user can do about it.
    pub(crate) hint: Option<String>,
    /// How it is reported.
    pub(crate) level: Level,
}

impl SaveRefusal {
    /// A refusal without a hint; a warning where the cache is not what it was meant to be.
    pub(crate) fn new(result: SaveResult, reason: impl Into<String>) -> Self {
        let is_warning = matches!(result, SaveResult::Incomplete | SaveResult::Skipped);
        let level = if is_warning { Level::Warning } else { Level::Info };
        SaveRefusal { result, reason: reason.into(), hint: None, level }
    }

    /// The same with a hint.
    pub(super) fn with_hint(self, hint: impl Into<String>) -> Self {
        SaveRefusal { hint: Some(hint.into()), ..self }
    }

    /// The same, reported at another level.
    pub(crate) fn at(self, level: Level) -> Self {
        SaveRefusal { level, ..self }
    }
}

/// Refuses a job that must not save this cache into this scope.
pub(super) fn by_role(spec: &CacheSpec, own: &Scope) -> Option<SaveRefusal> {
    let refused = |reason: &str| SaveRefusal::new(SaveResult::DeniedMode, reason);
    match (spec.role, spec.save) {
        (Role::Consumer, _) => Some(refused("this job is a consumer of the cache")),
        (Role::Writer, SavePolicy::Never) => Some(refused("the configuration says `save = \"never\"`")),
        (Role::Writer, _) if spec.links.is_some() && own.is_pull_request() => Some(
            refused("what a pull request saves, no job outside of it can restore")
                .with_hint("the job that fills the cache runs on a branch"),
        ),
        (Role::Writer, SavePolicy::Success | SavePolicy::Always) => None,
    }
}

/// Refuses a job whose configuration may be a stranger's, unless the workflow itself makes it a writer.
pub(super) fn by_event(grants: &Grants) -> Option<SaveRefusal> {
    if grants.may_save() {
        return None;
    }
    let trust = &grants.trust;
    let reason = format!("{} is privileged: {}", trust.name(), trust.reason);
    Some(SaveRefusal::new(SaveResult::DeniedMode, reason).at(Level::Warning).with_hint(
        "give the step `role: writer` (elsewhere `--role writer`) if it saves nothing that a stranger's code made; `role` in \
         `cachekeep.toml` does not count in such an event",
    ))
}

/// Refuses where the job has no store but a directory that ends with it: the entry would be packed for no one.
pub(super) fn by_store(keeps_nothing: Option<&NoCredentials>) -> Option<SaveRefusal> {
    let why = keeps_nothing?;
    Some(SaveRefusal::new(SaveResult::DeniedMode, why.to_string()))
}

/// Refuses to save under the key of an entry that was saved from other paths, which this cache is never restored from.
pub(super) fn by_other_paths(entry: &Entry, other: &OtherPaths) -> SaveRefusal {
    let reason = format!("`{}` is there already, in {}, but {}", entry.key, entry.scope, other.describe());
    // Unlike another entry with the key, this one is of no use to the cache.
    SaveRefusal::new(SaveResult::Exists, reason).at(Level::Warning).with_hint(CURE)
}

/// Refuses where the job did not go as the policy wants it, as far as the platform says how it went.
pub(super) fn by_job_status(spec: &CacheSpec, status: Option<JobStatus>) -> Option<SaveRefusal> {
    // The policy asked for it.
    let refused = |reason: String| SaveRefusal::new(SaveResult::Skipped, reason).at(Level::Info);
    match (status?, spec.save) {
        (status @ JobStatus::Canceled, _) => Some(refused(format!("the job {status}"))),
        (status @ JobStatus::Failed, SavePolicy::Success) => {
            // Under a key that stays, what a failed job left would stay as well.
            let hint = spec.has_key_of_each_run().then(|| "`save = \"always\"` saves even so".to_owned());
            Some(SaveRefusal { hint, ..refused(format!("the job {status}")) })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::trust::{GITHUB_EVENTS, Trust};

    #[test]
    fn roles_and_policies_decide_before_anything_is_read() {
        let loaded = crate::config::parse(
            "[cache.a]\npath = \"a\"\nkey = \"k\"\n[cache.b]\npath = \"b\"\nkey = \"k\"\nsave = \"never\"\n\
             [cache.c]\npath = \"c\"\nkey = \"k\"\nrole = \"consumer\"\n",
            std::path::Path::new("cachekeep.toml"),
        );
        let spec = loaded.expect("a valid configuration").spec;
        let main = Scope::new("refs/heads/main").expect("a scope");
        let result = |name: &str| {
            by_role(spec.cache(name).expect("declared"), &main)
                .map(|refusal| (refusal.result, refusal.hint.is_some()))
        };
        assert_eq!(result("a"), None);
        assert_eq!(result("b"), Some((SaveResult::DeniedMode, false)));
        // The configuration asked for it: no hint is due.
        assert_eq!(result("c"), Some((SaveResult::DeniedMode, false)));
    }

    #[test]
    fn nothing_is_saved_after_a_cancel_and_after_a_failure_what_the_policy_says() {
        use JobStatus::{Canceled, Failed, Succeeded, SucceededWithIssues};
        let spec = |key: &str| {
            let text = format!("[cache.a]\npath = \"a\"\nkey = \"{key}\"\n");
            crate::config::parse(&text, std::path::Path::new("cachekeep.toml"))
                .expect("valid")
                .spec
                .caches
                .remove(0)
        };
        let refused = |policy, status| by_job_status(&CacheSpec { save: policy, ..spec("k") }, status);
        let result = |policy, status| refused(policy, status).map(|refusal| refusal.reason);
        for status in [None, Some(Succeeded), Some(SucceededWithIssues)] {
            assert_eq!(result(SavePolicy::Success, status), None);
        }
        assert_eq!(result(SavePolicy::Success, Some(Failed)).as_deref(), Some("the job failed"));
        assert_eq!(result(SavePolicy::Always, Some(Failed)), None);
        assert_eq!(result(SavePolicy::Always, Some(Canceled)).as_deref(), Some("the job was canceled"));
        // Under a key that stays the other policy would keep what the failed job left.
        let hint = |key| by_job_status(&spec(key), Some(Failed)).expect("refused").hint;
        assert_eq!((hint("k-{os}"), hint("k-{sha}").is_some()), (None, true));
    }

    #[test]
    fn only_the_workflow_makes_a_writer_in_a_privileged_event() {
        let result = |event: &str, says_writer: bool| {
            let trust = Trust::of_event(GITHUB_EVENTS, Some(event));
            let refusal = by_event(&Grants { trust, says_writer, allow_export: BTreeSet::new() })?;
            assert!(refusal.reason.contains(event) && refusal.hint?.contains("role: writer"));
            Some(refusal.result)
        };
        assert_eq!(result("push", false), None);
        assert_eq!(result("workflow_run", false), Some(SaveResult::DeniedMode));
        assert_eq!(result("workflow_run", true), None);
    }
}
