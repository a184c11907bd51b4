//! Keys that a restore computed, for the save of the same job in another process.
//!
//! A build makes files that the globs of a key match, such as `node_modules/x/package-lock.json`. Computed again after the
//! build, the key would be one that no fresh checkout has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::receipt;
use super::remembered::bounded_parts;
use crate::command::cache::{Cache, Keys};
use crate::command::key::{CacheKeys, InputChanges, Part};
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::key::Key;
use crate::domain::template::Placeholder;
use crate::fs::open::Links;
use crate::fs::{atomic, read, remove};
use crate::report::failure;

/// Upper bound for the file, in bytes.
const MAX_BYTES: u64 = 8 << 20;

const CURE: &str =
    "exclude what a build makes with `!` in the globs of the key; `--recompute-key` saves under the new key";

/// The keys of a cache, and what they hold for.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CarriedKeys {
    /// The job, on a CI; on other machines every command may belong to the restore or not.
    job: Option<String>,
    /// The commit.
    sha: Option<String>,
    /// The templates of the key and of the restore keys.
    templates: Vec<String>,
    /// The variables of the restore.
    variables: BTreeMap<String, String>,
    keys: CacheKeys,
    /// The key of the entry that was restored, once it was.
    #[serde(default)]
    restored: Option<String>,
}

/// Leaves the keys of a restore for the save. Without them the save computes its own.
pub(crate) fn carry(cache: &Cache<'_>, keys: &Keys) {
    let carried = CarriedKeys {
        job: job(cache),
        sha: cache.ctx.platform.facts().sha.clone(),
        templates: templates(cache),
        variables: cache.ctx.variables.clone(),
        keys: CacheKeys {
            cache: cache.name().to_owned(),
            key: keys.key.to_string(),
            restore_keys: keys.restore_keys.iter().map(ToString::to_string).collect(),
            version: cache.version().to_string(),
            parts: bounded_parts(keys),
        },
        restored: None,
    };
    write(cache, &carried);
}

fn write(cache: &Cache<'_>, carried: &CarriedKeys) {
    let bytes = serde_json::to_vec(carried).expect("only strings");
    let path = receipt::note(cache, "keys.json");
    let written = atomic::write_below(&path, &bytes, cache.ctx.now);
    if let Err(error) = written {
        let text = format!("its keys are not kept for the save: {}", failure::chain(&error));
        cache.ctx.report(Level::Debug, cache.name(), text);
    }
}

/// Notes beside the keys of this job's restore which entry it restored.
pub(crate) fn note_restored(cache: &Cache<'_>, matched: &Key) {
    if let Some(carried) = load(cache).filter(|carried| carried.job.is_some()) {
        write(cache, &CarriedKeys { restored: Some(matched.to_string()), ..carried });
    }
}

/// The key of the entry that an earlier step of this job restored for these keys; `None` too where the platform keeps this state
/// beyond the job, whose steps cannot be told from those of another one.
pub(crate) fn restored(cache: &Cache<'_>, keys: &Keys) -> Option<Key> {
    let facts = cache.ctx.platform.facts();
    let (carried, of_restore) = read(cache)?;
    let is_of_job = carried.job.is_some() && facts.state_dir.starts_with(&facts.temp);
    Key::new(carried.restored.filter(|_| is_of_job && of_restore.key == keys.key)?).ok()
}

fn load(cache: &Cache<'_>) -> Option<CarriedKeys> {
    let text = read::text(&receipt::note(cache, "keys.json"), Links::Refused, MAX_BYTES).ok()?;
    serde_json::from_str(&text).ok()
}

/// The keys of a save: those of this job's restore, unless what was computed now is meant to differ; without a restore those computed now.
pub(crate) fn keys_of_save(cache: &Cache<'_>, computed: Result<Keys, Fault>) -> Result<Keys, Fault> {
    if computed.as_ref().is_err_and(Fault::is_usage) {
        return computed;
    }
    let Some((carried, keys)) = read(cache) else { return computed };
    // Only on a CI it is known where a job ends.
    if carried.job.is_none() {
        let _ = remove::remove_tree(&receipt::note(cache, "keys.json"));
    }
    let why = match &computed {
        Ok(now) if now.key == keys.key => return computed,
        Ok(now) => {
            let changes = changes(&carried.keys.parts, &bounded_parts(now), &sources(cache));
            if changes.sources || carried.job.is_none() && !changes.is_new_files_only() {
                return computed;
            }
            format!("computed now it would be `{}`{}", now.key, changes.first())
        }
        Err(_) if carried.job.is_none() => return computed,
        Err(fault) => {
            // As where the step of the save is not told the variables again.
            let text =
                format!("the key is `{}`, as this job restored it: {}", keys.key, failure::chain(fault));
            cache.ctx.report(Level::Debug, cache.name(), text);
            return Ok(keys);
        }
    };
    let text = format!("the key is `{}`, as this job restored it; {why}", keys.key);
    cache.ctx.report_with_hint(Level::Warning, cache.name(), text, Some(CURE.to_owned()));
    Ok(keys)
}

