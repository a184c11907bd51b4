//! `explain`: which key it is about, and how far the store can be looked into from here.

use super::args::{Args, Command};
use super::exit::Exit;
use super::housekeeping;
use super::publish::print;
use super::settings::Settings;
use super::store_choice;
use crate::command::context::Context;
use crate::command::explain::{self, Reach, Subject};
use crate::domain::fault::Fault;
use crate::domain::key::Key;
use crate::domain::version::Version;
use crate::github::Right;
use crate::platform::Env;

/// A key that was typed.
pub(super) struct Asked {
    key: String,
    restore_keys: Vec<String>,
}

/// Takes the key that `explain` is asked about out of the options, where it would declare a cache without paths.
pub(super) fn take_key(args: &mut Args) -> Option<Asked> {
    if !matches!(args.command, Command::Explain { .. }) || !args.common.paths.is_empty() {
        return None;
    }
    let key = args.common.key.take()?;
    Some(Asked { key, restore_keys: std::mem::take(&mut args.common.restore_keys) })
}

/// Explains what was asked for.
pub(super) fn run(
    ctx: &Context<'_>,
    args: &Args,
    asked: Option<&Asked>,
    env: &Env,
    settings: &Settings,
) -> Result<Exit, Fault> {
    let Command::Explain { selected, target, layout, diff } = &args.command else {
        unreachable!("only called for it")
    };
    let credentials = store_choice::credentials(&settings.spec.store, env, ctx.now).and_then(Result::ok);
    let subject = subject(asked, &selected.caches, layout.as_deref())?;
    let reach = match credentials.as_ref().and_then(|found| found.refusal(Right::Read)) {
        Some(why) => Reach::Denied(why),
        None => match housekeeping::find(target, env, settings, ctx)? {
            Some(target) => Reach::Listing(target),
            // The service itself still answers lookups.
            None if credentials.is_some() => {
                let fault = housekeeping::no_token();
                Reach::Lookups { why: fault.to_string(), hint: fault.hint() }
            }
            None => return Err(housekeeping::no_token()),
        },
    };
    let options = explain::Options {
        subject,
        diff: diff.as_deref().map(|path| env.current_dir.join(path)),
        has_service: credentials.is_some(),
        scopes: credentials.and_then(|found| found.scopes_with(Right::Read)),
    };
    Ok(print(&explain::run(ctx, &reach, &options)?))
}

fn subject(asked: Option<&Asked>, caches: &[String], version: Option<&str>) -> Result<Subject, Fault> {
    let key = |text: &String| {
        Key::new(text.clone()).map_err(|source| Fault::usage(format!("`{text}`")).caused_by(source))
    };
    let version = match version {
        None => None,
        Some(text) if asked.is_some() => Some(Version::parse(text).ok_or_else(|| {
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
    match asked {
        None => Ok(Subject::Declared(caches.to_vec())),
        Some(_) if caches.len() > 1 => {
            Err(Fault::usage("`--key` is explained for one cache, not for several"))
        }
        Some(asked) => Ok(Subject::Key {
            key: key(&asked.key)?,
            restore_keys: asked.restore_keys.iter().map(key).collect::<Result<_, _>>()?,
            version,
            cache: caches.first().cloned(),
        }),
    }
}
