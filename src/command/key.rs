//! `key`: the keys and what went into them; what differs from keys printed earlier or elsewhere.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::cache::{Cache, KeyPart, Keys};
use super::context::Context;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::hint::Class;
use crate::domain::spec::CacheSpec;
use crate::fs::open::Links;
use crate::fs::read;
use crate::report::{failure, json};

/// A saved explanation of keys is never larger.
const MAX_BYTES: u64 = 256 << 20;

/// What `key --json` prints and `key --diff` reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Explanation {
    /// The caches, in the order of their names.
    pub caches: Vec<CacheKeys>,
}

/// The keys of one cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct CacheKeys {
    /// Its name.
    pub cache: String,
    /// The primary key.
    pub key: String,
    /// The prefixes to fall back to.
    pub restore_keys: Vec<String>,
    /// The version of its layout.
    pub version: String,
    /// What went into the primary key.
    pub parts: Vec<Part>,
}

/// A placeholder and what it became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Part {
    /// As written.
    pub placeholder: String,
    /// What it became.
    pub value: String,
    /// What went into it: names, each with its digest where it has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<(String, String)>,
}

/// What went into a placeholder here and not there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct InputChanges {
    /// Names, each with its digest, that are only in the other key.
    pub gone: Vec<(String, String)>,
    /// Names, each with its digest, that are only in this key.
    pub come: Vec<(String, String)>,
}

impl Part {
    /// What went into this part and not into `before`, and the other way round.
    pub(crate) fn changes_since(&self, before: &Part) -> InputChanges {
        let only = |here: &Part, there: &Part| -> Vec<(String, String)> {
            let known: BTreeSet<&(String, String)> = there.inputs.iter().collect();
            here.inputs.iter().filter(|input| !known.contains(input)).cloned().collect()
        };
        InputChanges { gone: only(before, self), come: only(self, before) }
    }
}

impl From<KeyPart> for Part {
    fn from(part: KeyPart) -> Self {
        Part { placeholder: part.placeholder, value: part.value, inputs: part.inputs }
    }
}

/// The keys of every selected cache in this job, as text or as JSON; or what differs from keys that were saved.
///
/// A cache without a key, since a variable or a file is missing, is reported and the others are printed; the second value says whether
/// there is such a cache.
///
/// # Errors
/// No cache has a key: the first one's fault. Or what was saved cannot be read.
pub(crate) fn run(ctx: &Context<'_>, diff_with: Option<&Path>) -> Result<(String, bool), Fault> {
    let mut caches = Vec::new();
    let mut faults = Vec::new();
    for spec in ctx.caches {
        match of_cache(ctx, spec) {
            Ok(keys) => caches.push(keys),
            Err(fault) if fault.is_usage() => return Err(fault),
            Err(fault) => faults.push(fault),
        }
    }
    if caches.is_empty() && !faults.is_empty() {
        return Err(faults.remove(0));
    }
    for fault in &faults {
        ctx.report_about_job_with_hint(Level::Error, failure::chain(fault), fault.hint());
    }
    let explanation = Explanation { caches };
    let text = match diff_with {
        Some(saved) => diff(saved, &explanation)?,
        None if ctx.stdout_is_json => json::render(&explanation),
        None => render(&explanation),
    };
    Ok((text, !faults.is_empty()))
}

/// The keys of a cache in this job.
fn of_cache(ctx: &Context<'_>, spec: &CacheSpec) -> Result<CacheKeys, Fault> {
    let cache = Cache::open_named(ctx, spec)?;
    let Keys { key, restore_keys, parts } = cache.keys().map_err(|source| spec.named_in(source))?;
    Ok(CacheKeys {
        cache: spec.name.clone(),
        key: key.to_string(),
        restore_keys: restore_keys.iter().map(ToString::to_string).collect(),
        version: cache.version().to_string(),
        parts: parts.into_iter().map(Part::from).collect(),
    })
}

/// The keys as text for people.
fn render(explanation: &Explanation) -> String {
    let mut text = String::new();
    for cache in &explanation.caches {
        let _ = writeln!(text, "{}: {}", cache.cache, cache.key);
        for restore_key in &cache.restore_keys {
            let _ = writeln!(text, "  falls back to {restore_key}");
        }
        let _ = writeln!(text, "  version {}", cache.version);
        for part in &cache.parts {
            let _ = write!(text, "  {} = {}", part.placeholder, part.value);
            let _ = match part.inputs.len() {
                0 => writeln!(text),
                1 => writeln!(text, ", from {}", part.inputs[0].0),
                2 => writeln!(text, ", from {} and {}", part.inputs[0].0, part.inputs[1].0),
                count => writeln!(text, ", from {count}: {}, {}, …", part.inputs[0].0, part.inputs[1].0),
            };
        }
    }
    text
}

/// Keys that `key --json` printed.
pub(crate) fn read(saved: &Path) -> Result<Explanation, Fault> {
    let text = read::text(saved, Links::Followed, MAX_BYTES).map_err(|why| why.with_class(Class::Usage))?;
    serde_json::from_str(&text).map_err(|why| {
        Fault::usage(format!("`{}` is not what `cachekeep key --json` prints", saved.display()))
            .caused_by(why)
    })
}

/// What differs between keys that were printed earlier and those of this job.
fn diff(saved: &Path, now: &Explanation) -> Result<String, Fault> {
    let before = read(saved)?;
    let mut text = String::new();
    for cache in &now.caches {
        match before.caches.iter().find(|other| other.cache == cache.cache) {
            Some(other) => diff_cache(&mut text, other, cache),
            None => drop(writeln!(text, "{}: was not there", cache.cache)),
        }
    }
    Ok(text)
}

fn diff_cache(text: &mut String, before: &CacheKeys, now: &CacheKeys) {
    if before.key == now.key && before.version == now.version {
        let _ = writeln!(text, "{}: same key, {}", now.cache, now.key);
        return;
    }
    let _ = writeln!(text, "{}:\n  - {}\n  + {}", now.cache, before.key, now.key);
    if before.version != now.version {
        let _ =
            writeln!(text, "  version: the cache has other roots: {} became {}", before.version, now.version);
    }
    for part in &now.parts {
        let Some(other) = before.parts.iter().find(|other| other.placeholder == part.placeholder) else {
            let _ = writeln!(text, "  {} is new", part.placeholder);
            continue;
        };
        if other.value == part.value {
            continue;
        }
        let _ = writeln!(text, "  {}: {} became {}", part.placeholder, other.value, part.value);
        let InputChanges { gone, come } = part.changes_since(other);
        for (sign, inputs) in [("-", gone), ("+", come)] {
            for (name, digest) in inputs {
                let _ = writeln!(text, "    {sign} {name} {digest}");
            }
        }
    }
    for part in before.parts.iter().filter(|part| now.parts.iter().all(|p| p.placeholder != part.placeholder))
    {
        let _ = writeln!(text, "  {} is gone", part.placeholder);
    }
}