/// The keys of this job's restore, if the restore was of the same configuration.
fn read(cache: &Cache<'_>) -> Option<(CarriedKeys, Keys)> {
    let carried = load(cache)?;
    let given = &cache.ctx.variables;
    let is_same = carried.job == job(cache)
        && carried.sha == cache.ctx.platform.facts().sha
        && carried.templates == templates(cache)
        && carried.keys.version == cache.version().as_str()
        && given.iter().all(|(name, value)| carried.variables.get(name).is_none_or(|other| other == value));
    let restore_keys = carried.keys.restore_keys.iter().map(|key| Key::new(key.clone()));
    let keys = Keys {
        key: Key::for_job(carried.keys.key.clone()).ok()?,
        restore_keys: restore_keys.collect::<Result<_, _>>().ok()?,
        parts: Vec::new(),
    };
    is_same.then_some((carried, keys))
}

fn templates(cache: &Cache<'_>) -> Vec<String> {
    let all = std::iter::once(&cache.spec.key).chain(&cache.spec.restore_keys);
    all.map(|template| template.source().to_owned()).collect()
}

/// The placeholders, as written, for what no build makes: content links and git's index.
fn sources(cache: &Cache<'_>) -> Vec<String> {
    let is_source =
        |placeholder: &&Placeholder| matches!(placeholder, Placeholder::Links | Placeholder::Git(_));
    cache.spec.key.placeholders().filter(is_source).map(ToString::to_string).collect()
}

/// What a CI calls this job; `None` elsewhere.
pub(crate) fn job(cache: &Cache<'_>) -> Option<String> {
    let facts = cache.ctx.platform.facts();
    let part = |fact: &Option<String>| fact.clone().unwrap_or_default();
    facts.is_ci.then(|| format!("{} {} {}", facts.platform, part(&facts.run_id), part(&facts.run_attempt)))
}

/// What went into a key and no longer does, or now does.
#[derive(Debug, Default, PartialEq, Eq)]
struct KeyChanges {
    /// Sources differ: what was computed now is meant.
    sources: bool,
    /// A part differs whose inputs are not known, such as a variable.
    other: bool,
    inputs: InputChanges,
}

fn changes(before: &[Part], now: &[Part], sources: &[String]) -> KeyChanges {
    let mut all = KeyChanges::default();
    for part in now {
        match before.iter().find(|other| other.placeholder == part.placeholder) {
            Some(other) if other.value == part.value => {}
            _ if sources.contains(&part.placeholder) => all.sources = true,
            Some(other) if !other.inputs.is_empty() && !part.inputs.is_empty() => {
                let InputChanges { gone, come } = part.changes_since(other);
                all.inputs.gone.extend(gone);
                all.inputs.come.extend(come);
            }
            _ => all.other = true,
        }
    }
    all
}

impl KeyChanges {
    /// Whether nothing differs but files that were not there: a build makes such.
    fn is_new_files_only(&self) -> bool {
        !self.other && self.inputs.gone.is_empty() && !self.inputs.come.is_empty()
    }

    /// The first file that differs, for a message.
    fn first(&self) -> String {
        match (self.inputs.come.first(), self.inputs.gone.first()) {
            (Some((name, _)), _) => format!(", because of `{name}`"),
            (None, Some((name, _))) => format!(", since `{name}` is gone"),
            (None, None) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(placeholder: &str, value: &str, inputs: &[(&str, &str)]) -> Part {
        Part {
            placeholder: placeholder.to_owned(),
            value: value.to_owned(),
            inputs: inputs.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect(),
        }
    }

    #[test]
    fn only_files_that_came_are_what_a_build_made() {
        let before = [part("{os}", "linux", &[]), part("{files:*}", "1", &[("a", "x")])];
        let check = |now: &[Part], is_new_files_only: bool, first: &str| {
            let changes = changes(&before, now, &[]);
            assert_eq!((changes.is_new_files_only(), changes.first().as_str()), (is_new_files_only, first));
        };
        let os = || part("{os}", "linux", &[]);
        check(&[os(), part("{files:*}", "2", &[("a", "x"), ("b", "y")])], true, ", because of `b`");
        check(&[os(), part("{files:*}", "2", &[("a", "z")])], false, ", because of `a`");
        check(&[os(), part("{files:*}", "2", &[("c", "x")])], false, ", because of `c`");
        check(&[part("{os}", "macos", &[]), part("{files:*}", "1", &[("a", "x")])], false, "");
        let links = [part("{links}", "2", &[("a", "x"), ("b", "y")])];
        let of_links = changes(&[part("{links}", "1", &[("a", "x")])], &links, &["{links}".to_owned()]);
        assert!(of_links.sources);
        // Inputs that were too many to be kept.
        check(&[os(), part("{files:*}", "2", &[])], false, "");
    }
}
