//! `explain`: which key it is about, and how far the store can be looked into from here.

use std::path::Path;

use super::args::{StoreTarget, TypedKey};
use super::catalog;
use super::site::Site;
use crate::command::context::Context;
use crate::command::explain::{self, StoreReach, Subject};
use crate::domain::fault::Fault;
use crate::domain::key::Key;
use crate::domain::version::Version;
use crate::github::Right;

/// What was asked about beside a key.
pub(super) struct ExplainTarget<'a> {
    /// Caches by name; none means all.
    pub(super) caches: &'a [String],
    /// The version of entries to look for.
    pub(super) layout: Option<&'a str>,
    /// Whether files are compared.
    pub(super) files: bool,
}

/// Explains what was asked for.
pub(super) fn run(
    site: &Site<'_>,
    ctx: &Context<'_>,
    asked: &ExplainTarget<'_>,
    target: &StoreTarget,
    diff: Option<&Path>,
) -> Result<String, Fault> {
    let credentials = site.store.credentials();
    let subject = subject(site.typed_key.as_ref(), asked)?;
    let reach = match credentials.and_then(|found| found.refusal(Right::Read)) {
        Some(why) => StoreReach::Denied(why),
        None => match catalog::find(target, site, ctx)? {
            Some(catalog) => StoreReach::Listing(catalog),
            // The service itself still answers lookups.
            None if credentials.is_some() => {
                let fault = catalog::no_token();
                StoreReach::Lookups { why: fault.to_string(), hint: fault.hint() }
            }
            None => return Err(catalog::no_token()),
        },
    };
    let options = explain::ExplainOptions {
        subject,
        files: asked.files,
        diff: diff.map(|path| site.absolute(path)),
        has_service: credentials.is_some(),
        scopes: credentials.and_then(|found| found.scopes_with(Right::Read)),
    };
    explain::run(ctx, &reach, &options)
}

fn subject(typed: Option<&TypedKey>, asked: &ExplainTarget<'_>) -> Result<Subject, Fault> {
    let ExplainTarget { caches, layout, .. } = asked;
    let key = |text: &String| {
        Key::for_job(text.clone()).map_err(|source| Fault::usage(format!("`{text}`")).caused_by(source))
    };
    let version = match layout {
        None => None,
        Some(text) if typed.is_some() => Some(Version::parse(text).ok_or_else(|| {
            Fault::usage(format!(
                "`{text}` is not a version: a version has 64 hexadecimal digits in lower case"
            ))
            .with_hint("`cachekeep ls --json` lists the versions there are".to_owned())
        })?),
        Some(_) => {
            return Err(Fault::usage(
                "`--version` goes with `--key`: a declared cache has a version of its own",
            ));
        }
    };
    match typed {
        None => Ok(Subject::Declared(caches.to_vec())),
        Some(_) if caches.len() > 1 => {
            Err(Fault::usage("`--key` is explained for one cache, not for several"))
        }
        Some(typed) => Ok(Subject::Key {
            key: key(&typed.key)?,
            restore_keys: typed.restore_keys.iter().map(key).collect::<Result<_, _>>()?,
            version,
            cache: caches.first().cloned(),
        }),
    }
}
