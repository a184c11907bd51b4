//! GitLab CI: predefined variables, collapsible sections and dotenv reports (docs.gitlab.com, "Predefined CI/CD
//! variables reference", "Job logs" and "artifacts:reports:dotenv").

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::user::facts_of_user;
use super::{Env, JobFacts, Platform, level_word};
use crate::domain::event::Level;
use crate::domain::repository::RepositoryId;
use crate::domain::secret::Secret;
use crate::domain::shown::Shown;
use crate::domain::trust::{GITLAB_SOURCES, Trust};

/// Names the file of the job's dotenv report, since GitLab has no variable for it.
pub(crate) const DOTENV: &str = "CACHEKEEP_DOTENV";

/// A job of GitLab CI.
pub(crate) struct GitLab {
    facts: JobFacts,
    dotenv: Option<PathBuf>,
    sections: Mutex<Sections>,
}

/// Sections that are open, and how many there were: the end of one repeats its name.
struct Sections {
    open: Vec<String>,
    count: usize,
    /// When the job started, and this process: together they tell the time of a section.
    job_started: DateTime<Utc>,
    started: Instant,
}

impl Sections {
    fn now(&self) -> i64 {
        self.job_started.timestamp() + i64::try_from(self.started.elapsed().as_secs()).unwrap_or(0)
    }
}

impl GitLab {
    /// Reads the variables that the runner sets.
    pub(crate) fn new(env: &Env) -> Self {
        let owned = |name| env.var(name).map(str::to_owned);
        let tag = env.var("CI_COMMIT_TAG").map(|tag| format!("refs/tags/{tag}"));
        let merge_request =
            env.var("CI_MERGE_REQUEST_IID").map(|number| format!("refs/merge-requests/{number}/head"));
        let job_started = env.var("CI_JOB_STARTED_AT").and_then(|text| text.parse().ok());
        GitLab {
            facts: JobFacts {
                platform: "GitLab CI",
                is_ci: true,
                workspace: env.path("CI_PROJECT_DIR"),
                repository: env
                    .var("CI_SERVER_HOST")
                    .zip(env.var("CI_PROJECT_PATH"))
                    .and_then(|(host, path)| RepositoryId::hosted(host, path)),
                git_ref: merge_request.or(tag).or_else(|| owned("CI_COMMIT_REF_NAME")),
                base_ref: owned("CI_MERGE_REQUEST_TARGET_BRANCH_NAME"),
                default_ref: owned("CI_DEFAULT_BRANCH"),
                sha: owned("CI_COMMIT_SHA"),
                run_id: owned("CI_PIPELINE_ID"),
                trust: Trust::of_event(GITLAB_SOURCES, env.var("CI_PIPELINE_SOURCE")),
                job_status: None,
                carried_dir: None,
                ..facts_of_user(env)
            },
            dotenv: env.path(DOTENV).map(|path| env.current_dir.join(path)),
            sections: Mutex::new(Sections {
                open: Vec::new(),
                count: 0,
                job_started: job_started.unwrap_or(DateTime::UNIX_EPOCH),
                started: Instant::now(),
            }),
        }
    }

    fn sections(&self) -> std::sync::MutexGuard<'_, Sections> {
        // A section is pushed or popped in one step.
        self.sections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a variable for later jobs. What a dotenv report cannot hold is left out: it has one line for each variable.
    fn add_to_dotenv(&self, name: &str, value: &str) -> io::Result<()> {
        let Some(path) = self.dotenv.as_ref().filter(|_| !value.contains(['\n', '\r'])) else {
            return Ok(());
        };
        #[expect(clippy::disallowed_methods, reason = "the runner reads outputs from a file")]
        let mut file = std::fs::File::options().create(true).append(true).open(path)?;
        file.write_all(format!("{name}={value}\n").as_bytes())
    }
}

impl Platform for GitLab {
    fn facts(&self) -> &JobFacts {
        &self.facts
    }

    fn group_start(&self, title: &Shown) -> Option<String> {
        let mut sections = self.sections();
        sections.count += 1;
        let name = format!("cachekeep_{}", sections.count);
        let line =
            format!("\u{1b}[0Ksection_start:{}:{name}[collapsed=true]\r\u{1b}[0K{}", sections.now(), title);
        sections.open.push(name);
        Some(line)
    }

    fn group_end(&self) -> Option<String> {
        let mut sections = self.sections();
        let name = sections.open.pop()?;
        Some(format!("\u{1b}[0Ksection_end:{}:{name}\r\u{1b}[0K", sections.now()))
    }

    fn message(&self, level: Level, text: &Shown) -> String {
        format!("{}{text}", level_word(level))
    }

