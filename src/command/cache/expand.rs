//! Placeholders, filled in for this job.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::command::context::Context;
use crate::domain::content_link::WantedObjects;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::hint::Class;
use crate::domain::template::{ExpandError, Expanded, Placeholder, Template};
use crate::fs::read_error::ReadError;
use crate::inputs::files;
use crate::inputs::git;
use crate::inputs::globs::TreeGlob;
use crate::inputs::hash_files;
use crate::inputs::tool;

// What this job or this tree lacks is a fault of the environment: that cache is skipped and the command goes on. Only what
// no job could expand is a fault of the configuration.

/// A value that this job does not have.
fn unavailable(placeholder: &Placeholder, platform: &str) -> Fault {
    let hint = match placeholder {
        Placeholder::Ref => "give it with `--ref`",
        Placeholder::Sha => "run in a checkout of git with a commit",
        Placeholder::Home => "set HOME",
        _ => "only jobs of a CI have it: leave it out, or use `{var.NAME}` with `--var NAME=VALUE`",
    };
    Fault::environment(format!("{platform} does not provide it")).with_hint(hint.to_owned())
}

fn unset(name: &str) -> Fault {
    Fault::environment(format!("the environment has no `{name}`")).with_hint("set it in the job".to_owned())
}

fn no_variable(name: &str) -> Fault {
    Fault::environment("no value was given for it").with_hint(format!("give it with `--var {name}=VALUE`"))
}

fn misplaced() -> Fault {
    Fault::usage("it has no effect here")
}

/// No file matches below the workspace.
fn no_match(placeholder: &Placeholder, workspace: &Path) -> Fault {
    let what = match placeholder {
        Placeholder::Git(globs) | Placeholder::Files(globs) | Placeholder::HashFiles(globs) => {
            format!("no file matches `{}`", globs.join(","))
        }
        _ => "no content link was found".to_owned(),
    };
    Fault::environment(format!("{what} below `{}`", workspace.display()))
        .with_hint("is it checked out, and spelled from the workspace?".to_owned())
}

/// A failed expansion of a template, with the template as written.
fn failed(template: &Template, error: ExpandError<Fault>) -> Fault {
    let why = error.to_string();
    let fault = match error {
        ExpandError::Empty(_) => Fault::environment(why).with_hint(
            "an empty part would make keys meet that must not; see what it should match".to_owned(),
        ),
        ExpandError::Failed { source, placeholder } => {
            source.in_context(format!("{placeholder} cannot be expanded"))
        }
    };
    fault.in_context(format!("`{}`", template.source()))
}

/// What went into a placeholder: a name and a digest for each file or object, sorted by name.
pub(crate) type KeyInputs = Vec<(String, String)>;

/// What placeholders may draw on beside the job.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sources<'a> {
    /// The cache's first root, for `{path}`.
    pub path: Option<&'a Path>,
    /// The objects that its links want, for `{links}`.
    pub wanted: Option<&'a WantedObjects>,
    /// Directories that hold no sources, for `{files:…}`: the cache itself.
    pub without: &'a [PathBuf],
}

/// Fills in a template; `inputs` hears what went into each placeholder that is a digest. Files are read until `cancel`.
pub(crate) fn expand(
    ctx: &Context<'_>,
    template: &Template,
    sources: &Sources<'_>,
    cancel: &CancellationToken,
    mut inputs: impl FnMut(&Placeholder, KeyInputs),
) -> Result<Expanded, Fault> {
    template
        .expand(|placeholder| value(ctx, placeholder, sources, cancel, &mut inputs))
        .map_err(|error| failed(template, error))
}

/// Expands a template without reporting the inputs of its digests.
pub(crate) fn expand_one(
    ctx: &Context<'_>,
    template: &Template,
    sources: &Sources<'_>,
) -> Result<String, Fault> {
    let expanded = |cancel: &CancellationToken| expand(ctx, template, sources, cancel, |_, _| {});
    Ok(within_deadline(ctx, expanded)?.text)
}

/// Does work within the time for one cache; the fault of work that this ends says so.
pub(super) fn within_deadline<T>(
    ctx: &Context<'_>,
    work: impl FnOnce(&CancellationToken) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let deadline = ctx.deadline();
    work(&deadline.cancel).map_err(|fault| match deadline.reason(ctx.interrupt) {
        Some(reason) if fault.class() == Class::Cancelled => {
            let hint = "raise `--timeout`, or exclude what is large from what is read".to_owned();
            Fault::new(Class::Cancelled, reason).with_hint(hint).caused_by(fault)
        }
        _ => fault,
    })
}

