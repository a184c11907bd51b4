//! A step's outputs: an outcome in few words, under the names of actions/cache where they mean the same.
//!
//! With several caches a word speaks for all of them: the worst hit, the gravest result, the sum of what is
//! missing; keys come one a line as `cache=key`, and `json` has everything.

use super::json::{self, Document};
use crate::domain::key::Key;
use crate::domain::outcome::{CacheOutcome, Hit, JobOutcome, SaveResult, SeedResult};

/// An output: its name and meaning, for `action.yml` and the reference.
pub struct Output {
    /// Its name.
    pub name: &'static str,
    /// Its meaning, in one sentence.
    pub help: &'static str,
}

/// Every output, in the order of the reference.
pub const OUTPUTS: &[Output] = &[
    Output { name: "cache-hit", help: "`true` if every cache was restored from its very key, else `false`." },
    Output { name: "cache-primary-key", help: "The key; of several caches one line each, `cache=key`." },
    Output {
        name: "cache-matched-key",
        help: "The key of the entry that was restored; of several caches one line each, `cache=key`.",
    },
    Output { name: "hit", help: "`exact`, `partial` or `none`; of several caches the worst." },
    Output { name: "seeded", help: "`true` if a cache was filled from its seed." },
    Output {
        name: "complete",
        help: "`true` if every object that content links want is there and verified; empty without links.",
    },
    Output { name: "missing-count", help: "How many wanted objects are missing; empty without links." },
    Output {
        name: "save-result",
        help: "`saved`, `exists`, `unchanged`, `incomplete`, `staged`, `skipped`, `denied-mode`, `denied-budget`, `rate-limited`, \
               `no-space` or `failed`; of several caches the gravest.",
    },
    Output {
        name: "hit-rate",
        help: "Percent of the compilations that a compiler cache answered; of several the lowest; empty without one.",
    },
    Output {
        name: "thrashing",
        help: "`true` if a compiler cache is too small for the job: it removed results, and missed more than it found.",
    },
    Output { name: "json", help: "Everything above for each cache, and more, as one JSON document." },
];

/// Results of a save from the gravest to the best.
const GRAVEST_FIRST: [SaveResult; 11] = [
    SaveResult::Failed,
    SaveResult::NoSpace,
    SaveResult::RateLimited,
    SaveResult::DeniedBudget,
    SaveResult::Incomplete,
    SaveResult::DeniedMode,
    SaveResult::Skipped,
    SaveResult::Staged,
    SaveResult::Unchanged,
    SaveResult::Exists,
    SaveResult::Saved,
];

/// The outputs of an outcome, name by name; what a command does not do is left out.
pub(crate) fn outputs(outcome: &JobOutcome) -> Vec<(&'static str, String)> {
    let caches = &outcome.caches;
    let mut found = Vec::new();
    // A cache that was skipped was neither restored nor saved: steps that ask for it must not take it for one that was.
    let skipped = outcome.broken.iter();
    let is_restore = matches!(outcome.command, "restore" | "run");
    let is_save = matches!(outcome.command, "save" | "run");
    let of_skipped = skipped.clone().filter(|_| is_restore).map(|_| Hit::None);
    let restored = caches.iter().filter_map(|cache| cache.restore.as_ref()).map(|restore| restore.hit);
    let hits: Vec<Hit> = restored.chain(of_skipped).collect();
    if let Some(hit) = [Hit::None, Hit::Partial, Hit::Exact].into_iter().find(|hit| hits.contains(hit)) {
        found.push(("cache-hit", (hit == Hit::Exact).to_string()));
        found.push(("hit", hit.to_string()));
    }
    let primary = keys(outcome, |cache| {
        let restored = cache.restore.as_ref().map(|restore| &restore.key);
        restored.or_else(|| cache.save.as_ref().map(|save| &save.key))
    });
    found.extend(primary.map(|keys| ("cache-primary-key", keys)));
    let matched = keys(outcome, |cache| Some(&cache.restore.as_ref()?.matched.as_ref()?.key));
    found.extend(matched.map(|keys| ("cache-matched-key", keys)));
    let seeds: Vec<_> = caches.iter().filter_map(|cache| cache.seed.as_ref()).collect();
    if !seeds.is_empty() {
        let seeded = seeds.iter().any(|seed| seed.result == SeedResult::Seeded);
        found.push(("seeded", seeded.to_string()));
    }
    let gates: Vec<_> = caches.iter().filter_map(|cache| cache.gate.as_ref()).collect();
    if !gates.is_empty() {
        let missing: usize = gates.iter().map(|gate| gate.missing_count()).sum();
        let is_complete = outcome.broken.is_empty() && gates.iter().all(|gate| gate.is_complete());
        found.push(("complete", is_complete.to_string()));
        found.push(("missing-count", missing.to_string()));
    }
    let of_skipped = skipped.filter(|_| is_save).map(|_| SaveResult::Failed);
    let saved = caches.iter().filter_map(|cache| cache.save.as_ref()).map(|save| save.result);
    let results: Vec<SaveResult> = saved.chain(of_skipped).collect();
    let gravest = GRAVEST_FIRST.iter().find(|result| results.contains(result));
    found.extend(gravest.map(|result| ("save-result", result.to_string())));
    let tools: Vec<_> = caches.iter().filter_map(|cache| cache.tool.as_ref()).collect();
    let rates = tools.iter().filter_map(|used| used.hit_rate());
    if let Some(lowest) = rates.reduce(f64::min) {
        found.push(("hit-rate", format!("{lowest:.1}")));
    }
    if !tools.is_empty() {
        found.push(("thrashing", tools.iter().any(|used| used.is_thrashing()).to_string()));
    }
    if !caches.is_empty() || !outcome.broken.is_empty() {
        found.push(("json", json::line(&Document::from(outcome))));
    }
    found
}

