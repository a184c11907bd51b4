//! `doctor`: gathers what it looks at, with or without a usable configuration.

use super::args::Args;
use super::exit::{self, Exit};
use super::publish::print;
use super::settings::{Settings, SettingsError};
use super::site::{self, Asked};
use crate::command::doctor;
use crate::config;
use crate::domain::hint::Hint;
use crate::github::Credentials;
use crate::platform::{Env, Platform};
use crate::report::{failure, json};
use crate::store::Clock;
use crate::store::github::probe;

/// Looks at everything and prints what was found.
pub(super) fn run(
    args: &Args,
    env: &Env,
    clock: Clock,
    platform: &dyn Platform,
    settings: &Result<Settings, SettingsError>,
    online: bool,
) -> Exit {
    let now = clock();
    let facts = platform.facts();
    let credentials = Credentials::from_env(env, now);
    let access = settings.as_ref().ok().map(|settings| {
        let store = site::choose_store(settings, env, facts, &Asked::default(), clock, now);
        site::access(&store, settings, facts)
    });
    let configuration = match settings {
        Ok(settings) => doctor::Configuration::Usable {
            spec: &settings.spec,
            warnings: settings.warnings.iter().map(config::Finding::body).collect(),
            access: access.as_ref().unwrap_or(&settings.access),
            grants: &settings.grants,
        },
        Err(SettingsError::Config(error)) => doctor::Configuration::Wrong(
            error.findings.iter().map(|f| (f.severity == config::Severity::Error, f.body())).collect(),
        ),
        Err(error @ SettingsError::NoConfig(_)) => {
            doctor::Configuration::Absent(error.to_string(), error.hint())
        }
        Err(error) => doctor::Configuration::Wrong(vec![(true, failure::chain(error))]),
    };
    let workspace = settings.as_ref().map_or(env.current_dir.as_path(), |settings| &settings.workspace);
    let answer = credentials.as_ref().ok().filter(|_| online).map(|found| probe::probe(found, now));
    let report = doctor::check(&doctor::DoctorInput {
        env,
        facts,
        workspace,
        configuration,
        is_github: site::is_github(env),
        credentials,
        answer,
        now,
    });
    let printed = print(&if args.common.json { json::render(&report) } else { report.render() });
    if report.has_problem() { exit::FAILED } else { printed }
}
