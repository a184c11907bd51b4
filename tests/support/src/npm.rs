//! Packages of npm that tests compare with: each below `tests/peer`, pinned by its lock file.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory of a package below `tests/peer`, with what its lock file names installed.
pub fn installed(name: &str) -> Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peer").join(name);
    // The lock keeps tests of several processes from installing at once.
    let lock = std::fs::File::create(std::env::temp_dir().join(format!("cachekeep-npm-{name}.lock")))
        .map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let written = |name: &str| directory.join(name).metadata().and_then(|metadata| metadata.modified()).ok();
    let installed = written("node_modules/.package-lock.json");
    if installed.is_some() && installed >= written("package-lock.json") {
        return Ok(directory);
    }
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(npm)
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(&directory)
        .output()
        .map_err(|error| format!("npm cannot be started: {error}"))?;
    if output.status.success() {
        Ok(directory)
    } else {
        Err(format!("npm ci failed in {}: {}", directory.display(), String::from_utf8_lossy(&output.stderr)))
    }
}
