//! `explain`: why a cache misses, or hits. Looks, and changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::cache::{Cache, Keys};
use super::context::Context;
use super::key::{self, InputChanges, Part};
use super::remembered::{self, Record};
use super::session;
use super::usage::{self, UsageError};
use crate::disk::selection::Selection;
use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::explain::origin::Family;
use crate::domain::explain::shape::KeyShape;
use crate::domain::explain::{Answer, Cause, Question, Stock};
use crate::domain::hint::Hint;
use crate::domain::key::{Key, MAX_KEYS};
use crate::domain::retention::Facts;
use crate::domain::scope::Scope;
use crate::domain::spec::CacheSpec;
use crate::domain::version::Version;
use crate::report::explain_json::ExplainDocument;
use crate::report::explain_text::{self, Explained, Inputs};
use crate::report::{failure, json};
use crate::store::housekeeping::{Housekeeping, HousekeepingError};
use crate::store::{Access, StoreError, StoreErrorKind};

/// What is asked about.
pub enum Subject {
    /// Declared caches by name; none means all.
    Declared(Vec<String>),
    /// A key that was typed.
    Key {
        /// The key.
        key: Key,
        /// Prefixes to fall back to.
        restore_keys: Vec<Key>,
        /// The version of its entries.
        version: Option<Version>,
        /// The cache it belongs to.
        cache: Option<String>,
    },
}

/// What to explain, and with what.
pub struct Options {
    /// What is asked about.
    pub subject: Subject,
    /// Keys that another job printed.
    pub diff: Option<PathBuf>,
    /// Whether the store is GitHub's cache service, which answers lookups.
    pub has_service: bool,
    /// The scopes that the job's token opens, where it says so.
    pub scopes: Option<Vec<Scope>>,
}

