//! Versions of programs, for `{tool:NAME}`.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::domain::digest::Sha256Digest;
use crate::domain::fault::Fault;
use crate::fs::cancel;
use crate::platform::Env;
use crate::platform::programs::{self, Question};

/// Programs that tell their version in another way than by `--version`.
const QUESTIONS: &[(&str, &[&str])] =
    &[("go", &["version"]), ("java", &["-version"]), ("javac", &["-version"])];

/// Words in a version that stand for more than one build.
const UNSTABLE: [&str; 5] = ["nightly", "dev", "snapshot", "beta", "alpha"];

/// What a program prints about its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToolVersion {
    /// The version: `12.2.0`; of builds between releases with a digest of the line: `1.90.0-nightly-1a2b3c4d`.
    pub version: String,
    /// The line that it is in.
    pub printed: String,
}

/// Asks a program on `PATH` for its version.
pub(crate) fn version(
    env: &Env,
    name: &str,
    workspace: &Path,
    cancel: &CancellationToken,
) -> Result<ToolVersion, Fault> {
    let missing = || {
        Fault::environment(format!("there is no program `{name}` on PATH"))
            .with_hint(format!("install {name} before this step, or leave `{{tool:{name}}}` out"))
    };
    let program = programs::find(env, name).ok_or_else(missing)?;
    let known = QUESTIONS.iter().find(|(known, _)| *known == name);
    let arguments = known.map_or(&["--version"][..], |(_, arguments)| arguments);
    let question = Question { program: &program, arguments, variables: &[], directory: workspace };
    let command = format!("{name} {}", arguments.join(" "));
    let answer = question.ask(cancel).map_err(|error| {
        let fault = Fault::environment(format!("`{command}`: {error}"));
        if cancel::Cancelled::is(&error) {
            Fault::from(cancel::Cancelled).in_context(command.clone())
        } else {
            fault
        }
    })?;
    // Some programs print it on standard error.
    let printed = if answer.output.trim().is_empty() { &answer.errors } else { &answer.output };
    found_in(printed).filter(|_| answer.status.success()).ok_or_else(|| {
        Fault::environment(format!("`{command}` prints no version"))
            .with_hint(format!("leave `{{tool:{name}}}` out, or pass a value with `--var`"))
    })
}

/// The first version in a text: a word that begins with a number and has a dot, after letters such as `v` or `go`.
fn found_in(text: &str) -> Option<ToolVersion> {
    text.lines().find_map(|line| {
        let version = line.split(|c: char| c.is_whitespace() || "(),\"'".contains(c)).find_map(version_of)?;
        let lower = line.to_ascii_lowercase();
        let is_unstable = UNSTABLE.iter().any(|word| lower.contains(word));
        let digest = || Sha256Digest::of(line.trim().as_bytes()).to_string();
        let version = if is_unstable { format!("{version}-{:.8}", digest()) } else { version };
        Some(ToolVersion { version, printed: line.trim().to_owned() })
    })
}

fn version_of(word: &str) -> Option<String> {
    let start = word.find(|c: char| c.is_ascii_digit())?;
    let (before, version) = word.split_at(start);
    let end =
        version.find(|c: char| !c.is_ascii_alphanumeric() && !"._-+".contains(c)).unwrap_or(version.len());
    let version = version[..end].trim_end_matches(['.', '-', '_', '+']);
    let is_version = before.chars().all(|c| c.is_ascii_alphabetic()) && version.contains('.');
    is_version.then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_print() {
        let check = |text: &str, expect: &str| {
            assert_eq!(found_in(text).map(|found| found.version).as_deref(), Some(expect), "{text}");
        };
        check("ccache version 4.7.5\nFeatures: file-storage", "4.7.5");
        check("g++ (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright", "12.2.0-14+deb12u1");
        check("rustc 1.88.0 (6b00bc388 2025-06-23)", "1.88.0");
        check("rustc 1.90.0-nightly (abc 2025-07-01)", "1.90.0-nightly-2afa67f7");
        check("go version go1.24.1 linux/amd64", "1.24.1");
        check("openjdk version \"21.0.2\" 2024-01-16", "21.0.2");
        check("v22.14.0", "22.14.0");
        check("Python 3.13.2", "3.13.2");
        check("\nnix (Nix) 2.24.1", "2.24.1");
        assert_eq!(found_in("no version here 12"), None);
        assert_ne!(
            found_in("rustc 1.90.0-nightly (abc 2025-07-01)"),
            found_in("rustc 1.90.0-nightly (abc 2025-07-02)")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_program_is_found_and_asked() {
        let place = tempfile::tempdir().expect("a place");
        let program = place.path().join("mytool");
        std::fs::write(&program, "#!/bin/sh\necho \"mytool 3.$#.1\"\n").expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("executable");
        let env = Env::of([("PATH", place.path().to_str().expect("text"))]);
        let ask = |name| version(&env, name, place.path(), &CancellationToken::new());
        assert_eq!(ask("mytool").expect("a version").version, "3.1.1");
        let error = ask("other").expect_err("missing");
        assert_eq!(error.to_string(), "there is no program `other` on PATH");
    }
}
