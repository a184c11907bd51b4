//! Whose configuration a job works with, and what it may do because of that.
//!
//! Some events run a workflow of the repository, with the repository's rights, for a person who may not write to it. A checkout
//! of a stranger's code in such a job brings a `cachekeep.toml` of a stranger. What the workflow itself says (inputs, options,
//! variables) is the maintainers' word in every event.

use std::collections::BTreeSet;

use super::export::{self, Family};
use super::spec::CacheSpec;

/// What is known of an event: its name, whether it is privileged, and the reason.
pub(crate) struct KnownEvent {
    name: &'static str,
    is_privileged: bool,
    reason: &'static str,
}

const fn trusted(name: &'static str, reason: &'static str) -> KnownEvent {
    KnownEvent { name, is_privileged: false, reason }
}

const fn privileged(name: &'static str, reason: &'static str) -> KnownEvent {
    KnownEvent { name, is_privileged: true, reason }
}

const MEMBERS: &str = "only people who may write to the repository start it";
const ACCEPTED: &str = "it runs what the repository has accepted";
const OWN_CODE: &str = "its job runs the code of the pull request anyway, with the rights of that event";
const OF_STRANGERS: &str =
    "people who may not write to the repository start it, with the repository's rights";
const AFTER_STRANGERS: &str = "it follows a run that may be a pull request's, with the repository's rights";
const BY_APPS: &str = "apps and other runs start it, also for pull requests, with the repository's rights";

/// The events of GitHub Actions (docs.github.com, "Events that trigger workflows").
pub(crate) const GITHUB_EVENTS: &[KnownEvent] = &[
    trusted("push", MEMBERS),
    trusted("schedule", ACCEPTED),
    trusted("workflow_dispatch", MEMBERS),
    trusted("repository_dispatch", MEMBERS),
    trusted("merge_group", ACCEPTED),
    trusted("release", MEMBERS),
    trusted("pull_request", OWN_CODE),
    privileged("pull_request_target", OF_STRANGERS),
    privileged("workflow_run", AFTER_STRANGERS),
    privileged("issue_comment", OF_STRANGERS),
    privileged("pull_request_review", OF_STRANGERS),
    privileged("pull_request_review_comment", OF_STRANGERS),
    privileged("issues", OF_STRANGERS),
    privileged("discussion", OF_STRANGERS),
    privileged("discussion_comment", OF_STRANGERS),
    privileged("fork", OF_STRANGERS),
    privileged("watch", OF_STRANGERS),
    privileged("check_run", BY_APPS),
    privileged("check_suite", BY_APPS),
    privileged("status", BY_APPS),
    privileged("deployment", BY_APPS),
    privileged("deployment_status", BY_APPS),
];

/// The sources of GitLab's pipelines (docs.gitlab.com, `CI_PIPELINE_SOURCE`).
pub(crate) const GITLAB_SOURCES: &[KnownEvent] = &[
    trusted("push", MEMBERS),
    trusted("schedule", ACCEPTED),
    trusted("web", MEMBERS),
    trusted("webide", MEMBERS),
    trusted("api", MEMBERS),
    trusted("chat", MEMBERS),
    trusted("trigger", MEMBERS),
    trusted("pipeline", MEMBERS),
    trusted("parent_pipeline", "it is a part of a pipeline of this project"),
    trusted("merge_request_event", OWN_CODE),
    privileged("external", "another service starts it, and does not say for which person"),
    privileged("external_pull_request_event", "it runs for a pull request on another forge"),
];

/// The reasons of builds on Azure Pipelines (learn.microsoft.com, `Build.Reason`).
pub(crate) const AZURE_REASONS: &[KnownEvent] = &[
    trusted("Manual", MEMBERS),
    trusted("IndividualCI", MEMBERS),
    trusted("BatchedCI", MEMBERS),
    trusted("Schedule", ACCEPTED),
    trusted("PullRequest", OWN_CODE),
    trusted("ValidateShelveset", MEMBERS),
    trusted("CheckInShelveset", MEMBERS),
    privileged("BuildCompletion", AFTER_STRANGERS),
    privileged("ResourceTrigger", AFTER_STRANGERS),
];

