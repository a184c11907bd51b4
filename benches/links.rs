//! What the key of many content links costs: a git tree of 30 000 files with the 3 151 links of a real project, beside the pipe that
//! projects use without this program, `git grep -h "" -- "*.cid" | sort -u | sha256sum`, in turn.
//!
//! `cargo bench --bench links [-- DIRECTORY]`: the system's temporary directory unless given. It returns 1 where the median of the key is
//! above that of the pipe. It needs git, and sort and sha256sum as GNU has them.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own, for people")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The links of a real tree: a path and a hash in each line.
const LINKS: &str = include_str!("../tests/fixtures/content-links.tsv");

/// All files of the tree.
const FILES: usize = 30_000;

const ROUNDS: usize = 15;

const PIPE: &str = "git grep -h '' -- '*.cid' | sort -u | sha256sum";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    // Cargo adds `--bench`.
    let place = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let place = match place {
        Some(place) => tempfile::tempdir_in(place)?,
        None => tempfile::tempdir()?,
    };
    plant(place.path())?;
    let config =
        "[cache.data]\npath = \"objects\"\nkey = \"data-{links}\"\nlinks = { files = [\"**/*.cid\"] }\n";
    fs::write(place.path().join("cachekeep.toml"), config)?;
    let mut key = Command::new(env!("CARGO_BIN_EXE_cachekeep"));
    key.arg("key");
    let mut pipe = Command::new("sh");
    pipe.args(["-c", PIPE]);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let times = if round % 2 == 0 {
            let first = time(&mut key, place.path())?;
            (first, time(&mut pipe, place.path())?)
        } else {
            let first = time(&mut pipe, place.path())?;
            (time(&mut key, place.path())?, first)
        };
        // The first round fills the caches of the system.
        if round > 0 {
            ours.push(times.0);
            theirs.push(times.1);
        }
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "{FILES} files, {} links, medians of {ROUNDS}: key {} ms, pipe {} ms, ratio {:.2}",
        LINKS.lines().count(),
        ours.as_millis(),
        theirs.as_millis(),
        ours.as_secs_f64() / theirs.as_secs_f64(),
    );
    Ok(ExitCode::from(u8::from(ours > theirs)))
}

/// A repository with one commit.
fn plant(root: &Path) -> Result<(), Box<dyn Error>> {
    let write = |path: &Path, content: &str| {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, content)
    };
    let mut links = 0;
    for line in LINKS.lines() {
        let (path, hash) = line.split_once('\t').ok_or("a line without a hash")?;
        write(&root.join(path), &format!("{hash}\n"))?;
        links += 1;
    }
    for index in links..FILES {
        write(&root.join(format!("src/m{}/f{index}.cxx", index % 300)), &"int f();\n".repeat(index % 200))?;
    }
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "--all"],
        &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "c"],
    ] {
        let done = Command::new("git").args(arguments).current_dir(root).status()?;
        if !done.success() {
            return Err(format!("git {}: {done}", arguments.join(" ")).into());
        }
    }
    Ok(())
}

fn time(command: &mut Command, place: &Path) -> Result<Duration, Box<dyn Error>> {
    let started = Instant::now();
    let status = command.current_dir(place).stdout(Stdio::null()).status()?;
    if !status.success() {
        return Err(format!("it failed: {status}").into());
    }
    Ok(started.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
