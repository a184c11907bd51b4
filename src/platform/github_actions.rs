//! GitHub Actions: workflow commands and runner files (docs.github.com, "Workflow commands").

#![expect(clippy::disallowed_methods, reason = "writes runner files")]

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rand::RngExt as _;

use super::facts::{arch, os};
use super::user::record_dirs;
use super::{Env, JobFacts, JobStatus, Platform};
use crate::domain::event::Level;
use crate::domain::repository::RepositoryId;
use crate::domain::secret::Secret;
use crate::domain::shown::Shown;
use crate::domain::trust::{GITHUB_EVENTS, Trust};
use crate::fs::open::Links;
use crate::fs::read;

/// A job of GitHub Actions.
pub(crate) struct GitHubActions {
    facts: JobFacts,
    env_file: Option<PathBuf>,
    output_file: Option<PathBuf>,
    path_file: Option<PathBuf>,
    summary_file: Option<PathBuf>,
}

impl GitHubActions {
    /// Reads the variables that the runner sets.
    pub(crate) fn new(env: &Env) -> Self {
        let owned = |name| env.var(name).map(str::to_owned);
        let temp = env.path("RUNNER_TEMP").unwrap_or_else(|| env.temp_dir.clone());
        let payload = event_payload(env.path("GITHUB_EVENT_PATH"));
        let trust = Trust::of_event(GITHUB_EVENTS, env.var("GITHUB_EVENT_NAME"));
        let default_branch = payload.as_ref().and_then(|it| it.pointer("/repository/default_branch"));
        let home = env.path("HOME").or_else(|| env.path("USERPROFILE"));
        GitHubActions {
            facts: JobFacts {
                platform: "GitHub Actions",
                is_ci: true,
                os: env.var("RUNNER_OS").map_or_else(os, str::to_lowercase),
                arch: env.var("RUNNER_ARCH").map_or_else(arch, str::to_lowercase),
                store_dir: temp.join("cachekeep-store"),
                record_dirs: record_dirs(env, &temp.join("cachekeep-state")),
                state_dir: temp.join("cachekeep-state"),
                temp,
                home,
                workspace: env.path("GITHUB_WORKSPACE"),
                repository: repository(env),
                git_ref: owned("GITHUB_REF"),
                base_ref: owned("GITHUB_BASE_REF"),
                default_ref: default_branch.and_then(serde_json::Value::as_str).map(str::to_owned),
                sha: owned("GITHUB_SHA"),
                run_id: owned("GITHUB_RUN_ID"),
                run_attempt: owned("GITHUB_RUN_ATTEMPT"),
                trust: if payload.is_some() { trust } else { trust.without_payload() },
                job_status: env.var("CACHEKEEP_JOB_STATUS").and_then(job_status),
                carried_dir: None,
            },
            env_file: env.path("GITHUB_ENV"),
            output_file: env.path("GITHUB_OUTPUT"),
            path_file: env.path("GITHUB_PATH"),
            summary_file: env.path("GITHUB_STEP_SUMMARY"),
        }
    }
}

/// The status of a job, as `job.status` of the runner spells it; no variable of the runner has it, so `action.yml` hands it over.
fn job_status(name: &str) -> Option<JobStatus> {
    match name {
        "success" => Some(JobStatus::Succeeded),
        "failure" => Some(JobStatus::Failed),
        "cancelled" => Some(JobStatus::Canceled),
        _ => None,
    }
}

/// Upper bound for the payload of an event, in bytes; GitHub sends at most 25 MB.
const MAX_EVENT: u64 = 64 << 20;

/// The repository whose workflow runs: for a pull request from a fork, the one that it is opened against.
fn repository(env: &Env) -> Option<RepositoryId> {
    let server = env.var("GITHUB_SERVER_URL").unwrap_or("https://github.com");
    RepositoryId::from_url(&format!("{}/{}", server.trim_end_matches('/'), env.var("GITHUB_REPOSITORY")?))
}

/// The payload of the event; `None` if it is missing, empty, too large or not a JSON object.
fn event_payload(path: Option<PathBuf>) -> Option<serde_json::Value> {
    let bytes = read::read_bounded(&path?, Links::Followed, MAX_EVENT).ok()?;
    let payload: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    let has_fields = payload.as_object().is_some_and(|fields| !fields.is_empty());
    has_fields.then_some(payload)
}

