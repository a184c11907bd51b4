//! Placeholders, filled in for this job.

use std::path::{Path, PathBuf};

use super::context::Context;
use crate::domain::content_link::WantedObjects;
use crate::domain::hint::Hint;
use crate::domain::template::{ExpandError, Expanded, Placeholder, Template};
use crate::inputs::files::{self, FileDigestError};
use crate::inputs::git::{self, GitIndexError};
use crate::inputs::globs::{TreeGlob, TreeGlobError};
use crate::inputs::hash_files::{self, HashFilesError};

/// Why a placeholder has no value here.
#[derive(Debug, thiserror::Error)]
pub enum ValueError {
    /// The platform does not tell.
    #[error("{} does not provide it", .0)]
    Untold(&'static str),
    /// No such variable.
    #[error("the environment has no `{0}`")]
    NoEnv(String),
    /// No such variable was given.
    #[error("no value was given for it")]
    NoVar(String),
    /// A path that is not Unicode cannot stand in a key or a variable.
    #[error("`{0}` is not Unicode")]
    NotUnicode(String),
    /// It means nothing in this place.
    #[error("it has no effect here")]
    Misplaced,
    /// Nothing matches.
    #[error("no file matches")]
    NoMatch,
    /// A glob is none.
    #[error(transparent)]
    Glob(#[from] TreeGlobError),
    /// The index was not read.
    #[error(transparent)]
    Git(#[from] GitIndexError),
    /// Files were not read.
    #[error(transparent)]
    Files(#[from] FileDigestError),
    /// Files were not read as GitHub reads them.
    #[error(transparent)]
    HashFiles(#[from] HashFilesError),
}

impl ValueError {
    /// Whether a file could not be read, rather than that the configuration asks for what cannot be.
    pub fn is_fault_of_tree(&self) -> bool {
        matches!(self, ValueError::Git(_) | ValueError::Files(_) | ValueError::HashFiles(_))
    }
}

impl Hint for ValueError {
    fn hint(&self) -> Option<String> {
        match self {
            ValueError::Untold(_) => Some("give it with `--ref`, or leave the placeholder out".to_owned()),
            ValueError::NoVar(name) => Some(format!("give it with `--var {name}=VALUE`")),
            ValueError::Glob(error) => error.hint(),
            ValueError::Git(error) => error.hint(),
            ValueError::Files(error) => error.hint(),
            ValueError::HashFiles(error) => error.hint(),
            _ => None,
        }
    }
}

/// A failed expansion, with its hint.
pub type Failure = ExpandError<ValueError>;

impl Hint for Failure {
    fn hint(&self) -> Option<String> {
        match self {
            ExpandError::Empty(_) => {
                Some("an empty part would make keys meet that must not; see what it should match".to_owned())
            }
            ExpandError::Failed { source, .. } => source.hint(),
        }
    }
}

/// What went into a placeholder: a name and a digest for each file or object, sorted by name.
pub type Inputs = Vec<(String, String)>;

/// What placeholders may draw on beside the job.
#[derive(Default)]
pub struct Sources<'a> {
    /// The cache's first root, for `{path}`.
    pub path: Option<&'a Path>,
    /// The objects that its links want, for `{links}`.
    pub wanted: Option<&'a WantedObjects>,
    /// Directories that hold no sources, for `{files:…}`: the cache itself.
    pub without: &'a [PathBuf],
}

/// Fills in a template; `inputs` hears what went into each placeholder that is a digest.
pub fn expand(
    ctx: &Context<'_>,
    template: &Template,
    sources: &Sources<'_>,
    mut inputs: impl FnMut(&Placeholder, Inputs),
) -> Result<Expanded, Failure> {
    template.expand(|placeholder| value(ctx, placeholder, sources, &mut inputs))
}

fn value(
    ctx: &Context<'_>,
    placeholder: &Placeholder,
    sources: &Sources<'_>,
    inputs: &mut impl FnMut(&Placeholder, Inputs),
) -> Result<String, ValueError> {
    let facts = ctx.platform.facts();
    let told = |value: Option<&str>| value.map(str::to_owned).ok_or(ValueError::Untold(facts.platform));
    let path = |path: &Path| {
        path.to_str().map(str::to_owned).ok_or_else(|| ValueError::NotUnicode(path.display().to_string()))
    };
    match placeholder {
        Placeholder::Os => Ok(facts.os.clone()),
        Placeholder::Arch => Ok(facts.arch.clone()),
        Placeholder::Ref => told(ctx.git_ref),
        Placeholder::Sha => told(facts.sha.as_deref()),
        Placeholder::RunId => told(facts.run_id.as_deref()),
        Placeholder::RunAttempt => told(facts.run_attempt.as_deref()),
        Placeholder::Temp => path(ctx.temp),
        Placeholder::Workspace => path(ctx.workspace),
        Placeholder::Home => path(facts.home.as_deref().ok_or(ValueError::Untold(facts.platform))?),
        Placeholder::Path => path(sources.path.ok_or(ValueError::Misplaced)?),
        Placeholder::Env(name) => {
            ctx.env.var(name).map(str::to_owned).ok_or_else(|| ValueError::NoEnv(name.clone()))
        }
        Placeholder::Var(name) => {
            ctx.variables.get(name).cloned().ok_or_else(|| ValueError::NoVar(name.clone()))
        }
        Placeholder::Links => {
            let wanted = sources.wanted.filter(|wanted| !wanted.is_empty()).ok_or(ValueError::NoMatch)?;
            inputs(
                placeholder,
                wanted.iter().map(|(object, _)| (object.to_string(), String::new())).collect(),
            );
            Ok(wanted.digest().to_string())
        }
        Placeholder::Git(globs) => {
            let found = git::git_digest(ctx.workspace, &TreeGlob::new(globs)?, &ctx.interrupt.cancel)?;
            inputs(placeholder, found.blobs);
            found.digest.map(|digest| digest.to_string()).ok_or(ValueError::NoMatch)
        }
        Placeholder::Files(globs) => {
            let globs = TreeGlob::new(globs)?;
            let found = files::file_digest(ctx.workspace, &globs, sources.without, &ctx.interrupt.cancel)?;
            let named = found.files.into_iter().map(|(name, digest)| (name, digest.to_string()));
            inputs(placeholder, named.collect());
            found.digest.map(|digest| digest.to_string()).ok_or(ValueError::NoMatch)
        }
        Placeholder::HashFiles(globs) => {
            let home = facts.home.as_deref();
            let found = hash_files::hash_files(ctx.workspace, globs, home, &ctx.interrupt.cancel)?;
            let named = found.files.into_iter().map(|(name, digest)| (name, digest.to_string()));
            inputs(placeholder, named.collect());
            found.digest.map(|digest| digest.to_string()).ok_or(ValueError::NoMatch)
        }
        Placeholder::Hash | Placeholder::AlgorithmUpper | Placeholder::AlgorithmLower => {
            Err(ValueError::Misplaced)
        }
    }
}
