//! Generations of one real cache, saved one after the other: what changed alone by cachekeep, everything by the peer.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{Place, bytes_below};
use crate::shape::Shape;
use crate::side::{Job, Side, contents, node_is_here, peer_failed};
use crate::tell;
use crate::watch::{self, Measured};
use cachekeep_test_support::github_service::GitHubService;

/// What one side did with one generation.
struct Done {
    save: Measured,
    restore: Measured,
    /// Bytes that were stored.
    stored: u64,
}

/// Saves and restores the directories below a directory, in the order of their names. Returns a table in Markdown.
pub(crate) fn run(directory: &Path) -> Result<String, String> {
    node_is_here()?;
    let place = Place::new();
    let service = GitHubService::start();
    let job = Job::new(&place, &service, Shape::Small)?;
    let config = "[cache.tree]\npath = \"{workspace}/tree\"\nkey = \"g-{var.key}\"\nrestore-keys = [\"g-\"]\ngenerations = \"1MB\"\n";
    fs::write(place.workspace().join("cachekeep.toml"), config).map_err(|error| error.to_string())?;
    let mut table = "| generation | files, MB | stored, MB : full archive | save, s : peer | CPU, s : peer | restore, s : peer |\n\
                     |---|---|---|---|---|---|\n"
        .to_owned();
    for generation in generations(directory)? {
        let name = generation.file_name().unwrap_or_default().to_string_lossy().into_owned();
        tell(&format!("generation {name}"));
        let peer = done(&job, &place, &generation, Side::Peer, &format!("p-{name}"))?;
        let ours = done(&job, &place, &generation, Side::Cachekeep, &name)?;
        let files = contents(&place.tree()).len();
        let _ = writeln!(
            table,
            "| {name} | {files}, {:.1} | {:.2} : {:.2} ({:.3}) | {:.2} : {:.2} | {:.2} : {:.2} | {:.2} : {:.2} |",
            mega(bytes_below(&place.tree())),
            mega(ours.stored),
            mega(peer.stored),
            mega(ours.stored) / mega(peer.stored),
            ours.save.wall,
            peer.save.wall,
            ours.save.cpu,
            peer.save.cpu,
            ours.restore.wall,
            peer.restore.wall,
        );
    }
    Ok(table)
}

fn generations(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let listing = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut found: Vec<PathBuf> = listing.flatten().map(|entry| entry.path()).collect();
    found.sort();
    Ok(found)
}

/// Saves a generation and restores it into nothing.
fn done(job: &Job<'_>, place: &Place, generation: &Path, side: Side, key: &str) -> Result<Done, String> {
    let failed = |verb: &str, why: &str| format!("{side:?} did not {verb} {key}: {why}");
    let _ = fs::remove_dir_all(place.tree());
    let copied = Command::new("cp").arg("-a").arg(generation).arg(place.tree()).status();
    copied.map_err(|error| error.to_string())?;
    let tree = contents(&place.tree());
    place.sweep();
    let before = job.stored();
    let (save, _) = watch::run(job.command(side, "save", key), place).map_err(|e| failed("save", &e))?;
    let stored = job.stored() - before;
    fs::remove_dir_all(place.tree()).map_err(|error| error.to_string())?;
    place.sweep();
    let (restore, said) =
        watch::run(job.command(side, "restore", key), place).map_err(|e| failed("restore", &e))?;
    if (side == Side::Peer && peer_failed(&said)) || contents(&place.tree()) != tree {
        return Err(failed("restore", &format!("the tree is another one; it said:\n{said}")));
    }
    Ok(Done { save, restore, stored })
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
