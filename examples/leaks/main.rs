//! Runs the tests, keeps all that they and their programs show, and looks for secrets in it.
//!
//! `cargo run --example leaks -- cargo test`: logs, summaries, files for the runner, errors, arguments and lists of
//! processes lie in `CACHEKEEP_TEST_CAPTURE`, or in a directory that is removed again. Fails as the command fails, or if
//! a secret is shown, or if too little was looked at.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a program of its own, for people"
)]

mod processes;
mod search;

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use search::{Captures, Finding};

/// How many captures of each kind the whole suite leaves at least where nothing is skipped.
const FLOORS: [(&str, usize); 15] = [
    ("act/arguments", 15),
    ("act/stdout", 15),
    ("agent/log", 100),
    ("binary/arguments", 300),
    ("binary/stderr", 300),
    ("binary/stdout", 200),
    ("debug/text", 1),
    ("error/text", 50),
    ("installer/stderr", 5),
    ("peer/log", 5),
    ("process/list", 1),
    ("step/github_output", 50),
    ("step/github_step_summary", 20),
    ("step/stderr", 100),
    ("suite/stdout", 1),
];

/// How many secrets of each class are handed out at least.
const SECRETS: [(&str, usize); 5] =
    [("api-token", 1), ("job-token", 50), ("mirror-credential", 2), ("request-token", 1), ("signature", 100)];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().ok_or("say which command to run: `leaks cargo test`")?;
    let arguments: Vec<OsString> = arguments.collect();
    let temporary = tempfile::tempdir()?;
    let directory = match std::env::var_os("CACHEKEEP_TEST_CAPTURE") {
        Some(named) => std::path::absolute(PathBuf::from(named))?,
        None => temporary.path().to_owned(),
    };
    std::fs::create_dir_all(&directory)?;
    let code = run(&program, &arguments, &directory)?;
    let captures = Captures::read(&directory)?;
    let findings = captures.search()?;
    for Finding { file, line, what, shown } in &findings {
        eprintln!("leaks: {file}:{line}: {what}: {shown}");
    }
    let mut lacks = search::lacks("captures", &FLOORS, &captures.kinds());
    lacks.extend(search::lacks("secrets", &SECRETS, &captures.classes()));
    let told: BTreeMap<_, _> = captures.kinds().into_iter().chain(captures.classes()).collect();
    println!("leaks: looked at {told:?}: {} findings", findings.len());
    if code != 0 {
        return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)));
    }
    for lack in &lacks {
        eprintln!("leaks: {lack}");
    }
    Ok(if findings.is_empty() && lacks.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the command with its output shown and kept, and its processes watched.
fn run(program: &OsString, arguments: &[OsString], directory: &Path) -> Result<i32, Box<dyn Error>> {
    let watch = processes::Watch::start(std::process::id());
    let mut child = Command::new(program)
        .args(arguments)
        .env("CACHEKEEP_TEST_CAPTURE", directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let (stdout, stderr) = (child.stdout.take().ok_or("no pipe")?, child.stderr.take().ok_or("no pipe")?);
    let (done, ends) = mpsc::channel();
    copy(stdout, std::io::stdout(), directory.join("suite.plain.stdout.all"), done.clone())?;
    copy(stderr, std::io::stderr(), directory.join("suite.plain.stderr.all"), done)?;
    let status = child.wait()?;
    // What the command left running may hold its pipes for ever.
    for _ in 0..2 {
        let _ = ends.recv_timeout(Duration::from_secs(10));
    }
    let lines: Vec<String> = watch.stop().into_iter().collect();
    std::fs::write(directory.join("process.plain.list.all"), lines.join("\n"))?;
    Ok(status.code().unwrap_or(1))
}

/// Copies a stream to two places until its end.
fn copy(
    mut from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    file: PathBuf,
    done: mpsc::Sender<()>,
) -> std::io::Result<()> {
    let mut file = std::fs::File::create(file)?;
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            // The reader may be gone; the file counts.
            let _ = to.write_all(&buffer[..count]).and_then(|()| to.flush());
            if file.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = done.send(());
    });
    Ok(())
}