/// Escapes the data of a workflow command.
pub(crate) fn escape_data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a workflow command.
pub(crate) fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Appends `name<<delimiter`, the value and the delimiter to a runner file.
fn append(file: &PathBuf, name: &str, value: &str) -> io::Result<()> {
    let invalid =
        |what| io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` {what}", name.escape_debug()));
    if name.is_empty() || name.contains(['\r', '\n', '=', '<']) {
        return Err(invalid("is not a valid variable name"));
    }
    // A value that contains the delimiter could set arbitrary variables.
    let delimiter = format!("cachekeep_{:032x}", rand::rng().random::<u128>());
    if value.contains(&delimiter) {
        return Err(invalid("has a value that contains the delimiter"));
    }
    let mut file = OpenOptions::new().append(true).create(true).open(file)?;
    file.write_all(format!("{name}<<{delimiter}\n{value}\n{delimiter}\n").as_bytes())
}

impl Platform for GitHubActions {
    fn facts(&self) -> &JobFacts {
        &self.facts
    }

    fn group_start(&self, title: &Shown) -> Option<String> {
        Some(format!("::group::{}", escape_data(title)))
    }

    fn group_end(&self) -> Option<String> {
        Some("::endgroup::".to_owned())
    }

    fn message(&self, level: Level, text: &Shown) -> String {
        match level {
            Level::Debug => format!("::debug::{}", escape_data(text)),
            Level::Warning => format!("::warning title=cachekeep::{}", escape_data(text)),
            Level::Error => format!("::error title=cachekeep::{}", escape_data(text)),
            Level::Info => text.to_string(),
        }
    }

    fn export(&self, name: &str, value: &str) -> io::Result<Option<String>> {
        self.env_file.as_ref().map_or(Ok(()), |file| append(file, name, value)).map(|()| None)
    }

    fn add_to_path(&self, directory: &Path) -> io::Result<Option<String>> {
        let Some(file) = &self.path_file else { return Ok(None) };
        let line = directory.to_str().filter(|text| !text.contains(['\n', '\r']));
        let line = line.ok_or_else(|| io::Error::other("the directory cannot be written as a line"))?;
        OpenOptions::new().append(true).create(true).open(file)?.write_all(format!("{line}\n").as_bytes())?;
        Ok(None)
    }

    fn mask(&self, secret: &Secret) -> Option<String> {
        Some(format!("::add-mask::{}", escape_data(secret.expose())))
    }

    fn output(&self, name: &str, value: &str) -> io::Result<Option<String>> {
        self.output_file.as_ref().map_or(Ok(()), |file| append(file, name, value)).map(|()| None)
    }

    fn summary(&self, markdown: &str) -> io::Result<Option<String>> {
        let Some(path) = &self.summary_file else { return Ok(None) };
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        file.write_all(format!("{}\n", markdown.trim_end()).as_bytes())?;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(variables: &[(&str, &str)]) -> GitHubActions {
        GitHubActions::new(&Env::of(variables.iter().copied()))
    }

    #[test]
    fn untrusted_text_cannot_inject_commands() {
        let job = job(&[]);
        let message = |level, text| job.message(level, &Shown::message(text));
        assert_eq!(
            message(Level::Warning, "a\n  ::set-env name=X::y 100%"),
            r"::warning title=cachekeep::a%0A  \u{3a}:set-env name=X::y 100%25"
        );
        assert_eq!(message(Level::Info, "::set-env name=X::y"), r"\u{3a}:set-env name=X::y");
        assert_eq!(message(Level::Info, "fine\n  ##[error]no"), "fine\n  \\u{23}#[error]no");
        assert_eq!(job.mask(&Secret::new("a%b")).as_deref(), Some("::add-mask::a%25b"));
        assert_eq!(job.group_start(&Shown::value("x\n::y")).as_deref(), Some(r"::group::x\u{a}\u{3a}:y"));
    }

    #[test]
    fn variables_are_written_with_a_random_delimiter() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let file = dir.path().join("env");
        let job = job(&[("GITHUB_ENV", file.to_str().expect("text"))]);
        job.export("CCACHE_DIR", "a\nEVIL=1\nEOF").expect("written");
        let text = std::fs::read_to_string(&file).expect("the file");
        let (name, delimiter) = text.lines().next().and_then(|l| l.split_once("<<")).expect("a header");
        assert_eq!(name, "CCACHE_DIR");
        assert_eq!(text, format!("CCACHE_DIR<<{delimiter}\na\nEVIL=1\nEOF\n{delimiter}\n"));
        assert!(job.export("A\nB", "x").is_err());
    }

    #[test]
    fn a_summary_is_appended_to_what_the_step_wrote_before() {
        let dir = tempfile::tempdir().expect("a temp dir");
        let file = dir.path().join("summary");
        let job = job(&[("GITHUB_STEP_SUMMARY", file.to_str().expect("text"))]);
        job.summary("# a\n").expect("written");
        job.summary("# b").expect("written");
        assert_eq!(std::fs::read_to_string(&file).expect("the file"), "# a\n# b\n");
        assert_eq!(job.mask(&Secret::new("a\nb")).as_deref(), Some("::add-mask::a%0Ab"));
    }

    #[test]
    fn the_repository_is_the_one_whose_workflow_runs() {
        let name = |variables: &[(&str, &str)]| job(variables).facts.repository.map(|id| id.to_string());
        assert_eq!(name(&[("GITHUB_REPOSITORY", "Owner/Name")]).as_deref(), Some("github.com/owner/name"));
        let enterprise = ("GITHUB_SERVER_URL", "https://ghe.example.org/");
        assert_eq!(
            name(&[enterprise, ("GITHUB_REPOSITORY", "o/r"), ("GITHUB_HEAD_REF", "fork:topic")]).as_deref(),
            Some("ghe.example.org/o/r")
        );
        assert_eq!(name(&[enterprise]), None);
    }

    /// Whether a job is privileged, by the name of its event and the bytes of its payload.
    fn is_privileged(event: Option<&str>, payload: Option<&[u8]>) -> bool {
        let dir = tempfile::tempdir().expect("a temp dir");
        let file = dir.path().join("event.json");
        if let Some(payload) = payload {
            std::fs::write(&file, payload).expect("written");
        }
        let mut variables = vec![("GITHUB_EVENT_PATH", file.to_str().expect("text"))];
        variables.extend(event.map(|event| ("GITHUB_EVENT_NAME", event)));
        job(&variables).facts.trust.is_privileged
    }

    #[test]
    fn the_event_decides_whether_a_job_is_privileged_and_whose_pull_request_it_is_does_not() {
        let own = r#""repository": {"full_name": "o/r", "default_branch": "main"}"#;
        for head in [r#"{"full_name": "o/r"}"#, r#"{"full_name": "x/r"}"#, "null"] {
            let payload = format!(r#"{{{own}, "pull_request": {{"head": {{"repo": {head}}}}}}}"#);
            assert!(!is_privileged(Some("pull_request"), Some(payload.as_bytes())), "{head}");
            for event in ["pull_request_target", "pull_request_review", "workflow_run", "invented"] {
                assert!(is_privileged(Some(event), Some(payload.as_bytes())), "{event} {head}");
            }
        }
        assert!(is_privileged(None, Some(format!("{{{own}}}").as_bytes())), "no name");
    }

    #[test]
    fn an_event_whose_payload_cannot_be_read_is_privileged() {
        let large = [b"{\"a\": \"".as_slice(), &vec![b'x'; 65 << 20], b"\"}"].concat();
        let unreadable: [&[u8]; 7] = [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe{}", &large];
        for payload in unreadable {
            assert!(is_privileged(Some("push"), Some(payload)), "{} bytes", payload.len());
        }
        assert!(is_privileged(Some("push"), None), "no file");
        assert!(job(&[("GITHUB_EVENT_NAME", "push")]).facts.trust.is_privileged, "no path");
        assert!(job(&[("GITHUB_EVENT_NAME", "push"), ("GITHUB_EVENT_PATH", "/")]).facts.trust.is_privileged);
        assert!(!is_privileged(Some("push"), Some(b"{\"ref\": \"refs/heads/main\"}")));
    }
}
