//! `doctor`: what is reachable from here, and what to do about what is not.
//!
//! It works without a configuration and with a wrong one, changes nothing, and asks the network only if told to.

pub(crate) mod keys;
pub(crate) mod uses;

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::domain::fault::Fault;
use crate::domain::hint::Hint;
use crate::domain::object_location::{ObjectLocation, ObjectService};
use crate::domain::repository::RepositoryId;
use crate::domain::scope::Access;
use crate::domain::spec::{Spec, StoreLocation};
use crate::domain::trust::{ExportVerdict, Grants};
use crate::fs::read;
use crate::fs::volume::volume_of;
use crate::github::credentials::NoCredentials;
use crate::github::{Credentials, Right};
use crate::platform::{Env, JobFacts, UNKNOWN_REF_CURE, programs};
use crate::report::failure;
use crate::store::remote::credentials::{FoundCredential, NoCredential};
pub(crate) use keys::KeyCheck;
pub(crate) use uses::LookupCounts;

/// No token of a job lives longer than this.
const LONGEST_TOKEN: TimeDelta = TimeDelta::days(6);

/// A job whose disk has less to give will hardly end well.
const FEW_INODES: u64 = 10_000;

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    /// It works.
    Ok,
    /// It is so, and matters to some.
    Note,
    /// It works worse than it could.
    Warning,
    /// Something that is configured cannot work.
    Problem,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Note => "note",
            Status::Warning => "warning",
            Status::Problem => "problem",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Check {
    /// What.
    pub name: &'static str,
    /// How well it is.
    pub status: Status,
    /// What was found.
    pub text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Report {
    /// Everything that was looked at.
    pub checks: Vec<Check>,
}

/// The configuration, as far as there is one.
pub(crate) enum Configuration<'a> {
    /// It cannot be used; every finding, and whether it is an error.
    Wrong(Vec<(bool, String)>),
    /// There is none, or what was typed makes none.
    Absent(String, Option<String>),
    /// It can be used.
    Usable {
        /// What it declares.
        spec: &'a Spec,
        /// What in it is hardly meant.
        warnings: Vec<String>,
        /// Who may read and write what.
        access: &'a Access,
        /// What the event and the workflow let the job do with it.
        grants: &'a Grants,
    },
}

/// What to look at.
pub(crate) struct DoctorInput<'a> {
    /// The environment.
    pub env: &'a Env,
    /// Facts of the job.
    pub facts: &'a JobFacts,
    /// The checkout.
    pub workspace: &'a Path,
    /// The configuration.
    pub configuration: Configuration<'a>,
    /// The repository whose section of the store is used; `None` where the store is not divided by repositories, or not known.
    pub repository: Option<&'a RepositoryId>,
    /// The keys of the selected caches.
    pub keys: Vec<KeyCheck>,
    /// Whether this is a job of GitHub Actions.
    pub is_github: bool,
    /// The way to GitHub's cache service.
    pub credentials: Result<Credentials, NoCredentials>,
    /// What opens the object service that is the store; `None` where the store is another.
    pub object_service: Option<Result<FoundCredential, NoCredential>>,
    /// What the service says to a lookup; `None` without `--online`.
    pub answer: Option<Result<String, String>>,
    /// Whether a lookup counts as a use there; `None` without `--online`, or where it does not matter or cannot be seen.
    pub lookup_counts: Option<Result<LookupCounts, Fault>>,
    /// The time.
    pub now: DateTime<Utc>,
}

/// Looks at everything.
pub(crate) fn check(input: &DoctorInput<'_>) -> Report {
    let mut report = Report::default();
    platform(input, &mut report);
    event(input, &mut report);
    configuration(input, &mut report);
    keys_of_caches(input, &mut report);
    store(input, &mut report);
    if input.is_github || wants_github(input) {
        credentials(input, &mut report);
    }
    service(input, &mut report);
    uses(input, &mut report);
    disks(input, &mut report);
    programs(input, &mut report);
    report
}

