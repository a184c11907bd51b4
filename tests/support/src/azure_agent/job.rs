//! A job: what it runs, on what kind of run, with what it may use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::cache::service::AzureCacheService;
use super::connection::ServiceConnection;
use super::event::{Event, Places};
use super::outcome::{JobResult, Stage};
use super::pipeline::Pipeline;
use super::process::Patience;
use super::runner::Runner;

/// When a user cancels the job.
#[derive(Debug, Clone)]
pub struct Cancel {
    pub(super) step: String,
    pub(super) stage: Stage,
    /// The text of the line on which it happens; before the step starts if there is none.
    pub(super) line: Option<String>,
}

impl Cancel {
    /// Before a step starts.
    pub fn before(step: &str) -> Self {
        Cancel { step: step.to_owned(), stage: Stage::Main, line: None }
    }

    /// While a step runs, when it prints a line that contains a text.
    pub fn on_line(step: &str, text: &str) -> Self {
        Cancel { line: Some(text.to_owned()), ..Cancel::before(step) }
    }

    /// In the step's stage after the job.
    #[must_use]
    pub fn in_post(self) -> Self {
        Cancel { stage: Stage::Post, ..self }
    }
}

/// A job that can be run.
pub struct Job<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) event: Event,
    pub(super) default_branch: String,
    pub(super) definition: String,
    pub(super) service: Option<&'a AzureCacheService>,
    pub(super) tasks: BTreeMap<String, PathBuf>,
    pub(super) connections: BTreeMap<String, ServiceConnection>,
    pub(super) forks_get_secrets: bool,
    pub(super) secrets: Vec<(String, String)>,
    pub(super) variables: Vec<(String, String)>,
    /// The environment of the agent itself.
    pub(super) agent_env: BTreeMap<String, String>,
    pub(super) cancel: Option<Cancel>,
    pub(super) patience: Patience,
    pub(super) cancel_timeout: Option<Duration>,
    pub(super) minute: Duration,
    pub(super) node: PathBuf,
    work: Option<PathBuf>,
    files: Vec<(String, String)>,
}

impl<'a> Job<'a> {
    /// A job of a push to `refs/heads/main`, in a directory of its own, in an environment that holds nothing of this machine
    /// but the path.
    pub fn new(pipeline: &'a Pipeline) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        Job {
            pipeline,
            event: Event::branch("refs/heads/main"),
            default_branch: "refs/heads/main".to_owned(),
            definition: "1".to_owned(),
            service: None,
            tasks: BTreeMap::new(),
            connections: BTreeMap::new(),
            forks_get_secrets: false,
            secrets: Vec::new(),
            variables: Vec::new(),
            agent_env: BTreeMap::from([("PATH".to_owned(), path)]),
            cancel: None,
            patience: Patience::default(),
            cancel_timeout: None,
            minute: Duration::from_secs(60),
            node: PathBuf::from("node"),
            work: None,
            files: Vec::new(),
        }
    }

    /// What started the run.
    #[must_use]
    pub fn event(mut self, event: Event) -> Self {
        self.event = event;
        self
    }

    /// The agent's work directory, which outlives the job: `_temp` in it is emptied at the start, all else stays.
    #[must_use]
    pub fn work(mut self, directory: &Path) -> Self {
        self.work = Some(directory.to_owned());
        self
    }

    /// A file of the checkout, written before the first step.
    #[must_use]
    pub fn file(mut self, path: &str, contents: &str) -> Self {
        self.files.push((path.to_owned(), contents.to_owned()));
        self
    }

    /// The cache service that the job's `Cache@2` talks to.
    #[must_use]
    pub fn service(mut self, service: &'a AzureCacheService) -> Self {
        self.service = Some(service);
        self
    }

    /// The number of the pipeline: pipelines do not share caches.
    #[must_use]
    pub fn definition(mut self, number: &str) -> Self {
        number.clone_into(&mut self.definition);
        self
    }

    /// The folder of a task (`Cachekeep@0`), with its `task.json`.
    #[must_use]
    pub fn task(mut self, reference: &str, folder: &Path) -> Self {
        self.tasks.insert(reference.to_owned(), folder.to_owned());
        self
    }

    /// A service connection of the project.
    #[must_use]
    pub fn connection(mut self, name: &str, connection: ServiceConnection) -> Self {
        self.connections.insert(name.to_owned(), connection);
        self
    }

    /// "Make secrets available to builds of forks".
    #[must_use]
    pub fn forks_get_secrets(mut self) -> Self {
        self.forks_get_secrets = true;
        self
    }

    /// A variable of the run.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A secret variable of the run.
    #[must_use]
    pub fn secret(mut self, name: &str, value: &str) -> Self {
        if value.len() >= 8 {
            crate::capture::secret("azure-variable", value);
        }
        self.secrets.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A variable of the environment that the agent itself runs in.
    #[must_use]
    pub fn agent_env(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.agent_env.insert(name.to_owned(), value.as_ref().display().to_string());
        self
    }

    /// Puts a directory in front of the agent's path.
    #[must_use]
    pub fn on_path(mut self, directory: &Path) -> Self {
        let path = self.agent_env.entry("PATH".to_owned()).or_default();
        *path = format!("{}:{path}", directory.display());
        self
    }

    /// The program that runs tasks; `node` on the path if it is not given.
    #[must_use]
    pub fn node(mut self, program: &Path) -> Self {
        program.clone_into(&mut self.node);
        self
    }

    /// Cancels the job.
    #[must_use]
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// How long a cancelled program has until it is terminated, and then until it is killed, instead of 7.5 s and 2.5 s.
    #[must_use]
    pub fn patience(mut self, interrupt: Duration, terminate: Duration) -> Self {
        self.patience = Patience { interrupt, terminate };
        self
    }

    /// What remains of the job after a cancel, instead of `cancelTimeoutInMinutes`.
    #[must_use]
    pub fn cancel_timeout(mut self, timeout: Duration) -> Self {
        self.cancel_timeout = Some(timeout);
        self
    }

    /// How long a minute of `timeoutInMinutes` is.
    #[must_use]
    pub fn minute(mut self, minute: Duration) -> Self {
        self.minute = minute;
        self
    }

    /// Runs the job to its end. Panics at what the imitation does not know.
    pub fn run(self) -> JobResult {
        let directory = self.work.is_none().then(|| tempfile::tempdir().expect("a directory"));
        let work = match (&self.work, &directory) {
            (Some(work), _) => work.clone(),
            (None, Some(directory)) => directory.path().to_owned(),
            (None, None) => unreachable!("one of them is there"),
        };
        let places = Places::make(&work).expect("directories of the job");
        for (path, contents) in &self.files {
            let path = places.sources.join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            std::fs::write(path, contents).expect("a file of the checkout");
        }
        Runner::new(&self, places, &work).run(work, directory)
    }
}
