//! What is made of the templates of a cache: its keys and what it exports, with placeholders filled in for this job.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::{Cache, DeclaredCache};
use crate::command::context::Context;
use crate::domain::content_link::WantedObjects;
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::hint::Class;
use crate::domain::key::Key;
use crate::domain::outcome::JobOutcome;
use crate::domain::template::{ExpandError, Expanded, Placeholder, Template};
use crate::domain::trust::ExportVerdict;
use crate::fs::read_error::ReadError;
use crate::inputs::files;
use crate::inputs::git;
use crate::inputs::globs::TreeGlob;
use crate::inputs::hash_files;
use crate::inputs::links::wanted_objects;
use crate::inputs::tool;
use crate::report::failure;
use crate::tree::selection::Selection;

/// A part of a key: the placeholder, what it became, and what went into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPart {
    /// The placeholder as written.
    pub placeholder: String,
    /// What it became.
    pub value: String,
    /// For digests: the files or objects, sorted by name, each with its own digest where it has one.
    pub inputs: KeyInputs,
}

/// The keys of a cache in this job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the name that GitHub's input has")]
pub(crate) struct Keys {
    /// The primary key.
    pub key: Key,
    /// The prefixes to fall back to, in order.
    pub restore_keys: Vec<Key>,
    /// What went into the primary key.
    pub parts: Vec<KeyPart>,
}

/// What went into a placeholder: a name and a digest for each file or object, sorted by name.
pub(crate) type KeyInputs = Vec<(String, String)>;

/// A cache, ready to be worked on or not.
pub(crate) enum OpenedCache<'a> {
    /// Opened, with its keys.
    Ready {
        /// The cache.
        cache: Box<Cache<'a>>,
        /// Its keys.
        keys: Keys,
    },
    /// Its links or files could not be read, which was reported. The job goes on without it.
    Failed {
        /// Its name.
        name: &'a str,
    },
}

impl<'a> OpenedCache<'a> {
    /// The cache's name.
    pub(crate) fn name(&self) -> &str {
        match self {
            OpenedCache::Ready { cache, .. } => &cache.spec.name,
            OpenedCache::Failed { name } => name,
        }
    }

    /// The cache and its keys; one that could not be opened is noted in the outcome.
    pub(crate) fn ready(&self, job: &mut JobOutcome) -> Option<(&Cache<'a>, &Keys)> {
        match self {
            OpenedCache::Ready { cache, keys } => Some((cache, keys)),
            OpenedCache::Failed { name } => {
                job.broken.push((*name).to_owned());
                None
            }
        }
    }

    /// The same cache if its exports can be expanded. With half of its variables a build would not use the cache, so the
    /// job goes on without it.
    pub(crate) fn if_exportable(self) -> Self {
        let OpenedCache::Ready { cache, .. } = &self else { return self };
        match cache.exports() {
            Ok(_) => self,
            Err(fault) => {
                let text = format!("skipped, for what it exports is not known: {}", failure::chain(&fault));
                cache.ctx.report_with_hint(Level::Warning, cache.name(), text, fault.hint());
                OpenedCache::Failed { name: &cache.spec.name }
            }
        }
    }

    /// Expands the keys of a cache. A fault of the configuration is an error; a fault of the tree is a warning, for a cache
    /// is never in the way.
    fn with_keys(
        ctx: &'a Context<'a>,
        DeclaredCache { spec, opened }: DeclaredCache<'a>,
        choose: &impl Fn(&Cache<'a>, Result<Keys, Fault>) -> Result<Keys, Fault>,
    ) -> Result<Self, Fault> {
        let ready = opened.and_then(|cache| {
            let keys = choose(&cache, cache.keys())?;
            Ok(OpenedCache::Ready { cache: Box::new(cache), keys })
        });
        match ready {
            Ok(ready) => Ok(ready),
            Err(fault) if fault.is_usage() => Err(spec.named_in(fault)),
            Err(fault) => {
                ctx.report_with_hint(Level::Warning, &spec.name, failure::chain(&fault), fault.hint());
                Ok(OpenedCache::Failed { name: &spec.name })
            }
        }
    }
}

/// Expands the keys of all caches, before any is touched, so that a wrong configuration stops the command first. `choose` is given the
/// result, and says which keys count.
pub(crate) fn with_keys<'a>(
    ctx: &'a Context<'a>,
    caches: Vec<DeclaredCache<'a>>,
    choose: impl Fn(&Cache<'a>, Result<Keys, Fault>) -> Result<Keys, Fault>,
) -> Result<Vec<OpenedCache<'a>>, Fault> {
    if caches.is_empty() {
        let hint = "add a table `[cache.NAME]` with `path` and `key` to the configuration".to_owned();
        ctx.report_about_job_with_hint(Level::Warning, "no cache is declared".to_owned(), Some(hint));
    }
    caches.into_iter().map(|cache| OpenedCache::with_keys(ctx, cache, &choose)).collect()
}

