//! Each rule on a pipeline that breaks it, and on the nearest one that does not.

use std::path::Path;

use super::{ActionFacts, SavedCaches, of_pipeline};
use crate::config;
use crate::domain::finding::Severity;
use crate::domain::spec::Spec;

const CACHES: &str = r#"
[cache.ccache]
path = "ccache"
key = "ccache-{os}-{sha}"
restore-keys = ["ccache-{os}-"]

[cache.data]
path = "data"
key = "data-{os}-{sha}"
restore-keys = ["data-{os}"]

[cache.logs]
path = "logs"
key = "logs-{sha}"
save = "always"

[cache.c4]
path = "c4"
key = "c4-{sha}"

[cache.c5]
path = "c5"
key = "c5-{sha}"
"#;

const ACTION: ActionFacts = ActionFacts { inputs: Vec::new(), flags: Vec::new(), modes: &[] };

const STORE: &str = "store = \"az://account/container\"\n";

fn spec(text: &str) -> Spec {
    config::parse(text, Path::new("cachekeep.toml")).expect("a configuration").spec
}

/// Rules that a pipeline breaks, each with its line, sorted; errors end in `!`.
fn broken(config: &str, pipeline: &str) -> Vec<String> {
    let spec = spec(config);
    let found =
        of_pipeline(pipeline, Path::new("p.yml"), Some(&spec), &ACTION, &SavedCaches::default(), true)
            .expect("findings");
    let mut broken: Vec<String> = found
        .iter()
        .map(|finding| {
            let line = finding.location.as_ref().expect("a place").line;
            let mark = if finding.severity == Severity::Error { "!" } else { "" };
            assert!(finding.hint.is_some(), "{finding}");
            format!("{}:{line}{mark}", finding.rule)
        })
        .collect();
    broken.sort();
    broken
}

/// A restore and a save; the second line has parameters of both, the third those of the restore alone.
fn both(shared: &str, restore: &str) -> String {
    format!(
        "steps:\n- template: azure-task/restore.yml@ck\n  parameters: {{ {shared}, {restore} version: installed }}\n- script: make\n\
         - template: azure-task/save.yml@ck\n  parameters: {{ {shared} }}\n"
    )
}

#[test]
fn a_pipeline_that_works_breaks_no_rule() {
    assert_eq!(broken(CACHES, &both("cache: ccache", "")), [""; 0]);
    assert_eq!(broken(CACHES, &both("cache: ccache, transport: wrapped", "")), [""; 0]);
    assert_eq!(broken(CACHES, &both("cache: '${{ parameters.caches }}'", "")), [""; 0]);
    assert_eq!(broken(CACHES, &both("config: other.toml", "serviceConnection: x,")), [""; 0]);
    assert_eq!(
        broken(CACHES, &both("store: az://a/b, cache: logs", "transport: native, serviceConnection: x,")),
        [""; 0]
    );
    let with_store = format!("{STORE}{CACHES}");
    assert_eq!(broken(&with_store, &both("cache: ccache data logs, transport: native", "")), [""; 0]);
    assert_eq!(broken(CACHES, "steps:\n- task: Cache@2\n  inputs: { key: a, path: b }\n"), [""; 0]);
}

#[test]
fn what_cache_2_cannot_do_is_found() {
    assert_eq!(
        broken(CACHES, &both("cache: ccache c4 c5 logs data", "")),
        [
            "azure-restore-key:3",
            "azure-save-always:6",
            "azure-too-many-caches:3!",
            "azure-too-many-caches:6!",
        ]
    );
    // All caches of the configuration are five as well; with a store only some jobs need `Cache@2`.
    let with_store = format!("{STORE}{CACHES}");
    assert_eq!(
        broken(&with_store, &both("timeout: 20m", "")),
        ["azure-too-many-caches:2", "azure-too-many-caches:5"]
    );
    let files =
        both("cache: ccache, format: files", "") + "- task: Cache@2\n  inputs: { key: npm, path: x }\n";
    assert_eq!(broken(CACHES, &files), ["azure-format-of-others:3", "azure-format-of-others:6"]);
    assert_eq!(broken(CACHES, &files.replace("files", "tar")), [""; 0]);
}