/// Warns of directories that could not be read while files were looked for: what is in them does not count.
pub(super) fn warn_of_unread(ctx: &Context<'_>, unreadable: &[ReadError]) {
    for error in unreadable {
        let hint = "make the directory readable, or exclude it with a `!` glob".to_owned();
        ctx.report_about_job_with_hint(Level::Warning, error.to_string(), Some(hint));
    }
}

/// The digest of the wanted objects, which go into it.
fn links(
    wanted: Option<&WantedObjects>,
    no_match: impl Fn() -> Fault,
    inputs: impl FnOnce(KeyInputs),
) -> Result<String, Fault> {
    let wanted = wanted.filter(|wanted| !wanted.is_empty()).ok_or_else(no_match)?;
    inputs(wanted.iter().map(|(object, _)| (object.to_string(), String::new())).collect());
    Ok(wanted.digest().to_string())
}

fn value(
    ctx: &Context<'_>,
    placeholder: &Placeholder,
    sources: &Sources<'_>,
    cancel: &CancellationToken,
    inputs: &mut impl FnMut(&Placeholder, KeyInputs),
) -> Result<String, Fault> {
    let facts = ctx.platform.facts();
    let lacking = || unavailable(placeholder, facts.platform);
    let no_match = || no_match(placeholder, ctx.workspace);
    let known = |value: Option<&str>| value.map(str::to_owned).ok_or_else(lacking);
    let path = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| Fault::usage(format!("`{}` is not Unicode", path.display())))
    };
    match placeholder {
        Placeholder::Os => Ok(facts.os.clone()),
        Placeholder::Arch => Ok(facts.arch.clone()),
        Placeholder::Ref => known(ctx.git_ref),
        Placeholder::Sha => known(facts.sha.as_deref()),
        Placeholder::RunId => known(facts.run_id.as_deref()),
        Placeholder::RunAttempt => known(facts.run_attempt.as_deref()),
        Placeholder::Temp => path(ctx.temp),
        Placeholder::Workspace => path(ctx.workspace),
        Placeholder::Home => path(facts.home.as_deref().ok_or_else(lacking)?),
        Placeholder::Path => path(sources.path.ok_or_else(misplaced)?),
        Placeholder::Env(name) => ctx.env.var(name).map(str::to_owned).ok_or_else(|| unset(name)),
        Placeholder::Var(name) => ctx.variables.get(name).cloned().ok_or_else(|| no_variable(name)),
        Placeholder::Links => links(sources.wanted, no_match, |named| inputs(placeholder, named)),
        Placeholder::Git(globs) => {
            let found = git::git_digest(ctx.workspace, &TreeGlob::new(globs)?, cancel)?;
            inputs(placeholder, found.blobs);
            found.digest.map(|digest| digest.to_string()).ok_or_else(no_match)
        }
        Placeholder::Files(globs) => {
            let globs = TreeGlob::new(globs)?;
            let found = files::file_digest(ctx.workspace, &globs, sources.without, ctx.workers, cancel)?;
            warn_of_unread(ctx, &found.unreadable);
            let named = found.files.into_iter().map(|(name, digest)| (name, digest.to_string()));
            inputs(placeholder, named.collect());
            found.digest.map(|digest| digest.to_string()).ok_or_else(no_match)
        }
        Placeholder::HashFiles(globs) => {
            let home = facts.home.as_deref();
            let found = hash_files::hash_files(ctx.workspace, globs, home, cancel)?;
            let named = found.files.into_iter().map(|(name, digest)| (name, digest.to_string()));
            inputs(placeholder, named.collect());
            found.digest.map(|digest| digest.to_string()).ok_or_else(no_match)
        }
        Placeholder::Tool(name) => {
            let found = tool::version(ctx.env, name, ctx.workspace, cancel)?;
            inputs(placeholder, vec![(found.printed, String::new())]);
            Ok(found.version)
        }
        Placeholder::Hash | Placeholder::AlgorithmUpper | Placeholder::AlgorithmLower => Err(misplaced()),
    }
}
