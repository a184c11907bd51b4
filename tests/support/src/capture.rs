//! What the tests see of the programs they run, kept for `examples/leaks`, which looks for secrets in all of it.
//!
//! Nothing is kept unless `CACHEKEEP_TEST_CAPTURE` names a directory. There each thing is a file of its own,
//! `KIND.LOG.PART.SUFFIX`, and each secret that a test or a fake service hands out is one, `secret.CLASS.SUFFIX`.

use std::io::Write as _;
use std::process::{Command, Output};

/// A program that was started.
#[derive(Debug, Clone)]
pub struct Source {
    kind: &'static str,
    log: &'static str,
}

impl Source {
    /// What is to be run; its arguments are kept at once.
    pub fn of(kind: &'static str, command: &Command) -> Self {
        let is_set = |name: &str| {
            command.get_envs().any(|(key, value)| key == name && value.is_some_and(|value| !value.is_empty()))
        };
        let log = match (is_set("GITHUB_ACTIONS"), is_set("TF_BUILD")) {
            (true, _) => "github",
            (false, true) => "azure",
            (false, false) => "plain",
        };
        let source = Source { kind, log };
        let arguments: Vec<_> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|a| a.to_string_lossy())
            .collect();
        source.part("arguments", arguments.join("\n").as_bytes());
        source
    }

    /// What it printed.
    pub fn printed(&self, output: &Output) {
        self.part("stdout", &output.stdout);
        self.part("stderr", &output.stderr);
    }

    /// Something else that it left, such as a step's summary.
    pub fn part(&self, part: &str, contents: &[u8]) {
        write(&format!("{}.{}.{part}.", self.kind, self.log), contents);
    }
}

/// Runs a program to its end.
pub fn output(kind: &'static str, command: &mut Command) -> std::io::Result<Output> {
    let source = Source::of(kind, command);
    let output = command.output()?;
    source.printed(&output);
    Ok(output)
}

/// Text that the library returns to the test itself: errors, messages, debug output.
pub fn text(kind: &str, text: &str) {
    write(&format!("{kind}.plain.text."), text.as_bytes());
}

/// A log that a platform shows to people, with what it masks masked.
pub fn log(kind: &str, log: &str, text: &str) {
    write(&format!("{kind}.{log}.log."), text.as_bytes());
}

/// A secret that must not be shown. Short words would be found where they are not secret.
pub fn secret(class: &str, secret: &str) {
    assert!(secret.len() >= 8, "{secret} is too short to be looked for");
    write(&format!("secret.{class}."), secret.as_bytes());
}

fn write(prefix: &str, contents: &[u8]) {
    let Some(directory) = std::env::var_os("CACHEKEEP_TEST_CAPTURE") else { return };
    if contents.is_empty() {
        return;
    }
    let file =
        tempfile::Builder::new().prefix(prefix).tempfile_in(directory).expect("the directory is there");
    let (mut file, _) = file.keep().expect("kept");
    file.write_all(contents).expect("written");
}
