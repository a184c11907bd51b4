//! One step around the build: `mode: install`, and cachekeep as the shell of a step.

use std::fs;

use crate::action::act::{Event, Given, Sample, Transport};
use crate::action::steps::Job;
use cachekeep_test_support::skip::skip;

const CONFIG: &str = "[cache.out]\npath = \"{workspace}/out\"\nkey = \"out-{var.variant}-{files:input.txt}\"\nsave = \"always\"\n";

const WORKFLOW: &str = r#"
name: shell
on: push
jobs:
  build:
    runs-on: ubuntu-latest
    strategy:
      matrix: { variant: ["Ubuntu 24.04"] }
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
      - uses: ./
        with: { mode: install, version: installed, config: shell.toml, vars: "variant=${{ matrix.variant }}" }
      - name: Build
        shell: cachekeep run out -- bash -eo pipefail {0}
        working-directory: example
        run: |
          [ ! -e ../out/made ] || echo "made earlier by $(cat ../out/made)"
          mkdir -p ../out
          cp ../input.txt ../out/made
          exit "$(cut -d ' ' -f 1 ../input.txt)"
"#;

#[test]
fn the_shell_of_a_step_restores_and_saves_around_its_script() {
    let sample = match Sample::new() {
        Ok(sample) => sample,
        Err(missing) => return skip("the_shell_of_a_step_restores_and_saves_around_its_script", &missing),
    };
    let input = |text: &str| {
        fs::write(sample.repository().join("input.txt"), text).expect("written");
        sample.commit();
    };
    fs::write(sample.repository().join("shell.toml"), CONFIG).expect("written");
    fs::write(sample.repository().join(".github/workflows/shell.yml"), WORKFLOW).expect("written");
    input("0 first");

    let miss = sample.run("shell", Event::Push, Transport::Native);
    let entries = sample.entries();
    assert_eq!(entries.len(), 1, "{}", miss.log);
    assert!(entries[0].starts_with("refs/heads/main out-Ubuntu 24.04-"), "{entries:?}");
    assert!(!miss.log.contains("made earlier"), "{}", miss.log);
    assert!(miss.log.contains("::set-output:: save-result=saved"), "{}", miss.log);

    let hit = sample.run("shell", Event::Push, Transport::Native);
    assert!(hit.log.contains("made earlier by 0 first"), "{}", hit.log);
    assert!(hit.log.contains("::set-output:: hit=exact"), "{}", hit.log);
    assert_eq!(sample.entries(), entries, "{}", hit.log);

    // A script that fails ends the step with its exit code, and the cache is saved as its policy says.
    input("3 second");
    let failed = sample.attempt("shell", Event::Push, Transport::Native);
    assert!(!failed.success && failed.log.contains("exit status 3"), "{}", failed.log);
    assert_eq!(sample.entries().len(), 2, "{}", failed.log);

    // Without a token the script runs even so, and the log says once that entries are lost.
    input("0 third");
    let payload = r#"{"ref": "refs/heads/main", "repository": {"default_branch": "main"}}"#.to_owned();
    let alone = sample.act("shell", "push", &Given { payload, ..Given::default() });
    assert!(alone.success, "{}", alone.log);
    assert_eq!(alone.log.matches("lost with this job").count(), 1, "{}", alone.log);
    assert_eq!(sample.entries().len(), 2, "{}", alone.log);
}

#[test]
fn what_the_job_is_to_remember_is_written_where_the_runner_reads_it() {
    let mut job = Job::new();
    let path = job.path("GITHUB_PATH");
    job.set("GITHUB_PATH", path.to_str().expect("text"));
    let inputs = [
        ("mode", "install"),
        ("vars", "variant=Ubuntu 24.04 other=2"),
        ("config", "ci/cachekeep.toml"),
        ("store", "file:///srv/cache"),
        ("role", "consumer"),
        ("timeout", "20m"),
    ];
    let done = job.step("start", &inputs);
    assert_eq!(done.code, 0, "{}", done.log);
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_cachekeep"));
    let directory = program.parent().expect("a directory").display();
    assert_eq!(fs::read_to_string(path).expect("the file"), format!("{directory}\n"));
    let exported = fs::read_to_string(job.path("GITHUB_ENV")).expect("the file");
    let config = job.path("workspace/ci/cachekeep.toml").display().to_string();
    for (name, value) in [
        ("CACHEKEEP_VARS", "variant=Ubuntu 24.04\nother=2"),
        ("CACHEKEEP_CONFIG", config.as_str()),
        ("CACHEKEEP_STORE", "file:///srv/cache"),
        ("CACHEKEEP_ROLE", "consumer"),
        ("CACHEKEEP_TIMEOUT", "20m"),
    ] {
        let written = exported.split_once(&format!("{name}<<")).and_then(|(_, rest)| rest.split_once('\n'));
        assert!(
            written.is_some_and(|(_, rest)| rest.starts_with(&format!("{value}\n"))),
            "{name}: {exported}"
        );
    }
    assert!(!exported.contains("CACHEKEEP_ALLOW_EXPORT"), "{exported}");
    assert!(done.outputs.is_empty(), "{:?}", done.outputs);

    let wrong = job.step("start", &[("mode", "install"), ("role", "boss")]);
    assert_eq!(wrong.code, 2, "{}", wrong.log);
    assert!(wrong.log.contains("invalid value 'boss' for `role`"), "{}", wrong.log);
}