    fn export(&self, name: &str, value: &str) -> io::Result<Option<String>> {
        self.add_to_dotenv(name, value).map(|()| None)
    }

    /// GitLab masks only variables that its settings declare.
    fn mask(&self, _secret: &Secret) -> Option<String> {
        None
    }

    fn output(&self, name: &str, value: &str) -> io::Result<Option<String>> {
        let name = format!("CACHEKEEP_{}", name.to_ascii_uppercase().replace('-', "_"));
        self.add_to_dotenv(&name, value).map(|()| None)
    }

    fn summary(&self, _markdown: &str) -> io::Result<Option<String>> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(variables: &[(&str, &str)]) -> GitLab {
        GitLab::new(&Env::of(variables.iter().copied()))
    }

    #[test]
    fn branches_tags_and_merge_requests_are_told_apart() {
        let branch = [("CI_COMMIT_REF_NAME", "topic"), ("CI_DEFAULT_BRANCH", "main")];
        let names = |job: &GitLab| {
            let readable = job.facts().access().readable;
            readable.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names(&job(&branch)), ["refs/heads/topic", "refs/heads/main"]);
        let tag =
            job(&[("CI_COMMIT_REF_NAME", "v1"), ("CI_COMMIT_TAG", "v1"), ("CI_DEFAULT_BRANCH", "main")]);
        assert_eq!(names(&tag), ["refs/tags/v1", "refs/heads/main"]);
        let request = job(&[
            ("CI_COMMIT_REF_NAME", "topic"),
            ("CI_MERGE_REQUEST_IID", "7"),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "release"),
        ]);
        assert_eq!(names(&request), ["refs/merge-requests/7/head", "refs/heads/release"]);
        assert!(request.facts().access().own.is_pull_request());
    }

    #[test]
    fn the_repository_is_a_path_of_groups_at_the_server() {
        let at = |host| [("CI_SERVER_HOST", host), ("CI_PROJECT_PATH", "group/sub/tool")];
        let named = |host| job(&at(host)).facts().repository.clone().map(|id| id.to_string());
        assert_eq!(named("gitlab.example.org").as_deref(), Some("gitlab.example.org/group/sub/tool"));
        assert_eq!(named(""), None);
    }

    #[test]
    fn the_source_of_a_pipeline_decides_whether_it_is_privileged() {
        let check = |source: &str, is_privileged: bool| {
            let trust = job(&[("CI_PIPELINE_SOURCE", source)]).facts().trust.clone();
            assert_eq!(trust.is_privileged, is_privileged, "{source}");
        };
        check("push", false);
        check("merge_request_event", false);
        check("external_pull_request_event", true);
        check("security_orchestration_policy", true);
        check("", true);
    }

    #[test]
    fn sections_nest_and_end_under_their_names() {
        let job = job(&[("CI_JOB_STARTED_AT", "2026-03-01T12:00:00Z")]);
        let first = job.group_start(&Shown::value("Restore a")).expect("a line");
        assert_eq!(
            first,
            "\u{1b}[0Ksection_start:1772366400:cachekeep_1[collapsed=true]\r\u{1b}[0KRestore a"
        );
        job.group_start(&Shown::value("Restore b"));
        for name in ["cachekeep_2", "cachekeep_1"] {
            assert!(job.group_end().expect("a line").contains(&format!(":{name}\r")));
        }
        assert_eq!(job.group_end(), None);
    }

    #[test]
    fn untrusted_text_opens_no_section() {
        let job = job(&[]);
        let hostile = "x\r\u{1b}[0Ksection_end:1:cachekeep_1\r\u{1b}[0K";
        assert!(!job.message(Level::Warning, &Shown::message(hostile)).contains(['\r', '\u{1b}']));
        assert_eq!(job.group_start(&Shown::value(hostile)).expect("a line").matches('\r').count(), 1);
    }

    #[test]
    fn outputs_and_exports_go_into_the_dotenv_report() {
        let place = tempfile::tempdir().expect("a place");
        let file = place.path().join("cache.env");
        let job = job(&[(DOTENV, file.to_str().expect("text"))]);
        job.output("cache-hit", "true").expect("written");
        job.output("json", "{\n}").expect("left out");
        job.export("CCACHE_DIR", "/tmp/c").expect("written");
        let text = crate::fs::read::text(&file, crate::fs::open::Links::Followed, 1_000).expect("a report");
        assert_eq!(text, "CACHEKEEP_CACHE_HIT=true\nCCACHE_DIR=/tmp/c\n");
        super::tests::job(&[]).output("hit", "exact").expect("nowhere to go");
    }
}
