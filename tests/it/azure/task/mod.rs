//! The task `Cachekeep@0`: its definition, its package, its launcher, and whole jobs.

mod definition;
mod hostile;
mod jobs;
mod launcher;
mod package;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// The sources of the extension.
fn extension() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("azure-task/extension")
}

/// Where the launcher looks for the program of this machine, in the task's folder.
fn program_place() -> String {
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    format!("bin/{system}-{machine}/cachekeep")
}

/// Copies the extension into a directory, with a script as the program of this machine; the task's folder.
fn assemble(directory: &Path, script: &str) -> PathBuf {
    for file in ["vss-extension.json", "overview.md"] {
        fs::copy(extension().join(file), directory.join(file)).expect("copied");
    }
    let folder = directory.join("CachekeepV0");
    let program = folder.join(program_place());
    fs::create_dir_all(program.parent().expect("a parent")).expect("directories");
    for entry in fs::read_dir(extension().join("CachekeepV0")).expect("the task").flatten() {
        fs::copy(entry.path(), folder.join(entry.file_name())).expect("copied");
    }
    fs::write(&program, script).expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    folder
}

/// A script that is the program itself.
fn real_program() -> String {
    format!("#!/bin/sh\nexec '{}' \"$@\"\n", env!("CARGO_BIN_EXE_cachekeep"))
}