#[test]
fn names_and_stores_are_looked_up() {
    assert_eq!(
        broken(CACHES, &both("cache: ccache dta", "")),
        ["azure-unknown-cache:3!", "azure-unknown-cache:6!"]
    );
    assert_eq!(
        broken(CACHES, &both("cache: ccache, transport: native", "")),
        ["azure-no-store:3!", "azure-no-store:6!"]
    );
    assert_eq!(
        broken(CACHES, "steps:\n- task: Cachekeep@0\n  inputs: { cache: ccache }\n"),
        ["azure-no-store:2!"]
    );
    assert_eq!(
        broken(CACHES, "steps:\n- task: kitware.Cachekeep@0\n  inputs: { cache: ccache, store: 's3://b' }\n"),
        [""; 0]
    );
    let clean = "steps:\n- template: azure-task/clean.yml@ck\n  parameters: { version: installed }\n";
    assert_eq!(broken(CACHES, clean), ["azure-nothing-to-clean:2!"]);
    assert_eq!(broken(&format!("{STORE}{CACHES}"), clean), [""; 0]);
    assert_eq!(
        broken(CACHES, &both("cache: ccache, store: 's3://bucket'", "serviceConnection: x,")),
        ["azure-unused-connection:3"]
    );
}

#[test]
fn restores_and_saves_belong_together() {
    let restore = |more: &str| {
        format!(
            "- template: azure-task/restore.yml@ck\n  parameters: {{ cache: ccache, {more} version: installed }}\n"
        )
    };
    let save = |more: &str| {
        format!(
            "- template: azure-task/save.yml@ck\n  parameters: {{ cache: ccache, {more} version: installed }}\n"
        )
    };
    let steps = |steps: &[String]| format!("steps:\n{}", steps.concat());

    assert_eq!(broken(CACHES, &steps(&[restore("")])), ["azure-never-saved:2"]);
    assert_eq!(broken(CACHES, &steps(&[restore("role: consumer,")])), [""; 0]);
    assert_eq!(
        broken(CACHES, &steps(&[restore("prefix: A,"), save("")])),
        ["azure-never-restored:4!", "azure-never-saved:2"]
    );
    assert_eq!(broken(CACHES, &steps(&[save("")])), ["azure-never-restored:2!"]);
    assert_eq!(broken(CACHES, &steps(&[save("store: 'az://a/b',")])), [""; 0]);
    assert_eq!(
        broken(CACHES, &steps(&[restore(""), save("").replace("ccache", "c4")])),
        ["azure-never-restored:5!"]
    );
    assert_eq!(broken(CACHES, &steps(&[restore(""), restore(""), save("")])), ["azure-same-prefix:4!"]);
    assert_eq!(
        broken(CACHES, &steps(&[restore(""), restore("prefix: B,"), save(""), save("prefix: B,")])),
        [""; 0]
    );

    // What a condition chooses, what another template adds, and the template that is used by others.
    let either = "steps:\n- ${{ if eq(variables.x, 1) }}:\n  - template: azure-task/restore.yml@ck\n    parameters: { cache: ccache, \
                  version: installed }\n- ${{ else }}:\n  - template: azure-task/restore.yml@ck\n    parameters: { cache: ccache, version: \
                  installed }\n- template: azure-task/save.yml@ck\n  parameters: { cache: ccache }\n";
    assert_eq!(broken(CACHES, either), [""; 0]);
    assert_eq!(broken(CACHES, &(steps(&[restore("")]) + "- template: ci/after.yml\n")), [""; 0]);
    assert_eq!(broken(CACHES, &("parameters: []\n".to_owned() + &steps(&[restore("")]))), [""; 0]);
    // Jobs do not share a machine.
    let jobs = format!("jobs:\n- job: A\n  {}- job: B\n  {}", indented(&restore("")), indented(&save("")));
    assert_eq!(broken(CACHES, &jobs), ["azure-never-restored:8!", "azure-never-saved:4"]);
}

/// The steps of a job.
fn indented(steps: &str) -> String {
    format!("steps:\n  {}\n", steps.trim_end().replace('\n', "\n  "))
}

#[test]
fn the_job_must_know_which_program_it_installs() {
    let pipeline = both("cache: ccache", "");
    assert_eq!(broken(CACHES, &pipeline.replace("version: installed", "")), ["azure-no-program:2!"]);
    assert_eq!(broken(CACHES, &pipeline.replace("installed", "v0.1.0")), ["azure-no-program:3!"]);
    assert_eq!(broken(CACHES, &pipeline.replace("installed", "v0.1.0, sums: x")), [""; 0]);
    assert_eq!(broken(CACHES, &pipeline.replace("version: installed", "source: tools")), [""; 0]);
}

#[test]
fn other_files_are_left_alone_unless_they_are_named() {
    let check = |text: &str, is_named| {
        let saved = SavedCaches::default();
        of_pipeline(text, Path::new("p.yml"), None, &ACTION, &saved, is_named).map(|found| found.len())
    };
    assert_eq!(check("a: [", false), None);
    assert_eq!(check("a: [", true), Some(1));
    assert_eq!(check("a: 1", false), None);
    assert_eq!(check("- template: azure-task/restore.yml@ck\n  x: [", false), Some(1));
    assert_eq!(check("", true), Some(0));
}
