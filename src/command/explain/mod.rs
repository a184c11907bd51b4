//! `explain`: why a cache misses, or hits. Looks, and changes nothing.

mod files;
mod options;
mod view;

use std::cell::OnceCell;
use std::collections::BTreeMap;

pub(crate) use options::{ExplainOptions, StoreReach, Subject};

use super::cache::{Cache, Keys};
use super::context::Context;
use super::key::{self, InputChanges, Part};
use super::notes::remembered::{self, KnownEntry};
use super::other_paths;
use crate::domain::entry::{Entry, LookupRequest};
use crate::domain::explain::files::FileChanges;
use crate::domain::explain::origin::KnownLayouts;
use crate::domain::explain::shape::KeyShape;
use crate::domain::explain::{Answer, Cause, Question, StoreView};
use crate::domain::fault::Fault;
use crate::domain::retention::Facts;
use crate::domain::scope::Section;
use crate::domain::spec::CacheSpec;
use crate::domain::thin;
use crate::domain::written_paths::OtherPaths;
use crate::report::json;
use crate::report::json::explain::ExplainDocument;
use crate::report::text::explain::{self, Explained, Inputs};
use crate::tree::selection::Selection;

/// One thing to explain, with what this machine knows about it.
struct Case {
    cache: Option<String>,
    question: Question,
    known_layouts: KnownLayouts,
    /// What the key is made of.
    parts: Vec<Part>,
    records: Vec<KnownEntry>,
}

/// Explains; the text, or the JSON document.
pub(crate) fn run(ctx: &Context<'_>, reach: &StoreReach, options: &ExplainOptions) -> Result<String, Fault> {
    let cases = cases(ctx, options)?;
    let before = options.diff.as_deref().map(key::read).transpose()?;
    let view = view::look(ctx, reach, options)?;
    let everything = OnceCell::new();
    let mut answered: Vec<(Case, Answer, Option<&Facts>)> = Vec::new();
    // What this machine remembers is of the store that its jobs use, and says nothing about another.
    let is_jobs_store = options.has_service || view.location == ctx.store().location();
    for mut case in cases {
        if !is_jobs_store {
            case.question.remembered.clear();
        }
        // On GitHub every job reads what the default branch saved.
        if let Some(facts) = view.facts().filter(|facts| facts.limit.is_some())
            && options.scopes.is_none()
            && !case.question.scopes.contains(&facts.default_branch)
        {
            case.question.scopes.push(facts.default_branch.clone());
        }
        let answer = case.question.answer(&view.stock(ctx, &case.question)?);
        let other = if is_jobs_store { other_paths_of(ctx, &case, &answer) } else { None };
        let answer = match other {
            Some(OtherPaths { theirs, own }) => answer.with_other_paths(theirs, own),
            None => answer,
        };
        let elsewhere =
            if is_jobs_store { in_other_section(ctx, &case.question, &answer, &everything) } else { None };
        answered.push(match elsewhere {
            Some((answer, facts)) => (case, answer, Some(facts)),
            None => (case, answer, view.facts()),
        });
    }
    let mut explained: Vec<Explained<'_>> = answered
        .iter()
        .map(|(case, answer, facts)| Explained {
            cache: case.cache.as_deref(),
            question: &case.question,
            answer,
            store: &view.location,
            facts: *facts,
            known_layouts: &case.known_layouts,
            inputs: inputs(case, answer, before.as_ref()),
            untold: view.hint.as_deref(),
            files: None,
        })
        .collect();
    if options.files {
        for one in &mut explained {
            one.files = files_of(ctx, one)?;
        }
    }
    Ok(if ctx.stdout_is_json {
        json::render(&ExplainDocument::new(&view.location, &explained))
    } else {
        explain::render(&explained)
    })
}

/// The answer of the whole store, where this repository has nothing like the key and another section has the key.
fn in_other_section<'a>(
    ctx: &Context<'_>,
    question: &Question,
    answer: &Answer,
    everything: &'a OnceCell<Option<Facts>>,
) -> Option<(Answer, &'a Facts)> {
    if answer.cause != Some(Cause::NothingSaved) {
        return None;
    }
    let facts = everything.get_or_init(|| view::everything(ctx)).as_ref()?;
    let answer = question.answer(&StoreView::Listed(facts));
    let is_elsewhere = |entry: &Entry| entry.scope.section() != &Section::Own;
    let is_key_there =
        answer.cause == Some(Cause::Scope) && answer.witness.as_ref().is_some_and(is_elsewhere);
    is_key_there.then_some((answer, facts))
}

/// Whether what the lookup finds was saved from other paths than the cache has. Reads the beginning of that entry alone.
fn other_paths_of(ctx: &Context<'_>, case: &Case, answer: &Answer) -> Option<OtherPaths> {
    let found = answer.found.as_ref()?;
    let spec = ctx.caches.iter().find(|spec| Some(&spec.name) == case.cache.as_ref())?;
    let cache = Cache::open(ctx, spec).ok()?;
    if found.version != cache.version() {
        return None;
    }
    // A catalog's entry may be one that only a lookup makes readable.
    let request = LookupRequest {
        exact: true,
        key: found.key.clone(),
        restore_keys: Vec::new(),
        version: found.version.clone(),
        scopes: vec![found.scope.clone()],
    };
    let deadline = ctx.deadline();
    let entry = ctx.wait(&deadline, ctx.store().lookup(&request)).ok()??;
    other_paths::of_entry(&cache, &entry, &deadline)
}

