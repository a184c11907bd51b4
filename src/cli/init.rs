//! `init`: gathers what it looks at, with or without a configuration, and shows what it proposes.

use super::args::Command;
use super::check::action_facts;
use super::exit::Exit;
use super::publish::print;
use super::settings::SettingsError;
use super::site::Site;
use crate::command::check::Configuration;
use crate::command::init::{self, InitInput};
use crate::domain::event::{Event, Level, Observer as _};
use crate::domain::fault::Fault;
use crate::platform::Env;
use crate::report::{Log, json, text};
use crate::store::Clock;

/// Proposes or writes files. The diff or its JSON is the result; notes about it go to the log.
pub(super) fn run(
    command: &Command,
    is_json: bool,
    env: &Env,
    clock: Clock,
    log: &Log,
    found: Result<&Site<'_>, &SettingsError>,
) -> Result<Exit, Fault> {
    let Command::Init { write, starter } = command else { unreachable!("only for `init`") };
    let input = InitInput {
        workspace: found.map_or(&env.current_dir, |site| &site.settings.workspace),
        configuration: Configuration::of(found)?,
        action: &action_facts(),
        writes: *write,
        starter: *starter,
        now: clock(),
    };
    let outcome = init::init(&input)?;
    let message = |level, text| log.observe(Event::Message { level, cache: None, text, hint: None });
    for moved in &outcome.moved {
        message(Level::Info, text::init::moved(moved));
    }
    for left in &outcome.left {
        message(Level::Warning, left.body());
    }
    for note in &outcome.notes {
        message(Level::Info, note.clone());
    }
    Ok(if is_json {
        print(&json::render(&json::init::InitDocument::from(&outcome)))
    } else {
        print(&text::init::proposed(&outcome))
    })
}