impl Report {
    /// Whether something that is configured cannot work.
    pub(crate) fn has_problem(&self) -> bool {
        self.checks.iter().any(|check| check.status == Status::Problem)
    }

    /// The report for people, a line for each thing.
    pub(crate) fn render(&self) -> String {
        let lines = self.checks.iter().map(|check| {
            let hint = check.hint.as_ref().map(|hint| format!("\n         hint: {hint}")).unwrap_or_default();
            format!("{:8} {}: {}{hint}\n", check.status.word(), check.name, check.text)
        });
        lines.collect()
    }

    fn add(&mut self, name: &'static str, status: Status, text: impl Into<String>) {
        self.add_with_hint(name, status, text, None);
    }

    fn add_with_hint(
        &mut self,
        name: &'static str,
        status: Status,
        text: impl Into<String>,
        hint: Option<String>,
    ) {
        // Text of a file or a service is one line here, whatever it was.
        let text = text.into().replace(['\r', '\n'], " ");
        self.checks.push(Check { name, status, text, hint });
    }
}

fn spec<'a>(input: &'a DoctorInput<'_>) -> Option<&'a Spec> {
    match &input.configuration {
        Configuration::Usable { spec, .. } => Some(spec),
        _ => None,
    }
}

fn wants_github(input: &DoctorInput<'_>) -> bool {
    spec(input).is_some_and(|spec| spec.store == StoreLocation::GitHub)
}

fn platform(input: &DoctorInput<'_>, report: &mut Report) {
    let facts = input.facts;
    let version = env!("CARGO_PKG_VERSION");
    let text = format!("cachekeep {version} on {}, {} {}", facts.platform, facts.os, facts.arch);
    report.add("platform", Status::Ok, text);
    if let Some(repository) = input.repository {
        report.add(
            "repository",
            Status::Ok,
            format!("{repository}, whose section of the store this job uses"),
        );
    }
    if let Some(git_ref) = &facts.git_ref {
        report.add("ref", Status::Ok, git_ref);
    } else {
        let text = match &facts.sha {
            Some(_) => "git does not tell the branch: only jobs of this commit find its entries",
            None => "neither the platform nor git tells the branch: all such jobs share their entries",
        };
        report.add_with_hint("ref", Status::Warning, text, Some(UNKNOWN_REF_CURE.to_owned()));
    }
}

/// Adds the event, and where there is a configuration, what it lets the job do.
fn event(input: &DoctorInput<'_>, report: &mut Report) {
    let trust = &input.facts.trust;
    let name = trust.event.as_ref().map(|name| format!("`{name}` is ")).unwrap_or_default();
    if trust.is_privileged {
        let hint = "see docs/security.md for what such a workflow must and must not do".to_owned();
        report.add_with_hint(
            "event",
            Status::Note,
            format!("{name}privileged: {}", trust.reason),
            Some(hint),
        );
    } else {
        report.add("event", Status::Ok, format!("{name}trusted: {}", trust.reason));
    }
    if let Configuration::Usable { spec, grants, .. } = &input.configuration {
        saves(grants, report);
        exports(spec, grants, report);
    }
}

fn saves(grants: &Grants, report: &mut Report) {
    if !grants.trust.is_privileged {
        return;
    }
    if grants.may_save() {
        report.add("saves", Status::Ok, "entries are saved: the workflow gives the role `writer`");
    } else {
        let text = "every save is `denied-mode`: the workflow does not give the role `writer`";
        report.add_with_hint(
            "saves",
            Status::Note,
            text,
            Some("pass `role: writer` or `--role writer`".to_owned()),
        );
    }
}

