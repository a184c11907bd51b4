//! The templates of `azure-task`, run with the real program.

mod connection;
mod definition;
mod flow;
mod hostile;
mod install;
mod rooms;
mod wrapped;

use std::fs;
use std::path::{Path, PathBuf};

use cachekeep_test_support::azure_agent::{AzureCacheService, Event, Job, JobResult, Pipeline, Status};
use tempfile::TempDir;

use crate::action::definition::root;

/// A cache of a directory, with a restore key.
const CONFIG: &str = "[cache.cc]\npath = \".cc\"\nkey = \"cc-{files:lock}\"\nrestore-keys = [\"cc-\"]\n";

/// What a build does: a tree with everything that `Cache@2` may lose.
const BUILD: &str = "mkdir -p .cc/d/empty && echo '#!' >.cc/d/program && chmod 750 .cc/d/program && \
                     ln -sf nowhere .cc/dangling && ln -sf d/program .cc/linked && cat lock >.cc/made && \
                     touch -d @1000000000 .cc/d/program";

/// The agent's machine and what outlives its jobs.
pub(crate) struct Machine {
    place: TempDir,
    service: AzureCacheService,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let service = AzureCacheService::new(&place.path().join("service"));
        Machine { place, service }
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.place.path().join(relative)
    }

    /// A job of a pipeline on a machine that is new but for its services.
    pub(crate) fn job<'a>(&'a self, pipeline: &'a Pipeline, lock: &str) -> Job<'a> {
        let program = Path::new(env!("CARGO_BIN_EXE_cachekeep")).parent().expect("a directory");
        let home = self.path("home");
        fs::create_dir_all(&home).expect("a directory");
        let job = Job::new(pipeline).service(&self.service).on_path(program).agent_env("HOME", home);
        job.file("cachekeep.toml", CONFIG).file("lock", lock)
    }

    /// The keys that `Cache@2` keeps, without those of nothing.
    pub(crate) fn keys(&self) -> Vec<String> {
        let entries = self.service.entries().into_iter().map(|entry| entry.key);
        entries.filter(|key| !key.starts_with("\"cachekeep-none\"")).collect()
    }
}

/// Parameters of a use of the templates, as YAML.
#[derive(Clone)]
pub(super) struct Use {
    pub(super) both: String,
    pub(super) restore: String,
    pub(super) save: String,
    pub(super) build: String,
}

impl Use {
    pub(super) fn new() -> Self {
        let both = "cache: cc, version: installed".to_owned();
        Use { both, restore: String::new(), save: String::new(), build: BUILD.to_owned() }
    }

    pub(super) fn both(self, more: &str) -> Self {
        Use { both: format!("{}, {more}", self.both), ..self }
    }

    pub(super) fn build(self, script: &str) -> Self {
        Use { build: script.to_owned(), ..self }
    }

    pub(super) fn pipeline(&self) -> Pipeline {
        let Use { both, restore, save, build } = self;
        let text = format!(
            "
steps:
  - template: azure-task/restore.yml@cachekeep
    parameters: {{ {both} {restore} }}
  - bash: |
      {build}
    name: build
  - template: azure-task/save.yml@cachekeep
    parameters: {{ {both} {save} }}
"
        );
        load(&text)
    }
}

#[track_caller]
pub(super) fn load(text: &str) -> Pipeline {
    let loader = Pipeline::of_text(Path::new("."), text).repository("cachekeep", &root());
    loader.load().unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub(super) fn main_branch() -> Event {
    Event::branch("refs/heads/main")
}

pub(crate) fn output<'a>(job: &'a JobResult, name: &str) -> &'a str {
    job.outputs.get(name).unwrap_or_else(|| panic!("no output {name}\n{}", job.log))
}

pub(super) fn hit(job: &JobResult) -> &str {
    output(job, "cachekeep_restore.hit")
}

pub(super) fn save_result(job: &JobResult) -> &str {
    output(job, "cachekeep_save.save-result")
}

/// Runs the same use twice, on two machines, with one service.
#[track_caller]
pub(super) fn twice(machine: &Machine, used: &Use) -> [JobResult; 2] {
    let first = machine.job(&used.pipeline(), "1").run().expect(Status::Succeeded);
    let second = used.clone().build("true");
    [first, machine.job(&second.pipeline(), "1").run().expect(Status::Succeeded)]
}
