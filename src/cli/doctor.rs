//! `doctor`: gathers what it looks at, with or without a usable configuration.

use super::args::{Args, StoreTarget};
use super::catalog;
use super::commands::{context, start};
use super::exit::{self, Exit};
use super::publish::print;
use super::settings::SettingsError;
use super::site::{self, Site};
use crate::command::doctor::{self, KeyCheck, LookupCounts};
use crate::command::interrupt::Interrupt;
use crate::domain::fault::Fault;
use crate::domain::finding::{Finding, Severity};
use crate::domain::hint::Hint;
use crate::github::{Credentials, Right};
use crate::platform::{Env, Platform};
use crate::report::{failure, json};
use crate::store::probe::probe;
use crate::store::remote::credentials::{FoundCredential, NoCredential};
use crate::store::{Clock, StoreChoice};

/// Looks at everything and prints what was found.
pub(super) fn run(
    args: &Args,
    env: &Env,
    clock: Clock,
    platform: &dyn Platform,
    found: Result<&Site<'_>, &SettingsError>,
    interrupt: &Interrupt,
    online: bool,
) -> Exit {
    let now = clock();
    let credentials = Credentials::from_env(env, now);
    let site = found.ok();
    let workspace = site.map_or(env.current_dir.as_path(), |site| &site.settings.workspace);
    let answer = match (&site.and_then(|site| object_service(&site.store)), site, &credentials) {
        _ if !online => None,
        (Some(Ok(_)), Some(site), _) => {
            Some(probe(site.store.innermost(), site.access.readable.clone(), now))
        }
        (None, _, Ok(found)) => {
            let scopes = found.scopes_with(Right::Read).unwrap_or_default();
            Some(probe(&StoreChoice::Service(found.clone()), scopes, now))
        }
        _ => None,
    };
    // A credential that was issued for the answer has a time when it expires.
    let object_service = site.and_then(|site| object_service(&site.store));
    let report = doctor::check(&doctor::DoctorInput {
        env,
        facts: platform.facts(),
        workspace,
        configuration: configuration(found),
        repository: site.and_then(|site| site.store.repository()),
        keys: site.map(|site| keys(args, site, interrupt)).unwrap_or_default(),
        is_github: site::is_github(env),
        credentials,
        object_service,
        answer,
        lookup_counts: site.filter(|_| online).and_then(|site| lookup_counts(args, site, interrupt)),
        now,
    });
    let printed = print(&if args.common.json { json::render(&report) } else { report.render() });
    if report.has_problem() { exit::FAILED } else { printed }
}

/// The keys of the selected caches; none where not even a thread can be had.
fn keys(args: &Args, site: &Site<'_>, interrupt: &Interrupt) -> Vec<KeyCheck> {
    let Ok(runtime) = start(&args.command) else { return Vec::new() };
    let ctx = context(site, runtime.executor(), interrupt, args.common.json);
    doctor::keys::check(&ctx)
}

/// What a lookup does to the time of the last use of an entry; `None` where no other program evicts entries, or no token lists them.
fn lookup_counts(args: &Args, site: &Site<'_>, interrupt: &Interrupt) -> Option<Result<LookupCounts, Fault>> {
    let StoreChoice::Service(_) = site.store.innermost() else { return None };
    let runtime = start(&args.command).ok()?;
    let ctx = context(site, runtime.executor(), interrupt, args.common.json);
    let catalog = catalog::find(&StoreTarget::default(), site, &ctx).ok()??;
    Some(doctor::uses::measure(&ctx, &*catalog))
}

/// The configuration, as far as there is one.
fn configuration<'a>(found: Result<&'a Site<'_>, &SettingsError>) -> doctor::Configuration<'a> {
    match found {
        Ok(site) => doctor::Configuration::Usable {
            spec: &site.settings.spec,
            warnings: site.settings.warnings.iter().map(Finding::body).collect(),
            access: &site.access,
            grants: &site.settings.grants,
        },
        Err(SettingsError::Config(error)) => doctor::Configuration::Wrong(
            error.findings.iter().map(|f| (f.severity == Severity::Error, f.body())).collect(),
        ),
        Err(error @ SettingsError::NoConfig(_)) => {
            doctor::Configuration::Absent(error.to_string(), error.hint())
        }
        Err(error) => doctor::Configuration::Wrong(vec![(true, failure::chain(error))]),
    }
}

/// What opens the object service that is the store; `None` where the store is another.
fn object_service(store: &StoreChoice) -> Option<Result<FoundCredential, NoCredential>> {
    match store.innermost() {
        StoreChoice::Objects { access, .. } => {
            Some(access.as_ref().map(|access| access.found()).map_err(Clone::clone))
        }
        _ => None,
    }
}