fn exports(spec: &Spec, grants: &Grants, report: &mut Report) {
    let declared = || spec.caches.iter().flat_map(|cache| cache.export.keys().map(move |name| (cache, name)));
    let of = |wanted: fn(ExportVerdict) -> bool| -> Vec<&str> {
        let wanted = declared().filter(|(cache, name)| wanted(grants.export_of(cache, name)));
        wanted.map(|(_, name)| name.as_str()).collect()
    };
    let add = |report: &mut Report, status, names: &[&str], what: &str, hint: Option<String>| {
        if !names.is_empty() {
            report.add_with_hint("exports", status, format!("{what}: {}", names.join(", ")), hint);
        }
    };
    let listing = |names: &[&str]| {
        Some(format!("list in the workflow what the job needs: `allow-export: {}`", names.join(" ")))
    };
    let exported = of(|verdict| verdict == ExportVerdict::Exported);
    add(report, Status::Ok, &exported, "exported", None);
    let withheld = of(|verdict| verdict == ExportVerdict::Withheld);
    add(report, Status::Note, &withheld, "not exported in a privileged event", listing(&withheld));
    let refused = of(|verdict| matches!(verdict, ExportVerdict::Refused(_)));
    add(
        report,
        Status::Problem,
        &refused,
        "programs run code by these, so caches may not export them",
        listing(&refused),
    );
}

fn configuration(input: &DoctorInput<'_>, report: &mut Report) {
    match &input.configuration {
        Configuration::Wrong(findings) => {
            for (is_error, text) in findings {
                let status = if *is_error { Status::Problem } else { Status::Warning };
                report.add("configuration", status, text);
            }
        }
        Configuration::Absent(why, hint) => {
            report.add_with_hint("configuration", Status::Note, why, hint.clone());
        }
        Configuration::Usable { spec, warnings, access, .. } => {
            let names: Vec<&str> = spec.caches.iter().map(|cache| cache.name.as_str()).collect();
            report.add("configuration", Status::Ok, format!("declares {}", names.join(", ")));
            for warning in warnings {
                report.add("configuration", Status::Warning, warning);
            }
            let read: Vec<&str> = access.readable.iter().map(crate::domain::scope::Scope::as_str).collect();
            let text = format!("reads {}; writes {}", read.join(", then "), access.own);
            report.add("scope", Status::Ok, text);
        }
    }
}

/// Adds the key of each cache. One that has none here is skipped by every command.
fn keys_of_caches(input: &DoctorInput<'_>, report: &mut Report) {
    for KeyCheck { cache, key, exports } in &input.keys {
        match key {
            Ok(key) => report.add("key", Status::Ok, format!("{cache}: `{key}`")),
            Err(why) => {
                let then = if why.is_usage() { "" } else { " here, and is skipped" };
                let text = format!("{cache} has none{then}: {}", failure::chain(why));
                report.add_with_hint("key", Status::Problem, text, why.hint());
            }
        }
        if let Some(why) = exports {
            let text =
                format!("{cache} is skipped, for what it exports is not known: {}", failure::chain(why));
            report.add_with_hint("exports", Status::Problem, text, why.hint());
        }
    }
}

fn store(input: &DoctorInput<'_>, report: &mut Report) {
    let Some(spec) = spec(input) else { return };
    let directory = match &spec.store {
        StoreLocation::Directory(directory) => directory,
        StoreLocation::Objects(location) => return object_store(input, location, report),
        _ if input.is_github || wants_github(input) => return,
        _ => &input.facts.store_dir,
    };
    match read::is_directory(directory) {
        Ok(true) => {
            report.add("store", Status::Ok, format!("the directory {}", directory.display()));
        }
        Ok(false) => {
            report.add("store", Status::Problem, format!("`{}` is not a directory", directory.display()));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            report.add(
                "store",
                Status::Note,
                format!("{} will be made when it is needed", directory.display()),
            );
        }
        Err(error) => {
            report.add("store", Status::Problem, format!("cannot look at {}: {error}", directory.display()));
        }
    }
}