/// How the files of a declared cache differ from those of the entry that is found for it.
fn files_of(ctx: &Context<'_>, one: &Explained<'_>) -> Result<Option<FileChanges>, Fault> {
    let Some(entry) = &one.answer.found else { return Ok(None) };
    let Some(spec) = ctx.caches.iter().find(|spec| Some(spec.name.as_str()) == one.cache) else {
        return Ok(None);
    };
    let cache = Cache::open(ctx, spec).map_err(|source| spec.named_in(source))?;
    files::compare(&cache, entry)
}

fn nothing() -> Fault {
    Fault::usage("there is nothing to explain: no cache is declared here and no key was given").with_hint(
        "run it where `cachekeep.toml` is, or give `--key KEY`, with `--restore-key` if need be".to_owned(),
    )
}

fn cases(ctx: &Context<'_>, options: &ExplainOptions) -> Result<Vec<Case>, Fault> {
    let scopes = |shared: bool| {
        let section = if shared { Section::Shared } else { Section::Own };
        options.scopes.clone().unwrap_or_else(|| ctx.access.within(&section).readable)
    };
    let open = |spec: &'_ CacheSpec| -> Result<(), Fault> { Cache::open_named(ctx, spec).map(drop) };
    match &options.subject {
        Subject::Declared(names) => {
            let wanted = ctx.caches.iter().filter(|spec| names.is_empty() || names.contains(&spec.name));
            let cases = wanted.map(|spec| {
                let failed = |source| spec.named_in(source);
                let cache = Cache::open_named(ctx, spec)?;
                let Keys { key, restore_keys, parts } = cache.keys().map_err(failed)?;
                let values = parts.iter().map(|part| part.value.as_str());
                let records = remembered::read(&cache);
                let question = Question {
                    shape: KeyShape::of_template(&spec.key, values),
                    key,
                    restore_keys,
                    version: Some(cache.version()),
                    thin_version: Some(cache.thin_version()),
                    scopes: scopes(spec.shared),
                    remembered: records.iter().filter_map(KnownEntry::entry).collect(),
                };
                let parts = parts.into_iter().map(Part::from).collect();
                Ok(Case {
                    cache: Some(spec.name.clone()),
                    question,
                    known_layouts: known_layouts(ctx, Some(&cache)),
                    parts,
                    records,
                })
            });
            let cases = cases.collect::<Result<Vec<_>, Fault>>()?;
            if cases.is_empty() { Err(nothing()) } else { Ok(cases) }
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
                thin_version: opened.as_ref().filter(|_| version.is_none()).map(Cache::thin_version),
                scopes: scopes(spec.is_some_and(|spec| spec.shared)),
                remembered: records.iter().filter_map(KnownEntry::entry).collect(),
            };
            let known_layouts = known_layouts(ctx, opened.as_ref());
            Ok(vec![Case { cache: cache.clone(), question, known_layouts, parts: Vec::new(), records }])
        }
    }
}

/// What entries of other versions can be recognized by.
fn known_layouts(ctx: &Context<'_>, cache: Option<&Cache<'_>>) -> KnownLayouts {
    let mut known_layouts = KnownLayouts::default();
    for spec in ctx.caches {
        let Ok(other) = Cache::open(ctx, spec) else { continue };
        if cache.is_none_or(|cache| cache.name() != other.name()) {
            known_layouts.others.push((spec.name.clone(), other.selections.len()));
        }
    }
    let Some(cache) = cache else { return known_layouts };
    known_layouts.cache = Some((cache.name().to_owned(), cache.selections.len()));
    let sign = |exclude: bool| if exclude { "!" } else { "" };
    let written =
        cache.spec.paths.iter().map(|rule| format!("{}{}", sign(rule.exclude), rule.pattern.source()));
    let here = |selection: &Selection| selection.root.display().to_string();
    let absolute: Vec<String> = cache.selections.iter().map(here).collect();
    let home = ctx.platform.facts().home.as_ref().map(|home| home.display().to_string());
    let from = |directory: &str, by: &str| -> Vec<String> {
        let shortened =
            |path: &String| match path.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/')) {
                Some(rest) => format!("{by}{rest}"),
                None => path.clone(),
            };
        absolute.iter().map(shortened).collect()
    };
    known_layouts.spellings.push(written.collect());
    known_layouts.spellings.push(from(&ctx.workspace.display().to_string(), ""));
    known_layouts.spellings.extend(home.map(|home| from(&home, "~/")));
    known_layouts.spellings.push(absolute);
    known_layouts
}

/// What went into the parts that differ, where both sides are known.
fn inputs(case: &Case, answer: &Answer, before: Option<&key::Explanation>) -> Inputs {
    let mut inputs = BTreeMap::new();
    let (Some(Cause::KeyPart(parts)), Some(witness)) = (&answer.cause, &answer.witness) else {
        return inputs;
    };
    let printed = before.into_iter().flat_map(|before| &before.caches);
    let key = thin::saved_for(&witness.key);
    let printed = printed.filter(|cache| cache.key == key.as_str()).map(|cache| &cache.parts);
    let recorded = case.records.iter().filter(|record| record.is_of(&key)).map(|record| &record.parts);
    let Some(theirs) = printed.chain(recorded).find(|parts| !parts.is_empty()) else { return inputs };
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
