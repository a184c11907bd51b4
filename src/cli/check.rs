//! `check`: gathers what it looks at, with or without a usable configuration.

use std::path::{Path, PathBuf};

use super::args::{CheckFormat, Command};
use super::exit::{self, Exit};
use super::inputs::{ActionInput, INPUTS, MODES};
use super::publish::{print, print_text};
use super::settings::SettingsError;
use super::site::Site;
use crate::command::check::{self, ActionFacts, CheckInput, Configuration};
use crate::domain::fault::Fault;
use crate::report::{json, text};

impl<'a> Configuration<'a> {
    /// The configuration that was found, or why there is none.
    pub(super) fn of(found: Result<&'a Site<'_>, &'a SettingsError>) -> Result<Self, Fault> {
        match found {
            Ok(site) => Ok(Configuration::Usable(&site.settings.spec, &site.settings.warnings)),
            Err(SettingsError::Config(error)) => Ok(Configuration::Wrong(&error.findings)),
            Err(SettingsError::NoConfig(_)) => Ok(Configuration::Absent),
            Err(error) => Err(Fault::usage(error.to_string())),
        }
    }
}

/// What the action has.
pub(super) fn action_facts() -> ActionFacts {
    let is_flag = |input: &&ActionInput| matches!(input.default, "true" | "false");
    ActionFacts {
        inputs: INPUTS.iter().map(|input| input.name).collect(),
        flags: INPUTS.iter().filter(is_flag).map(|input| input.name).collect(),
        modes: &MODES,
    }
}

/// Checks, and prints what was found.
pub(super) fn run(
    command: &Command,
    is_json: bool,
    current_dir: &Path,
    found: Result<&Site<'_>, &SettingsError>,
) -> Result<Exit, Fault> {
    let Command::Check { files, format } = command else { unreachable!("only for `check`") };
    let files: Vec<PathBuf> = files.iter().map(|file| current_dir.join(file)).collect();
    let configuration = Configuration::of(found)?;
    let workspace = found.map_or(current_dir, |site| &site.settings.workspace);
    let action = action_facts();
    let outcome = check::check(&CheckInput { workspace, files: &files, configuration, action: &action })?;
    let printed = match if is_json { CheckFormat::Json } else { *format } {
        CheckFormat::Text => print(&text::check::checked(&outcome)),
        // Commands for the runner, in which foreign text is escaped already.
        CheckFormat::Github => print_text(&text::check::annotations(&outcome)),
        CheckFormat::Json => print(&json::render(&json::check::CheckDocument::from(&outcome))),
        CheckFormat::Sarif => print(&json::render(&json::sarif::sarif(&outcome))),
    };
    Ok(if outcome.has_error() { exit::FAILED } else { printed })
}