fn object_store(input: &DoctorInput<'_>, location: &ObjectLocation, report: &mut Report) {
    let found = match &input.object_service {
        None => return,
        Some(Ok(found)) => found,
        Some(Err(why)) => {
            return report.add_with_hint("store", Status::Problem, format!("{location}: {why}"), why.hint());
        }
    };
    let text = format!("{location}: {} opens {}", found.source, found.endpoint);
    match found.expires_at {
        Some(at) if at <= input.now => {
            report.add("store", Status::Problem, format!("{text}, and expired at {at}"));
        }
        Some(at) if found.is_renewed => {
            report.add("store", Status::Ok, format!("{text} until {at}, and is renewed before"));
        }
        Some(at) => report.add("store", Status::Ok, format!("{text} until {at}")),
        None if found.is_renewed => {
            report.add("store", Status::Ok, format!("{text}, and is renewed before it expires"));
        }
        None => report.add("store", Status::Ok, text),
    }
}

/// The rights that a store in an object service needs.
fn rights_at(service: &ObjectService) -> &'static str {
    match service {
        ObjectService::Azure { .. } => {
            "give the identity the role Storage Blob Data Contributor on the container, or Storage Blob Data Reader to one \
             that only restores"
        }
        ObjectService::S3 => {
            "allow s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, s3:DeleteObject and \
             s3:AbortMultipartUpload; s3:ListBucket and s3:GetObject suffice for one that only restores"
        }
        ObjectService::Gcs => {
            "give the identity the role roles/storage.objectUser on the bucket, or roles/storage.objectViewer to one that \
             only restores"
        }
    }
}

fn credentials(input: &DoctorInput<'_>, report: &mut Report) {
    let found = match &input.credentials {
        Ok(found) => found,
        Err(why) => {
            let (status, instead) = match (input.is_github, wants_github(input)) {
                (true, _) => (Status::Warning, "; the action uses actions/cache underneath"),
                (false, true) => (Status::Problem, ""),
                (false, false) => (Status::Note, ""),
            };
            report.add_with_hint("credentials", status, format!("{why}{instead}"), why.hint());
            return;
        }
    };
    let text = format!("{} opens {}", found.source, found.service.host_str().unwrap_or("the service"));
    report.add("credentials", Status::Ok, text);
    match &found.scopes {
        Some(scopes) => {
            for rights in scopes {
                let right = match (rights.read, rights.write) {
                    (true, true) => "read and write",
                    (true, false) => "read",
                    (false, true) => "write",
                    (false, false) => "nothing",
                };
                report.add("rights", Status::Ok, format!("{}: {right}", rights.scope));
            }
        }
        None => report.add("rights", Status::Note, "the token does not say which scopes it opens"),
    }
    for right in [Right::Read, Right::Write] {
        if let Some(why) = found.refusal(right) {
            report.add_with_hint("rights", Status::Warning, why, Some(RIGHTS.to_owned()));
        }
    }
    if let Some(mode) = found.mode {
        report.add("mode", Status::Ok, format!("ACTIONS_CACHE_MODE is `{mode}`"));
    }
    clock(found.expires_at, input.now, report);
}

const RIGHTS: &str = "tokens are read-only on pull_request_target, issue_comment and workflow_run of forks; \
                      `cache-mode:` in the workflow and the repository's settings narrow them too";

/// A token was made a while ago and lives for hours: that dates this machine.
fn clock(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>, report: &mut Report) {
    let Some(expires_at) = expires_at else { return };
    let left = expires_at - now;
    if left > LONGEST_TOKEN {
        let hours = left.num_hours();
        report.add_with_hint(
            "clock",
            Status::Warning,
            format!("it is {} here and the token lives for {hours} more hours", now.format("%F %T UTC")),
            Some("set this machine's clock".to_owned()),
        );
    } else {
        let minutes = left.num_minutes();
        report.add("clock", Status::Ok, format!("agrees with the token, which lives for {minutes} min"));
    }
}

