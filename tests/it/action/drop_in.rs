//! `restore/action.yml` and `save/action.yml` in the place of those of actions/cache: its inputs, its outputs with their values.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use cachekeep::cli::inputs::{INPUTS, variable};
use cachekeep_test_support::skip::skip;

use crate::action::act::{Event, Sample, Transport};
use crate::action::definition::{entries, text};
use crate::action::steps::own_steps_of;

/// The inputs of actions/cache/restore and actions/cache/save, by their `action.yml` at v6.1.0. `save-always` was an input of
/// actions/cache itself.
const THEIRS: [(&str, &[&str]); 2] = [
    (
        "restore/action.yml",
        &["path", "key", "restore-keys", "enableCrossOsArchive", "fail-on-cache-miss", "lookup-only"],
    ),
    ("save/action.yml", &["path", "key", "enableCrossOsArchive", "upload-chunk-size"]),
];

#[test]
fn inputs_are_those_of_actions_cache_and_every_step_gets_them() {
    for (file, theirs) in THEIRS {
        let inputs: Vec<String> =
            entries(&text(file), "inputs", "default").into_iter().map(|(name, ..)| name).collect();
        // The runner shows the message of an input that is given, so that people do not wait for what it once did.
        assert_eq!(inputs, [theirs, &["save-always", "store", "version"]].concat(), "{file}");
        let messages = entries(&text(file), "inputs", "deprecationMessage").into_iter();
        let cures: Vec<_> = messages.filter(|(.., message)| !message.is_empty()).collect();
        assert_eq!(cures.len(), 1, "{cures:?}");
        assert!(cures[0].0 == "save-always" && cures[0].2.contains("`if: always()`"), "{cures:?}");
        let steps = own_steps_of(file);
        let scripts: Vec<_> =
            own_steps_of("action.yml").into_iter().map(|step| (step.id, step.run)).collect();
        for step in &steps {
            let run = step.run.replace("$GITHUB_ACTION_PATH/../", "$GITHUB_ACTION_PATH/");
            assert!(scripts.contains(&(step.id.clone(), run)), "{file}: {}", step.run);
            if step.id == "install" {
                continue;
            }
            // Each variable is that of an input of the action itself, or of what an earlier step found.
            let known: BTreeSet<String> = INPUTS.iter().map(|input| variable(input.name)).collect();
            let given = step.env.iter().filter(|(name, _)| name.starts_with("CACHEKEEP_INPUT_"));
            assert!(given.clone().all(|(name, _)| known.contains(name)), "{file}: {:?}", step.env);
            let values: Vec<&str> = given.map(|(_, value)| value.as_str()).collect();
            for input in inputs
                .iter()
                .filter(|name| !["version", "upload-chunk-size", "save-always"].contains(&name.as_str()))
            {
                assert!(
                    values.iter().any(|value| value.contains(&format!("inputs.{input} "))),
                    "{file}: {input}"
                );
            }
        }
    }
}

/// As actions/cache/restore has it. act shows what a step inside of an action said where the action itself says nothing, so that
/// a miss is `false` there.
#[test]
fn a_miss_has_no_word_for_a_hit() {
    let text = text("restore/action.yml");
    let (_, rest) = text.split_once("value: ${{ fromJSON('").expect("a table");
    let (table, rest) = rest.split_once("')").expect("its end");
    assert!(rest.starts_with("[steps.finish.outputs.hit || steps.start.outputs.hit || 'none'] }}"), "{rest}");
    let table: BTreeMap<String, String> = serde_json::from_str(table).expect("JSON");
    let expect = [("exact", "true"), ("none", ""), ("partial", "false")];
    assert_eq!(table, expect.map(|(hit, word)| (hit.to_owned(), word.to_owned())).into());
}

const WORKFLOW: &str = "
name: drop-in
on: push
permissions: {}
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with: { persist-credentials: false }
      - id: cache
        uses: ./restore
        with: { path: deps, key: deps-KEY, restore-keys: deps-, version: installed, LOOKUP }
      - name: Build
        env:
          HIT: ${{ steps.cache.outputs.cache-hit }}
          PRIMARY: ${{ steps.cache.outputs.cache-primary-key }}
          MATCHED: ${{ steps.cache.outputs.cache-matched-key }}
        run: |
          text=$(cat deps/file 2>/dev/null || true)
          mkdir -p deps && echo KEY >deps/file
          echo \"| hit=[$HIT] primary=[$PRIMARY] matched=[$MATCHED] text=[$text]\"
      - id: save
        uses: ./save
        with: { path: deps, key: deps-KEY, upload-chunk-size: 1000000, save-always: true, version: installed }
      - name: Tell
        run: echo \"save-result is ${{ steps.save.outputs.save-result }}\"
";

/// Runs the workflow with a key: what was printed of the restore, and of the save.
fn build(sample: &Sample, key: &str, lookup: &str, transport: Transport) -> ([String; 4], String) {
    let text = WORKFLOW.replace("KEY", key).replace("LOOKUP", lookup);
    fs::write(sample.repository().join(".github/workflows/drop-in.yml"), text).expect("written");
    let ran = sample.run("drop-in", Event::Push, transport);
    let _ = fs::remove_dir_all(sample.repository().join("deps"));
    let saved = ran
        .log
        .lines()
        .find_map(|line| line.split_once("| save-result is "))
        .map(|(_, word)| word.to_owned());
    let said = ["hit", "primary", "matched", "text"].map(|name| ran.said(name));
    (said, saved.unwrap_or_else(|| panic!("{}", ran.log)))
}

fn in_the_place_of_actions_cache(test: &str, transport: Transport) {
    let sample = match Sample::new() {
        Ok(sample) => sample,
        Err(missing) => return skip(test, &missing),
    };
    let check = |key: &str, lookup: &str, said: [&str; 4], saved: &str| {
        let found = build(&sample, key, lookup, transport);
        let brackets = said.map(|word| format!("[{word}]"));
        assert_eq!(found, (brackets, saved.to_owned()), "{key} {lookup}");
    };
    check("1", "lookup-only: false", ["false", "deps-1", "", ""], "saved");
    check("1", "lookup-only: false", ["true", "deps-1", "deps-1", "1"], "exists");
    check("2", "lookup-only: true", ["false", "deps-2", "deps-1", ""], "saved");
    check("2", "lookup-only: false", ["true", "deps-2", "deps-2", "2"], "exists");
    // Entries that every OS finds are others.
    check("2", "enableCrossOsArchive: true", ["false", "deps-2", "", ""], "exists");
    let versions: BTreeSet<String> =
        sample.service.entries().into_iter().map(|(entry, _)| entry.version).collect();
    assert_eq!((sample.entries().len(), versions.len()), (2, 1), "{:?}", sample.entries());
}

#[test]
fn it_takes_the_place_of_actions_cache_with_our_own_transport() {
    in_the_place_of_actions_cache(
        "it_takes_the_place_of_actions_cache_with_our_own_transport",
        Transport::Native,
    );
}

#[test]
fn it_takes_the_place_of_actions_cache_with_that_underneath() {
    in_the_place_of_actions_cache(
        "it_takes_the_place_of_actions_cache_with_that_underneath",
        Transport::Wrapped,
    );
}