/// Whether the checkout, its configuration included, may be a stranger's in a job that has the repository's rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    /// The event as the platform names it; `None` if it names none.
    pub event: Option<String>,
    /// Whether the configuration may be a stranger's.
    pub is_privileged: bool,
    /// One sentence without a subject but "it", for messages.
    pub reason: &'static str,
}

impl Trust {
    /// The trust on a platform that does not name events: the person who starts the job chose its checkout.
    pub(crate) fn without_events() -> Self {
        let reason = "this platform does not name events: who starts a job chooses its checkout";
        Trust { event: None, is_privileged: false, reason }
    }

    /// The trust in an event of a platform that names them. An event that is not in the table, or none, is privileged.
    pub(crate) fn of_event(table: &[KnownEvent], name: Option<&str>) -> Self {
        let (is_privileged, reason) = match name.map(|name| table.iter().find(|known| known.name == name)) {
            Some(Some(known)) => (known.is_privileged, known.reason),
            Some(None) => (true, "cachekeep does not know who can start it"),
            None => (true, "the platform did not name the event of this job"),
        };
        Trust { event: name.map(str::to_owned), is_privileged, reason }
    }

    /// The trust in the same event where its payload is missing or cannot be read: then it may be any event.
    pub(crate) fn without_payload(self) -> Self {
        let reason = "the payload of the event is missing or cannot be read";
        if self.is_privileged { self } else { Trust { is_privileged: true, reason, ..self } }
    }

    /// The event in a sentence.
    pub(crate) fn name(&self) -> String {
        self.event.as_ref().map_or_else(|| "an unnamed event".to_owned(), |name| format!("`{name}`"))
    }
}

/// What a job may do: its event, and what its workflow itself says.
#[derive(Debug, Clone)]
pub(crate) struct Grants {
    /// Whose configuration it is.
    pub trust: Trust,
    /// Whether the workflow itself gives the job the role of a writer.
    pub says_writer: bool,
    /// The variables that the workflow lets caches export, in upper case.
    pub allow_export: BTreeSet<String>,
}

/// What happens to a variable that a cache's configuration exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExportVerdict {
    /// It is exported.
    Exported,
    /// It is not exported: in a privileged event only the workflow names variables.
    Withheld,
    /// The configuration is wrong: programs of this family run code by the variable, and the workflow does not list it.
    Refused(&'static Family),
}

impl Grants {
    /// Whether entries may be saved, whatever the role in the configuration is.
    pub(crate) fn may_save(&self) -> bool {
        !self.trust.is_privileged || self.says_writer
    }

    /// Whether mirrors may have credentials from the environment: their hosts are the configuration's choice.
    pub(crate) fn may_send_credentials(&self) -> bool {
        !self.trust.is_privileged
    }

    /// What happens to a variable of a cache. What a kind exports is not the configuration's choice, and in a privileged event
    /// that holds only where its directory is not either.
    pub(crate) fn export_of(&self, cache: &CacheSpec, name: &str) -> ExportVerdict {
        let is_ours = cache.kind_exports.contains(name);
        if is_ours && (!self.trust.is_privileged || cache.is_in_usual_place()) {
            return ExportVerdict::Exported;
        }
        self.export(name)
    }