fn service(input: &DoctorInput<'_>, report: &mut Report) {
    match &input.answer {
        None => {}
        Some(Ok(text)) => report.add("service", Status::Ok, text),
        Some(Err(text)) => {
            let hint = match spec(input).map(|spec| &spec.store) {
                Some(StoreLocation::Objects(location)) => Some(rights_at(&location.service).to_owned()),
                _ => None,
            };
            report.add_with_hint("service", Status::Problem, text, hint);
        }
    }
}

fn uses(input: &DoctorInput<'_>, report: &mut Report) {
    let Some(measured) = &input.lookup_counts else { return };
    let (status, text, hint) = match measured {
        Ok(LookupCounts::Yes { key, at_once: true }) => {
            (Status::Ok, format!("the service counts a lookup, that of `{key}`, as a use at once"), None)
        }
        Ok(LookupCounts::Yes { key, at_once: false }) => {
            let text = format!("the service counts a lookup, that of `{key}`, as a use, some seconds later");
            (Status::Note, text, None)
        }
        Ok(LookupCounts::No { key }) => (
            Status::Warning,
            format!("the service did not count a lookup, that of `{key}`, as a use"),
            Some("what an entry takes content from may be evicted before it: leave `generations` off here"),
        ),
        Ok(LookupCounts::NothingToTry) => (
            Status::Note,
            "there is no entry to find out whether the service counts a lookup as a use".to_owned(),
            Some("try again a few minutes after something was saved or restored on this branch"),
        ),
        Err(fault) => (
            Status::Warning,
            format!("whether the service counts a lookup as a use: {}", failure::chain(fault)),
            None,
        ),
    };
    report.add_with_hint("uses", status, text, hint.map(str::to_owned));
}

fn disks(input: &DoctorInput<'_>, report: &mut Report) {
    let places: [PathBuf; 3] =
        [input.workspace.to_owned(), input.facts.temp.clone(), input.facts.store_dir.clone()];
    let mut seen = Vec::new();
    for place in places {
        let volume = match volume_of(&place) {
            Ok(volume) => volume,
            Err(error) => {
                report.add("disk", Status::Warning, failure::chain(&error));
                continue;
            }
        };
        if seen.contains(&volume.id) {
            continue;
        }
        seen.push(volume.id.clone());
        let reserve = spec(input).map_or_else(Default::default, |spec| spec.disk.clone()).reserve;
        let reserved = reserve.of(volume.total);
        let few = volume.inodes.is_some_and(|inodes| inodes.free < FEW_INODES);
        let inodes = volume.inodes.map(|i| format!(", {} inodes", i.free)).unwrap_or_default();
        let text = format!("{}: {} of {} free{inodes}", volume.at.display(), volume.free, volume.total);
        if volume.free <= reserved || few {
            let hint =
                format!("{reserved} of it stay free: nothing is restored here until there is more room");
            report.add_with_hint("disk", Status::Warning, text, Some(hint));
        } else {
            report.add("disk", Status::Ok, text);
        }
    }
}

fn programs(input: &DoctorInput<'_>, report: &mut Report) {
    match programs::find(input.env, "zstd") {
        Some(path) => report.add("zstd", Status::Ok, path.display().to_string()),
        None => report.add_with_hint(
            "zstd",
            if input.is_github { Status::Warning } else { Status::Note },
            "no `zstd` on PATH: entries that actions/cache makes here cannot be found by cachekeep's own transport",
            Some("install zstd; only the action's use of actions/cache needs it".to_owned()),
        ),
    }
    let uses_git = spec(input).is_some_and(|spec| {
        let templates =
            spec.caches.iter().flat_map(|cache| std::iter::once(&cache.key).chain(&cache.restore_keys));
        templates.into_iter().any(|template| template.source().contains("{git:"))
    });
    if let Some(path) = programs::find(input.env, "git") {
        report.add("git", Status::Ok, path.display().to_string());
    } else {
        let status = if uses_git { Status::Problem } else { Status::Note };
        report.add("git", status, "no `git` on PATH: keys with `{git:…}` cannot be made");
    }
}

#[cfg(test)]
mod tests;