fn keys<'a>(outcome: &'a JobOutcome, key: impl Fn(&'a CacheOutcome) -> Option<&'a Key>) -> Option<String> {
    let named: Vec<(&str, &Key)> =
        outcome.caches.iter().filter_map(|cache| Some((cache.name.as_str(), key(cache)?))).collect();
    match (named.as_slice(), outcome.caches.len() + outcome.broken.len()) {
        ([], _) => None,
        ([(_, key)], 1) => Some(key.to_string()),
        (several, _) => {
            let lines: Vec<String> = several.iter().map(|(cache, key)| format!("{cache}={key}")).collect();
            Some(lines.join("\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::gate::GateReport;
    use crate::domain::outcome::RestoreOutcome;
    use crate::domain::outcome::testing::{restored, saved, seeded};

    fn restore(hit: Hit, matched: Option<&str>) -> RestoreOutcome {
        restored("k-1", hit, matched)
    }

    fn cache(name: &str) -> CacheOutcome {
        CacheOutcome { name: name.to_owned(), ..CacheOutcome::default() }
    }

    fn told(caches: Vec<CacheOutcome>) -> Vec<(&'static str, String)> {
        let mut found = outputs(&JobOutcome { caches, ..JobOutcome::new("restore") });
        found.retain(|(name, _)| *name != "json");
        found
    }

    #[test]
    fn one_cache_speaks_for_itself() {
        let seed = seeded(SeedResult::Seeded);
        let restore = restore(Hit::Partial, Some("k-0"));
        let one = CacheOutcome { restore: Some(restore), seed: Some(seed), ..cache("a") };
        let expect = [
            ("cache-hit", "false"),
            ("hit", "partial"),
            ("cache-primary-key", "k-1"),
            ("cache-matched-key", "k-0"),
            ("seeded", "true"),
        ];
        assert_eq!(told(vec![one]), expect.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn of_several_caches_the_worst_counts() {
        let gate = |unproven: usize| {
            let object =
                crate::domain::digest::ObjectId::new(crate::domain::digest::Algorithm::Md5, &"a".repeat(32));
            let object = object.expect("a hash");
            let missing = crate::domain::gate::MissingObject { object, links: vec![], why: None };
            GateReport {
                wanted: 9,
                links: 9,
                present: 9 - unproven,
                allowed: 0,
                unwanted: 0,
                unknown_files: 0,
                missing: vec![missing; unproven],
                unproven: vec![],
            }
        };
        let a = CacheOutcome { restore: Some(restore(Hit::Exact, Some("k-1"))), ..cache("a") };
        let a = CacheOutcome { save: Some(saved("k", SaveResult::Saved)), gate: Some(gate(0)), ..a };
        let b = CacheOutcome { restore: Some(restore(Hit::None, None)), ..cache("b") };
        let b = CacheOutcome { save: Some(saved("k", SaveResult::Incomplete)), gate: Some(gate(2)), ..b };
        let expect = [
            ("cache-hit", "false"),
            ("hit", "none"),
            ("cache-primary-key", "a=k-1\nb=k-1"),
            ("cache-matched-key", "a=k-1"),
            ("complete", "false"),
            ("missing-count", "2"),
            ("save-result", "incomplete"),
        ];
        assert_eq!(told(vec![a, b]), expect.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn a_cache_that_was_skipped_is_neither_a_hit_nor_saved() {
        let of = |command, caches: Vec<CacheOutcome>| {
            let outcome = JobOutcome { caches, broken: vec!["b".to_owned()], ..JobOutcome::new(command) };
            let told: BTreeMap<_, _> = outputs(&outcome).into_iter().collect();
            ["cache-hit", "hit", "cache-primary-key", "save-result"].map(|name| told.get(name).cloned())
        };
        let some = |text: &str| Some(text.to_owned());
        let a = CacheOutcome { restore: Some(restore(Hit::Exact, Some("k"))), ..cache("a") };
        assert_eq!(of("restore", vec![a]), [some("false"), some("none"), some("a=k-1"), None]);
        assert_eq!(of("restore", vec![]), [some("false"), some("none"), None, None]);
        let a = CacheOutcome { save: Some(saved("k", SaveResult::Saved)), ..cache("a") };
        assert_eq!(of("save", vec![a]), [None, None, some("a=k"), some("failed")]);
        assert_eq!(of("trim", vec![cache("a")]), [None, None, None, None]);
    }

    #[test]
    fn every_output_and_every_result_is_in_its_table() {
        assert!(SaveResult::ALL.iter().all(|result| GRAVEST_FIRST.contains(result)));
        let documented: Vec<&str> = OUTPUTS.iter().map(|output| output.name).collect();
        let all = CacheOutcome { restore: Some(restore(Hit::Exact, Some("k"))), ..cache("a") };
        assert!(told(vec![all]).iter().all(|(name, _)| documented.contains(name)));
    }
}