/// How far the store can be looked into.
pub enum Reach {
    /// All of it.
    Listing(Box<dyn Housekeeping>),
    /// Lookups only.
    Lookups {
        /// Why there is no list.
        why: String,
        /// What would give one.
        hint: Option<String>,
    },
    /// Not at all: the job may not read it.
    Denied(String),
}

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A cache cannot be opened or its key not be made.
    #[error(transparent)]
    Session(#[from] session::Error),
    /// The store cannot be looked into.
    #[error(transparent)]
    Store(#[from] UsageError),
    /// A lookup failed.
    #[error("cannot look up in {location}: {source}")]
    Lookup {
        /// The store.
        location: String,
        /// Why not.
        source: StoreError,
    },
    /// The keys of another job cannot be read.
    #[error(transparent)]
    Diff(#[from] key::KeyError),
    /// What was typed is no key.
    #[error("`{text}`: {source}")]
    Key {
        /// What was typed.
        text: String,
        /// Why not.
        source: crate::domain::key::KeyError,
    },
    /// What was typed is no version.
    #[error("`{0}` is no version: that has 64 hexadecimal digits in lower case")]
    Version(String),
    /// A version says nothing about a declared cache, which has its own.
    #[error("`--version` goes with `--key`: a declared cache has a version of its own")]
    VersionWithoutKey,
    /// One key is of one cache.
    #[error("`--key` is explained for one cache, not for several")]
    KeyOfSeveral,
    /// There is no cache and no key.
    #[error("there is nothing to explain: no cache is declared here and no key was given")]
    Nothing,
}

impl ExplainError {
    /// Whether a right is missing.
    pub fn is_denied(&self) -> bool {
        matches!(self, ExplainError::Store(error) if error.is_denied())
    }

    /// Whether what was typed or configured is at fault.
    pub fn is_usage(&self) -> bool {
        match self {
            ExplainError::Session(error) => error.source.is_fault_of_configuration(),
            ExplainError::Store(_) | ExplainError::Lookup { .. } => false,
            _ => true,
        }
    }
}

impl Hint for ExplainError {
    fn hint(&self) -> Option<String> {
        match self {
            ExplainError::Session(error) => error.hint(),
            ExplainError::Store(error) => error.hint(),
            ExplainError::Lookup { source, .. } => source.hint(),
            ExplainError::Diff(error) => error.hint(),
            ExplainError::Version(_) => Some("`cachekeep ls --json` lists the versions there are".to_owned()),
            ExplainError::Nothing => Some(
                "run it where `cachekeep.toml` is, or give `--key KEY`, with `--restore-key` if need be"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// One thing to explain, with what this machine knows about it.
struct Case {
    cache: Option<String>,
    question: Question,
    family: Family,
    /// What the key is made of.
    parts: Vec<Part>,
    records: Vec<Record>,
}

/// Explains; the text, or the JSON document.
pub fn run(ctx: &Context<'_>, reach: &Reach, options: &Options) -> Result<String, ExplainError> {
    let cases = cases(ctx, options)?;
    let before = options.diff.as_deref().map(key::read).transpose()?;
    let view = look(ctx, reach, options)?;
    let mut answered: Vec<(Case, Answer)> = Vec::new();
    for mut case in cases {
        // On GitHub every job reads what the default branch saved.
        if let Some(facts) = view.facts().filter(|facts| facts.limit.is_some())
            && options.scopes.is_none()
            && !case.question.scopes.contains(&facts.default_branch)
        {
            case.question.scopes.push(facts.default_branch.clone());
        }
        let answer = case.question.answer(&view.stock(ctx, &case)?);
        answered.push((case, answer));
    }
    let explained: Vec<Explained<'_>> = answered
        .iter()
        .map(|(case, answer)| Explained {
            cache: case.cache.as_deref(),
            question: &case.question,
            answer,
            store: &view.location,
            facts: view.facts(),
            family: &case.family,
            inputs: inputs(case, answer, before.as_ref()),
            untold: view.hint.as_deref(),
        })
        .collect();
    Ok(if ctx.stdout_is_json {
        json::render(&ExplainDocument::new(&view.location, &explained))
    } else {
        explain_text::render(&explained)
    })
}

fn cases(ctx: &Context<'_>, options: &Options) -> Result<Vec<Case>, ExplainError> {
    let scopes = || options.scopes.clone().unwrap_or_else(|| ctx.access.readable.clone());
    let open = |spec: &'_ CacheSpec| -> Result<(), session::Error> {
        Cache::open(ctx, spec).map(drop).map_err(|source| session::Error { cache: spec.name.clone(), source })
    };
    match &options.subject {
        Subject::Declared(names) => {
            let wanted = ctx.caches.iter().filter(|spec| names.is_empty() || names.contains(&spec.name));
            let cases = wanted.map(|spec| {
                let failed = |source| session::Error { cache: spec.name.clone(), source };
                let cache = Cache::open(ctx, spec).map_err(failed)?;
                let Keys { key, restore_keys, parts } = cache.keys().map_err(failed)?;
                let values = parts.iter().map(|part| part.value.as_str());
                let records = remembered::read(&cache);
                let question = Question {
                    shape: KeyShape::of_template(&spec.key, values),
                    key,
                    restore_keys,
                    version: Some(cache.version()),
                    scopes: scopes(),
                    remembered: records.iter().filter_map(Record::entry).collect(),
                };
                let parts = parts.into_iter().map(Part::from).collect();
                Ok(Case {
                    cache: Some(spec.name.clone()),
                    question,
                    family: family(ctx, Some(&cache)),
                    parts,
                    records,
                })
            });
            let cases = cases.collect::<Result<Vec<_>, ExplainError>>()?;
            if cases.is_empty() { Err(ExplainError::Nothing) } else { Ok(cases) }
        }
        Subject::Key { key, restore_keys, version, cache } => {
            let spec = cache.as_ref().and_then(|name| ctx.caches.iter().find(|spec| spec.name == *name));
            spec.map(open).transpose()?;
            let opened = spec.and_then(|spec| Cache::open(ctx, spec).ok());
            let records = opened.as_ref().map(remembered::read).unwrap_or_default();
            let question = Question {
                shape: KeyShape::of_key(key),
                key: key.clone(),
                restore_keys: restore_keys.clone(),
                version: version.clone().or_else(|| opened.as_ref().map(Cache::version)),
                scopes: scopes(),
                remembered: records.iter().filter_map(Record::entry).collect(),
            };
            let family = family(ctx, opened.as_ref());
            Ok(vec![Case { cache: cache.clone(), question, family, parts: Vec::new(), records }])
        }
    }
}

/// What entries of other versions can be recognized by.
fn family(ctx: &Context<'_>, cache: Option<&Cache<'_>>) -> Family {
    let mut family = Family::default();
    for spec in ctx.caches {
        let Ok(other) = Cache::open(ctx, spec) else { continue };
        if cache.is_none_or(|cache| cache.name() != other.name()) {
            family.others.push((spec.name.clone(), other.selections.len()));
        }
    }
    let Some(cache) = cache else { return family };
    family.cache = Some((cache.name().to_owned(), cache.selections.len()));
    let sign = |exclude: bool| if exclude { "!" } else { "" };
    let written =
        cache.spec.paths.iter().map(|rule| format!("{}{}", sign(rule.exclude), rule.pattern.source()));
    let here = |selection: &Selection| selection.root.display().to_string();
    let absolute: Vec<String> = cache.selections.iter().map(here).collect();
    let home = ctx.platform.facts().home.as_ref().map(|home| home.display().to_string());
    let from = |folder: &str, by: &str| -> Vec<String> {
        let shortened =
            |path: &String| match path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')) {
                Some(rest) => format!("{by}{rest}"),
                None => path.clone(),
            };
        absolute.iter().map(shortened).collect()
    };
    family.spellings.push(written.collect());
    family.spellings.push(from(&ctx.workspace.display().to_string(), ""));
    family.spellings.extend(home.map(|home| from(&home, "~/")));
    family.spellings.push(absolute);
    family
}

/// The store, as far as it was looked into.
struct View {
    location: String,
    seen: Seen,
    /// What would let more be told.
    hint: Option<String>,
}

enum Seen {
    Listed(Box<Facts>),
    Lookups(String),
    Denied(String),
}

fn look(ctx: &Context<'_>, reach: &Reach, options: &Options) -> Result<View, ExplainError> {
    let service = ctx.store.location();
    match reach {
        Reach::Denied(why) => Ok(View { location: service, seen: Seen::Denied(why.clone()), hint: None }),
        Reach::Lookups { why, hint } => {
            Ok(View { location: service, seen: Seen::Lookups(why.clone()), hint: hint.clone() })
        }
        Reach::Listing(target) => match usage::survey(ctx, target.as_ref()) {
            Ok(facts) => {
                Ok(View { location: target.location(), seen: Seen::Listed(Box::new(facts)), hint: None })
            }
            Err(error) => {
                let why = failure::chain(&error);
                let hint = error.hint();
                let UsageError::Survey { source, .. } = &error else { return Err(error.into()) };
                match source {
                    HousekeepingError::Store(denied)
                        if denied.kind() == StoreErrorKind::Denied(Access::Read) =>
                    {
                        Ok(View { location: target.location(), seen: Seen::Denied(why), hint })
                    }
                    HousekeepingError::Api(_) if options.has_service && error.is_denied() => {
                        Ok(View { location: service, seen: Seen::Lookups(why), hint })
                    }
                    HousekeepingError::Store(unable)
                        if options.has_service && unable.kind() == StoreErrorKind::Unsupported =>
                    {
                        Ok(View { location: service, seen: Seen::Lookups(why), hint })
                    }
                    _ => Err(error.into()),
                }
            }
        },
    }
}

impl View {
    fn facts(&self) -> Option<&Facts> {
        match &self.seen {
            Seen::Listed(facts) => Some(facts),
            _ => None,
        }
    }

    fn stock(&self, ctx: &Context<'_>, case: &Case) -> Result<Stock<'_>, ExplainError> {
        Ok(match &self.seen {
            Seen::Listed(facts) => Stock::Listed(facts),
            Seen::Denied(why) => Stock::Denied { why: why.clone() },
            Seen::Lookups(why) => {
                let Some(version) = &case.question.version else {
                    let why = format!("{why}; and the service looks up one version at a time");
                    return Ok(Stock::LookedUp { found: None, nearest: None, why });
                };
                let found =
                    lookup(ctx, &case.question, version, &case.question.key, &case.question.restore_keys)?;
                let nearest = match (&found, beginnings(&case.question.key).split_first()) {
                    (None, Some((first, rest))) => lookup(ctx, &case.question, version, first, rest)?,
                    _ => None,
                };
                Stock::LookedUp { found, nearest, why: why.clone() }
            }
        })
    }
}

fn lookup(
    ctx: &Context<'_>,
    question: &Question,
    version: &Version,
    key: &Key,
    restore_keys: &[Key],
) -> Result<Option<Entry>, ExplainError> {
    let request = LookupRequest {
        key: key.clone(),
        restore_keys: restore_keys.to_vec(),
        version: version.clone(),
        scopes: question.scopes.clone(),
    };
    let deadline = ctx.deadline();
    ctx.wait(&deadline, ctx.store.lookup(&request))
        .map_err(|source| ExplainError::Lookup { location: ctx.store.location(), source })
}

/// The key without its last segment, its last two, and so on: the longest first, as many as one lookup takes.
fn beginnings(key: &Key) -> Vec<Key> {
    let text = key.as_str();
    let ends = text.char_indices().rev().filter(|(_, c)| matches!(c, '-' | '_' | '.' | ':' | '/'));
    let shorter = ends.map(|(at, c)| &text[..at + c.len_utf8()]).filter(|part| part.len() < text.len());
    shorter.filter_map(|part| Key::new(part).ok()).take(MAX_KEYS).collect()
}

/// What went into the parts that differ, where both sides are known.
fn inputs(case: &Case, answer: &Answer, before: Option<&key::Explanation>) -> Inputs {
    let mut inputs = BTreeMap::new();
    let (Some(Cause::KeyPart(parts)), Some(witness)) = (&answer.cause, &answer.witness) else {
        return inputs;
    };
    let told = before.into_iter().flat_map(|before| &before.caches);
    let told = told.filter(|cache| cache.key == witness.key.as_str()).map(|cache| &cache.parts);
    let recorded =
        case.records.iter().filter(|record| record.is_of(&witness.key)).map(|record| &record.parts);
    let Some(theirs) = told.chain(recorded).find(|parts| !parts.is_empty()) else { return inputs };
    for part in parts {
        let of = |parts: &[Part]| parts.iter().find(|p| p.placeholder == part.part).cloned();
        if let (Some(here), Some(there)) = (of(&case.parts), of(theirs)) {
            let InputChanges { gone, come } = here.changes_since(&there);
            if !gone.is_empty() || !come.is_empty() {
                inputs.insert(part.part.clone(), (come, gone));
            }
        }
    }
    inputs
}