/// As [`with_keys`], with the keys that were expanded.
pub(crate) fn with_computed_keys<'a>(
    ctx: &'a Context<'a>,
    caches: Vec<DeclaredCache<'a>>,
) -> Result<Vec<OpenedCache<'a>>, Fault> {
    with_keys(ctx, caches, |_, computed| computed)
}

impl Cache<'_> {
    /// Expands the keys, within the time for one cache: what goes into them may be large.
    pub(crate) fn keys(&self) -> Result<Keys, Fault> {
        within_deadline(self.ctx, |cancel| self.keys_until(cancel))
    }

    fn keys_until(&self, cancel: &CancellationToken) -> Result<Keys, Fault> {
        let needs_links = |template: &Template| template.placeholders().any(|p| *p == Placeholder::Links);
        let templates = || std::iter::once(&self.spec.key).chain(&self.spec.restore_keys);
        let wanted = if templates().any(needs_links) { Some(self.wanted()?) } else { None };
        let hidden = self.hidden_from_keys();
        let sources = Sources { path: None, wanted, without: &hidden };
        let mut all_inputs: Vec<(Placeholder, KeyInputs)> = Vec::new();
        let mut made = Vec::new();
        let mut parts = Vec::new();
        for template in templates() {
            let hear = |placeholder: &Placeholder, inputs| all_inputs.push((placeholder.clone(), inputs));
            let expanded = expand(self.ctx, template, &sources, cancel, hear)?;
            let key = Key::for_job(expanded.text)
                .map_err(|why| Fault::usage(format!("`{}`", template.source())).caused_by(why))?;
            if made.is_empty() {
                parts = expanded.parts;
            }
            made.push(key);
        }
        let part = |(placeholder, value): (Placeholder, String)| {
            let inputs =
                all_inputs.iter().find(|(of, _)| *of == placeholder).map(|(_, inputs)| inputs.clone());
            KeyPart { placeholder: placeholder.to_string(), value, inputs: inputs.unwrap_or_default() }
        };
        let restore_keys = made.split_off(1);
        let key = made.remove(0);
        Ok(Keys { key, restore_keys, parts: parts.into_iter().map(part).collect() })
    }

    /// The variables that tell the build where the cache is, as far as the event and the workflow let the configuration
    /// export them.
    pub(crate) fn exports(&self) -> Result<Vec<(String, String)>, Fault> {
        let sources = Sources { path: Some(self.root()), ..Sources::default() };
        let mut exports = Vec::new();
        for (name, template) in &self.spec.export {
            let is_of_kind = self.spec.kind_exports.contains(name);
            // What a job sets itself goes before what a kind suggests, but for the place of the cache.
            let is_set = is_of_kind && template.source() != "{path}" && self.ctx.env.var(name).is_some();
            if is_set || self.ctx.grants.export_of(self.spec, name) != ExportVerdict::Exported {
                continue;
            }
            match expand_one(self.ctx, template, &sources) {
                Ok(value) => exports.push((name.clone(), value)),
                // The limit of a cache, of which the trim warns.
                Err(_) if is_of_kind => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(exports)
    }

    /// The objects that the content links want; empty for a cache without links. For each file that `links.files` matches outside of the cache,
    /// the extension names the algorithm and the text is the hash.
    pub(crate) fn wanted(&self) -> Result<&WantedObjects, Fault> {
        if let Some(wanted) = self.wanted.get() {
            return Ok(wanted);
        }
        let wanted = match &self.spec.links {
            None => WantedObjects::default(),
            Some(links) => {
                let _scanning = self.ctx.start(self.name(), Phase::Scan);
                let globs = TreeGlob::new(&links.files)?;
                let hidden = self.hidden_from_keys();
                let (wanted, unreadable) = within_deadline(self.ctx, |cancel| {
                    wanted_objects(self.ctx.workspace, &globs, &hidden, self.ctx.workers, cancel)
                })?;
                warn_of_unread(self.ctx, &unreadable);
                wanted
            }
        };
        Ok(self.wanted.get_or_init(|| wanted))
    }

    /// Directories whose files never go into a key: what the cache holds, and this program's own.
    fn hidden_from_keys(&self) -> Vec<PathBuf> {
        // Of a root that holds the workspace, the key is all the same made of files in it.
        let is_below = |selection: &&Selection| !self.ctx.workspace.starts_with(&selection.root);
        let whole = self.selections.iter().filter(|selection| selection.is_whole()).filter(is_below);
        let own = self.ctx.own_places().into_iter();
        whole.map(|selection| selection.root.clone()).chain(own).collect()
    }
}

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
    let hint = format!("give it with `--var {name}=VALUE`, or `vars: {name}=VALUE` in a step");
    Fault::environment("no value was given for it").with_hint(hint)
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

/// What a placeholder stands for in this job.
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
fn within_deadline<T>(
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
fn warn_of_unread(ctx: &Context<'_>, unreadable: &[ReadError]) {
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
