//! `doctor`: gathers what it looks at, with or without a usable configuration.

use super::args::Args;
use super::exit::{self, Exit};
use super::publish::print;
use super::settings::{Settings, SettingsError};
use super::site::{self, Asked};
use crate::command::doctor;
use crate::config;
use crate::domain::hint::Hint;
use crate::domain::scope::Access;
use crate::github::{Credentials, Right};
use crate::platform::{Env, Platform};
use crate::report::{failure, json};
use crate::store::probe::probe;
use crate::store::remote::credentials::{FoundCredential, NoCredential, ServiceAccess};
use crate::store::{Clock, StoreChoice};

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
    let chosen = settings.as_ref().ok().map(|settings| {
        let store = site::choose_store(settings, env, facts, &Asked::default(), clock, now);
        let access = site::access(&store, settings, facts);
        (store, access)
    });
    let access = chosen.as_ref().map(|(_, access)| access);
    let configuration = configuration(settings, access);
    let workspace = settings.as_ref().map_or(env.current_dir.as_path(), |settings| &settings.workspace);
    let object_service = chosen.as_ref().and_then(|(store, _)| object_service(store));
    let answer = match (&object_service, &chosen, &credentials) {
        _ if !online => None,
        (Some(Ok(_)), Some((store, access)), _) => Some(probe(store, access.readable.clone(), now)),
        (None, _, Ok(found)) => {
            let scopes = found.scopes_with(Right::Read).unwrap_or_default();
            Some(probe(&StoreChoice::Service(found.clone()), scopes, now))
        }
        _ => None,
    };
    let report = doctor::check(&doctor::DoctorInput {
        env,
        facts,
        workspace,
        configuration,
        is_github: site::is_github(env),
        credentials,
        object_service,
        answer,
        now,
    });
    let printed = print(&if args.common.json { json::render(&report) } else { report.render() });
    if report.has_problem() { exit::FAILED } else { printed }
}

/// The configuration, as far as there is one; `access` is what the job may do in its store.
fn configuration<'a>(
    settings: &'a Result<Settings, SettingsError>,
    access: Option<&'a Access>,
) -> doctor::Configuration<'a> {
    match settings {
        Ok(settings) => doctor::Configuration::Usable {
            spec: &settings.spec,
            warnings: settings.warnings.iter().map(config::Finding::body).collect(),
            access: access.unwrap_or(&settings.access),
            grants: &settings.grants,
        },
        Err(SettingsError::Config(error)) => doctor::Configuration::Wrong(
            error.findings.iter().map(|f| (f.severity == config::Severity::Error, f.body())).collect(),
        ),
        Err(error @ SettingsError::NoConfig(_)) => {
            doctor::Configuration::Absent(error.to_string(), error.hint())
        }
        Err(error) => doctor::Configuration::Wrong(vec![(true, failure::chain(error))]),
    }
}

/// What opens the object service that is the store; `None` where the store is another.
fn object_service(store: &StoreChoice) -> Option<Result<FoundCredential, NoCredential>> {
    match store {
        StoreChoice::Objects { access, .. } => {
            Some(access.as_ref().map(ServiceAccess::found).map_err(Clone::clone))
        }
        _ => None,
    }
}
