//! Our own steps of `action.yml`, run as the runner runs them: a script in bash, everything else in its environment.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::action::definition::text;
use cachekeep_test_support::event::started_by;
use cachekeep_test_support::github_service::capture::Source;

/// A step that runs a script.
pub struct Step {
    pub id: String,
    pub env: Vec<(String, String)>,
    pub run: String,
}

/// The steps with a script, in order. Reads the little YAML that `action.yml` is made of.
pub fn own_steps() -> Vec<Step> {
    own_steps_of("action.yml")
}

/// The same of another file.
pub fn own_steps_of(file: &str) -> Vec<Step> {
    let action = text(file);
    let blocks = action.split("\n    - name: ").skip(1);
    let step = |block: &str| {
        let field = |name: &str| {
            let start = format!("      {name}: ");
            block.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
        };
        let run = field("run")?;
        let run = run.strip_prefix('\'').and_then(|r| r.strip_suffix('\'')).unwrap_or(&run).to_owned();
        let env = block
            .lines()
            .filter_map(|line| line.strip_prefix("        ")?.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(field("shell").as_deref(), Some("bash"));
        Some(Step { id: field("id")?, env: env.collect(), run })
    };
    blocks.filter_map(step).collect()
}

/// A job: a workspace, the runner's files, and the environment of its steps.
pub struct Job {
    directory: TempDir,
    pub env: BTreeMap<String, String>,
}

/// The output of a step, and the variables and outputs that it set.
#[derive(Debug)]
pub struct Done {
    pub code: i32,
    pub log: String,
    pub outputs: BTreeMap<String, String>,
}

impl Job {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temp dir");
        for name in ["workspace", "temp", "home"] {
            fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        let path = |name: &str| directory.path().join(name).display().to_string();
        let mut env: BTreeMap<String, String> = [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("HOME", path("home")),
            ("GITHUB_ACTION_PATH", crate::action::definition::root().display().to_string()),
            ("GITHUB_WORKSPACE", path("workspace")),
            ("GITHUB_REF", "refs/heads/main".to_owned()),
            ("GITHUB_SERVER_URL", "https://github.com".to_owned()),
            ("RUNNER_TEMP", path("temp")),
            ("RUNNER_OS", "Linux".to_owned()),
            ("RUNNER_ARCH", "X64".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let event = started_by("push", directory.path());
        env.extend(event.map(|(name, value)| (name.to_owned(), value)));
        for name in ["GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY"] {
            env.insert(name.to_owned(), path(name));
        }
        Job { directory, env }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    pub fn write(&self, relative: &str, contents: &str) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, contents).expect("written");
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// Makes this the job of another event.
    pub fn start_by(&mut self, event: &str) {
        let event = started_by(event, self.directory.path());
        self.env.extend(event.map(|(name, value)| (name.to_owned(), value)));
    }

    /// Runs a step of the action with these inputs; `env` holds what earlier steps export.
    pub fn step(&self, id: &str, inputs: &[(&str, &str)]) -> Done {
        let step = own_steps().into_iter().find(|step| step.id == id).expect(id);
        let script = self.path("step.sh");
        fs::write(&script, &step.run).expect("written");
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc", "-eo", "pipefail"]).arg(&script);
        command.env_clear().envs(&self.env).current_dir(self.path("workspace"));
        command.env("CACHEKEEP", env!("CARGO_BIN_EXE_cachekeep"));
        for input in cachekeep::cli::inputs::INPUTS {
            let value = inputs.iter().find(|(name, _)| *name == input.name).map_or(input.default, |(_, v)| v);
            command.env(cachekeep::cli::inputs::variable(input.name), value);
        }
        let source = Source::of("step", &command);
        let output = command.output().expect("bash starts");
        source.printed(&output);
        for name in ["GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STEP_SUMMARY"] {
            let written = fs::read(self.path(name)).unwrap_or_default();
            source.part(&name.to_lowercase(), &written);
        }
        let outputs = read_outputs(&self.path("GITHUB_OUTPUT"));
        Done {
            code: output.status.code().unwrap_or(-1),
            log: String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
            outputs,
        }
    }
}

/// The outputs in a runner file, read as the runner reads it; forgets them afterwards.
fn read_outputs(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let _ = fs::remove_file(file);
    let mut outputs = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some((name, delimiter)) = line.split_once("<<") {
            let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
            outputs.insert(name.to_owned(), value.join("\n"));
        } else {
            let (name, value) = line.split_once('=').expect("name=value");
            outputs.insert(name.to_owned(), value.to_owned());
        }
    }
    outputs
}