    /// What happens to a variable that the configuration exports.
    pub(crate) fn export(&self, name: &str) -> ExportVerdict {
        match export::family_of(name) {
            _ if self.allow_export.contains(&name.to_ascii_uppercase()) => ExportVerdict::Exported,
            _ if self.trust.is_privileged => ExportVerdict::Withheld,
            Some(family) => ExportVerdict::Refused(family),
            None => ExportVerdict::Exported,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(trust: Trust, says_writer: bool, listed: &[&str]) -> Grants {
        Grants { trust, says_writer, allow_export: listed.iter().map(|name| (*name).to_owned()).collect() }
    }

    fn github(name: &str) -> Trust {
        Trust::of_event(GITHUB_EVENTS, Some(name))
    }

    #[test]
    fn only_events_that_are_known_to_be_trusted_are() {
        let trusted: Vec<&str> =
            "push schedule workflow_dispatch repository_dispatch merge_group release pull_request"
                .split(' ')
                .collect();
        for known in GITHUB_EVENTS {
            assert_eq!(!github(known.name).is_privileged, trusted.contains(&known.name), "{}", known.name);
        }
        for unknown in ["create", "delete", "dynamic", "Push", "push ", "pull-request", "public"] {
            assert!(github(unknown).is_privileged, "{unknown}");
        }
        assert!(Trust::of_event(GITHUB_EVENTS, None).is_privileged);
        assert!(!Trust::without_events().is_privileged);
    }

    #[test]
    fn the_names_of_one_platform_mean_nothing_on_another() {
        assert!(Trust::of_event(AZURE_REASONS, Some("push")).is_privileged);
        assert!(Trust::of_event(GITLAB_SOURCES, Some("Manual")).is_privileged);
        assert!(!Trust::of_event(GITLAB_SOURCES, Some("merge_request_event")).is_privileged);
        assert!(!Trust::of_event(AZURE_REASONS, Some("PullRequest")).is_privileged);
    }

    #[test]
    fn an_event_without_its_payload_is_privileged_and_keeps_its_own_reason() {
        assert!(github("push").without_payload().is_privileged);
        assert_eq!(github("workflow_run").without_payload(), github("workflow_run"));
    }

    #[test]
    fn no_event_is_listed_twice() {
        for table in [GITHUB_EVENTS, GITLAB_SOURCES, AZURE_REASONS] {
            let names: BTreeSet<&str> = table.iter().map(|known| known.name).collect();
            assert_eq!(names.len(), table.len());
        }
    }

    #[test]
    fn the_workflow_decides_in_a_privileged_event() {
        let quiet = grants(github("issue_comment"), false, &[]);
        assert!(!quiet.may_save() && !quiet.may_send_credentials());
        assert_eq!(quiet.export("CCACHE_DIR"), ExportVerdict::Withheld);
        assert_eq!(quiet.export("GIT_SSH"), ExportVerdict::Withheld);
        let told = grants(github("issue_comment"), true, &["CCACHE_DIR", "CARGO_HOME"]);
        assert!(told.may_save() && !told.may_send_credentials());
        assert_eq!(told.export("ccache_dir"), ExportVerdict::Exported);
        assert_eq!(told.export("CARGO_HOME"), ExportVerdict::Exported);
        assert_eq!(told.export("SCCACHE_DIR"), ExportVerdict::Withheld);
    }

    #[test]
    fn what_a_kind_exports_needs_no_list_unless_a_stranger_chose_its_directory() {
        let spec = |path: &str| {
            let text = format!(
                "[cache.c]\nkind = \"ccache\"\nkey = \"k\"\n{path}\nexport = {{ GIT_DIR = \"x\" }}\n"
            );
            let loaded = crate::config::parse(&text, std::path::Path::new("cachekeep.toml"));
            loaded.expect("a valid configuration").spec.caches.remove(0)
        };
        let (usual, chosen) = (spec(""), spec("path = \"tools/ccache\""));
        let (push, comment) =
            (grants(github("push"), false, &[]), grants(github("issue_comment"), false, &[]));
        for name in ["CCACHE_DIR", "CCACHE_COMPILERCHECK"] {
            assert_eq!(push.export_of(&usual, name), ExportVerdict::Exported);
            assert_eq!(push.export_of(&chosen, name), ExportVerdict::Exported);
            assert_eq!(comment.export_of(&usual, name), ExportVerdict::Exported);
            assert_eq!(comment.export_of(&chosen, name), ExportVerdict::Withheld);
        }
        assert!(matches!(push.export_of(&usual, "GIT_DIR"), ExportVerdict::Refused(_)));
    }

    #[test]
    fn elsewhere_only_dangerous_names_must_be_listed() {
        let job = grants(Trust::without_events(), false, &["CARGO_HOME"]);
        assert!(job.may_save() && job.may_send_credentials());
        assert_eq!(job.export("ExternalData_OBJECT_STORES"), ExportVerdict::Exported);
        assert_eq!(job.export("Cargo_Home"), ExportVerdict::Exported);
        assert!(matches!(job.export("RUSTC"), ExportVerdict::Refused(_)));
    }
}
