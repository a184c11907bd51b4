//! A step's outputs: an outcome in few words, under the names of actions/cache where they mean the same.
//!
//! With several caches a word speaks for all of them: the worst hit, the gravest result, the sum of what is
//! missing; keys come one a line as `cache=key`, and `json` has everything.

use super::json::{CacheReport, Document};
use crate::domain::outcome::{Hit, SaveResult, SeedResult};

/// An output: its name and what it says, for `action.yml` and the reference.
pub struct Output {
    /// Its name.
    pub name: &'static str,
    /// What it says.
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
        help: "`saved`, `exists`, `unchanged`, `incomplete`, `denied-mode`, `denied-budget`, `rate-limited`, \
               `no-space` or `failed`; of several caches the gravest.",
    },
    Output { name: "json", help: "Everything above for each cache, and more, as one JSON document." },
];

/// Results of a save from the gravest to the best.
const GRAVEST_FIRST: [SaveResult; 9] = [
    SaveResult::Failed,
    SaveResult::NoSpace,
    SaveResult::RateLimited,
    SaveResult::DeniedBudget,
    SaveResult::Incomplete,
    SaveResult::DeniedMode,
    SaveResult::Unchanged,
    SaveResult::Exists,
    SaveResult::Saved,
];

/// What a document comes to, name by name; what a command says nothing of is left out.
pub fn outputs(document: &Document) -> Vec<(&'static str, String)> {
    let caches = &document.caches;
    let mut found = Vec::new();
    if let Some(hit) = worst(caches, &[Hit::None, Hit::Partial, Hit::Exact], |cache| {
        cache.restore.as_ref().map(|restore| restore.hit.as_str())
    }) {
        found.push(("cache-hit", (hit == Hit::Exact.to_string()).to_string()));
        found.push(("hit", hit));
    }
    let primary = keys(caches, |cache| {
        let restored = cache.restore.as_ref().map(|restore| restore.key.as_str());
        restored.or_else(|| cache.save.as_ref().map(|save| save.key.as_str()))
    });
    found.extend(primary.map(|keys| ("cache-primary-key", keys)));
    let matched = keys(caches, |cache| cache.restore.as_ref()?.matched_key.as_deref());
    found.extend(matched.map(|keys| ("cache-matched-key", keys)));
    let seeds: Vec<_> = caches.iter().filter_map(|cache| cache.seed.as_ref()).collect();
    if !seeds.is_empty() {
        let seeded = seeds.iter().any(|seed| seed.result == SeedResult::Seeded.to_string());
        found.push(("seeded", seeded.to_string()));
    }
    let gates: Vec<_> = caches.iter().filter_map(|cache| cache.gate.as_ref()).collect();
    if !gates.is_empty() {
        found.push(("complete", gates.iter().all(|gate| gate.complete).to_string()));
        found.push(("missing-count", gates.iter().map(|gate| gate.missing_count).sum::<usize>().to_string()));
    }
    let saved = worst(caches, &GRAVEST_FIRST, |cache| cache.save.as_ref().map(|s| s.save_result.as_str()));
    found.extend(saved.map(|result| ("save-result", result)));
    if !caches.is_empty() {
        let json = serde_json::to_string(document).expect("only strings, numbers and lists");
        found.push(("json", json));
    }
    found
}

fn worst<W: ToString>(
    caches: &[CacheReport],
    worst_first: &[W],
    word: impl Fn(&CacheReport) -> Option<&str>,
) -> Option<String> {
    let words: Vec<&str> = caches.iter().filter_map(word).collect();
    worst_first.iter().map(ToString::to_string).find(|candidate| words.contains(&candidate.as_str()))
}

fn keys(caches: &[CacheReport], key: impl Fn(&CacheReport) -> Option<&str>) -> Option<String> {
    let named: Vec<(&str, &str)> =
        caches.iter().filter_map(|cache| Some((cache.cache.as_str(), key(cache)?))).collect();
    match (named.as_slice(), caches.len()) {
        ([], _) => None,
        ([(_, key)], 1) => Some((*key).to_owned()),
        (several, _) => {
            let lines: Vec<String> = several.iter().map(|(cache, key)| format!("{cache}={key}")).collect();
            Some(lines.join("\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::json::{Gate, Restore, Save, Seed};

    fn restore(hit: &str, matched: Option<&str>) -> Restore {
        Restore {
            key: "k-1".to_owned(),
            hit: hit.to_owned(),
            matched_key: matched.map(str::to_owned),
            matched_ref: None,
            archive_bytes: None,
            files: 0,
            bytes: 0,
            reason: None,
            seconds: 0.0,
        }
    }

    fn cache(name: &str) -> CacheReport {
        CacheReport { cache: name.to_owned(), ..CacheReport::default() }
    }

    fn told(caches: Vec<CacheReport>) -> Vec<(&'static str, String)> {
        let mut found = outputs(&Document { command: "restore", caches, exit_code: None });
        found.retain(|(name, _)| *name != "json");
        found
    }

    #[test]
    fn one_cache_speaks_for_itself() {
        let seed = Seed {
            result: "seeded".to_owned(),
            source: None,
            added: 1,
            added_bytes: 1,
            fetched: 0,
            fetched_bytes: 0,
            lacking: vec![],
            mirrors: vec![],
            reason: None,
            seconds: 0.0,
        };
        let one =
            CacheReport { restore: Some(restore("partial", Some("k-0"))), seed: Some(seed), ..cache("a") };
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
        let save = |result: &str| Save {
            key: "k".to_owned(),
            save_result: result.to_owned(),
            reason: None,
            files: 0,
            bytes: 0,
            archive_bytes: 0,
            seconds: 0.0,
        };
        let gate = |missing| Gate {
            complete: missing == 0,
            wanted: 9,
            links: 9,
            present: 9 - missing,
            missing_count: missing,
            allowed: 0,
            unwanted: 0,
            strangers: 0,
            missing: vec![],
            unproven: vec![],
        };
        let a = CacheReport { restore: Some(restore("exact", Some("k-1"))), ..cache("a") };
        let a = CacheReport { save: Some(save("saved")), gate: Some(gate(0)), ..a };
        let b = CacheReport { restore: Some(restore("none", None)), ..cache("b") };
        let b = CacheReport { save: Some(save("incomplete")), gate: Some(gate(2)), ..b };
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
    fn every_output_and_every_result_is_in_its_table() {
        assert!(SaveResult::ALL.iter().all(|result| GRAVEST_FIRST.contains(result)));
        let documented: Vec<&str> = OUTPUTS.iter().map(|output| output.name).collect();
        let all = CacheReport { restore: Some(restore("exact", Some("k"))), ..cache("a") };
        assert!(told(vec![all]).iter().all(|(name, _)| documented.contains(name)));
    }
}
