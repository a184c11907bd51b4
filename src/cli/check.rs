//! `check`: gathers what it looks at, with or without a usable configuration.

use std::path::{Path, PathBuf};

use super::args::{CheckFormat, Command};
use super::exit::{self, Exit};
use super::publish::print;
use super::settings::SettingsError;
use super::site::Site;
use crate::command::check::{self, CheckInput, Configuration};
use crate::domain::fault::Fault;
use crate::report::{json, text};

/// Checks, and prints what was found.
pub(super) fn run(
    command: &Command,
    is_json: bool,
    current_dir: &Path,
    found: Result<&Site<'_>, &SettingsError>,
) -> Result<Exit, Fault> {
    let Command::Check { files, format } = command else { unreachable!("only for `check`") };
    let files: Vec<PathBuf> = files.iter().map(|file| current_dir.join(file)).collect();
    let configuration = match found {
        Ok(site) => Configuration::Usable(&site.settings.spec, &site.settings.warnings),
        Err(SettingsError::Config(error)) => Configuration::Wrong(&error.findings),
        Err(SettingsError::NoConfig(_)) => Configuration::Absent,
        Err(error) => return Err(Fault::usage(error.to_string())),
    };
    let workspace = found.map_or(current_dir, |site| &site.settings.workspace);
    let outcome = check::check(&CheckInput { workspace, files: &files, configuration })?;
    let printed = print(&match format {
        _ if is_json => json::render(&json::check::CheckDocument::from(&outcome)),
        CheckFormat::Text => text::check::checked(&outcome),
        CheckFormat::Json => json::render(&json::check::CheckDocument::from(&outcome)),
        CheckFormat::Sarif => json::render(&json::sarif::sarif(&outcome)),
    });
    Ok(if outcome.has_error() { exit::FAILED } else { printed })
}
