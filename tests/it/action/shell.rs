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

    // Without a token the script runs even so, nothing is packed, and the log says so once.
    input("0 third");
    let payload = r#"{"ref": "refs/heads/main", "repository": {"default_branch": "main"}}"#.to_owned();
    let alone = sample.act("shell", "push", &Given { payload, ..Given::default() });
    assert!(alone.success, "{}", alone.log);
    assert_eq!(alone.log.matches("no entry is restored or saved in this job").count(), 1, "{}", alone.log);
    assert_eq!(sample.entries().len(), 2, "{}", alone.log);
}

/// A workflow whose last step has this shell and this script.
fn with_step(sample: &Sample, shell: &str, script: &str) {
    let start = WORKFLOW.split("      - name: Build").next().expect("a start");
    let script = script.replace('\n', "\n          ");
    let text = format!(
        "{start}      - name: Build\n        shell: cachekeep run out --shell {shell} {{0}}\n        run: |\n          {script}\n"
    );
    fs::write(sample.repository().join(".github/workflows/shell.yml"), text).expect("written");
    fs::write(sample.repository().join("shell.toml"), CONFIG).expect("written");
    fs::write(sample.repository().join("input.txt"), "0").expect("written");
    sample.commit();
}

#[cfg(unix)]
#[test]
fn a_step_for_another_shell_gets_what_the_runner_would_give_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let test = "a_step_for_another_shell_gets_what_the_runner_would_give_it";
    let sample = match Sample::new() {
        Ok(sample) => sample,
        Err(missing) => return skip(test, &missing),
    };
    let stub = "#!/bin/sh\nscript=${2#*\\'}; script=${script%\\'}\necho \"pwsh $1 ${script##*/}\"\ncat \"$script\"\n\
                mkdir -p out && echo made >out/file\n";
    let pwsh = sample.path("bin/pwsh");
    fs::write(&pwsh, stub).expect("written");
    fs::set_permissions(pwsh, fs::Permissions::from_mode(0o755)).expect("executable");
    with_step(&sample, "pwsh", "Write-Output hi");
    let ran = sample.run("shell", Event::Push, Transport::Native);
    for said in ["| pwsh -command script.ps1", "| Write-Output hi", "{ exit $LASTEXITCODE }"] {
        assert!(ran.log.contains(said), "{said}: {}", ran.log);
    }
    assert_eq!(sample.entries().len(), 1, "{}", ran.log);
}

/// The runner sends the signal to the process of the step. Nothing of a half-made cache is saved.
#[cfg(target_os = "linux")]
#[test]
fn a_step_that_is_cancelled_ends_its_script_and_saves_nothing() {
    let test = "a_step_that_is_cancelled_ends_its_script_and_saves_nothing";
    let sample = match Sample::new() {
        Ok(sample) => sample,
        Err(missing) => return skip(test, &missing),
    };
    cachekeep_test_support::signals::hear_signals();
    with_step(&sample, "bash", "mkdir -p out && echo half >out/half\nkill -INT $PPID\nsleep 600");
    // act gives steps a terminal, which the runner does not.
    sample.rewrite("shell", "shell: cachekeep", "shell: setsid --wait cachekeep");
    sample.commit();
    let cancelled = sample.attempt("shell", Event::Push, Transport::Native);
    assert!(!cancelled.success && cancelled.log.contains("exit status 130"), "{}", cancelled.log);
    assert!(cancelled.log.contains("not saved: interrupted"), "{}", cancelled.log);
    assert!(sample.entries().is_empty(), "{}", cancelled.log);
}

#[test]
fn a_fork_restores_with_actions_cache_before_its_first_script() {
    let test = "a_fork_restores_with_actions_cache_before_its_first_script";
    let sample = match Sample::new() {
        Ok(sample) => sample,
        Err(missing) => return skip(test, &missing),
    };
    with_step(&sample, "bash", "cat out/made || true\nmkdir -p out && echo made >out/made");
    let workflow = sample.repository().join(".github/workflows/shell.yml");
    let text = fs::read_to_string(&workflow).expect("a workflow");
    let text = text.replace("mode: install,", "mode: install, cache: out,");
    let text = text.replace("on: push", "on: [push, pull_request]");
    fs::write(&workflow, text).expect("written");
    sample.commit();
    let cold = sample.run("shell", Event::Push, Transport::Native);
    assert_eq!(sample.entries().len(), 1, "{}", cold.log);
    assert!(!cold.log.contains("actions/cache moves"), "the shell restores by itself: {}", cold.log);
    let fork = sample.run("shell", Event::Fork, Transport::Wrapped);
    assert!(fork.log.contains("| made\n"), "{}", fork.log);
    assert!(fork.log.contains("an earlier step of this job restored `out-"), "{}", fork.log);
    assert_eq!(fork.log.matches("no entry is restored or saved in this job").count(), 1, "{}", fork.log);
    assert_eq!(sample.entries().len(), 1, "{}", fork.log);
}

/// Runs cachekeep as the shell of a step does: the exit code, and the log.
fn shell(job: &Job, arguments: &[&str], script: &str) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cachekeep"));
    command.args(["run", "out"]).args(arguments).args(["--", "sh", "-ec", script]);
    command.env_clear().envs(&job.env).current_dir(job.path("workspace"));
    let done = command.output().expect("it starts");
    let log = [done.stdout, done.stderr].concat();
    (done.status.code(), String::from_utf8_lossy(&log).into_owned())
}

const EARLIER: &str = "an earlier step of this job restored";

#[test]
fn what_the_job_restored_already_is_not_restored_again() {
    let mut job = Job::new();
    let store = cachekeep_test_support::project::file_url(&job.path("store"));
    job.set("CACHEKEEP_STORE", &store);
    job.write("workspace/cachekeep.toml", "[cache.out]\npath = \"out\"\nkey = \"out-{var.x}\"\n");
    let read = |job: &Job| fs::read_to_string(job.path("workspace/out/file")).unwrap_or_default();
    for x in ["1", "2"] {
        let save = ["--var".to_owned(), format!("x={x}")];
        job.write("workspace/out/file", &format!("saved {x}"));
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cachekeep"));
        command.arg("save").args(&save).env_clear().envs(&job.env).current_dir(job.path("workspace"));
        assert!(command.status().expect("it starts").success());
    }
    let forget = |job: &Job| {
        fs::remove_dir_all(job.path("temp/cachekeep-state")).expect("the state of the job");
        let _ = fs::remove_dir_all(job.path("workspace/out"));
    };
    forget(&job);
    let first = shell(&job, &["--var", "x=1"], "cat out/file; echo changed >out/file; exit 3");
    assert!(first.0 == Some(3) && first.1.contains("exact hit: restored 1 file"), "{}", first.1);
    let second = shell(&job, &["--var", "x=1"], "exit 3");
    assert!(second.1.contains(EARLIER) && !second.1.contains("restored 1 file"), "{}", second.1);
    assert_eq!(read(&job), "changed\n");
    let told = shell(&job, &["--json", "--var", "x=1"], "exit 3").1;
    assert!(told.contains("\"restored-earlier\": true") && told.contains("\"hit\": \"exact\""), "{told}");
    // Another key asks for another entry, and what is gone is restored.
    let other = shell(&job, &["--var", "x=2"], "exit 3").1;
    assert!(!other.contains(EARLIER) && read(&job) == "saved 2", "{other}");
    fs::remove_dir_all(job.path("workspace/out")).expect("removed");
    let gone = shell(&job, &["--var", "x=2"], "exit 3").1;
    assert!(!gone.contains(EARLIER) && read(&job) == "saved 2", "{gone}");
    // The next job on this machine, and one whose run has another number.
    shell(&job, &["--var", "x=2"], "echo changed >out/file; exit 3");
    job.set("GITHUB_RUN_ID", "2");
    let next = shell(&job, &["--var", "x=2"], "exit 3").1;
    assert!(!next.contains(EARLIER) && read(&job) == "saved 2", "{next}");
}

#[test]
fn without_a_token_caches_are_seeded_and_exported_and_nothing_is_packed() {
    let job = Job::new();
    job.write("seed/file", "seeded\n");
    let status = std::process::Command::new("tar")
        .args(["-czf", "workspace/seed.tar.gz", "-C", "seed", "file"])
        .current_dir(job.path("."))
        .status();
    assert!(status.expect("tar starts").success());
    let sum =
        crate::action::definition::sha256(&fs::read(job.path("workspace/seed.tar.gz")).expect("a seed"));
    let config = format!(
        "[cache.out]\npath = \"out\"\nkey = \"out-1\"\nsave = \"always\"\nexport = {{ OUT = \"{{path}}\" }}\n\
         [cache.out.seed]\nversion = \"1\"\nfrom = [\"seed.tar.gz\"]\nsha256 = \"{sum}\"\n"
    );
    job.write("workspace/cachekeep.toml", &config);
    let (code, log) = shell(&job, &[], "cat \"$OUT/file\"; exit 5");
    assert_eq!(code, Some(5), "{log}");
    assert!(log.contains("seeded\n"), "{log}");
    let notice = "no entry is restored or saved in this job: this step has no token for the cache service";
    assert_eq!(log.matches(notice).count(), 1, "{log}");
    assert!(log.contains("id-token: write") && log.contains("mode: install"), "{log}");
    assert!(log.contains("out: not saved (denied-mode): this step has no token"), "{log}");
    assert!(!job.path("temp/cachekeep-store").exists());
    let (_, again) = shell(&job, &[], "true");
    assert!(!again.contains(notice), "once in a job: {again}");
    assert!(again.contains("out: not saved (denied-mode)"), "{again}");
}

#[test]
fn install_restores_with_actions_cache_where_later_steps_cannot() {
    let mut job = Job::new();
    let path = job.path("GITHUB_PATH");
    job.set("GITHUB_PATH", path.to_str().expect("text"));
    job.write(
        "workspace/cachekeep.toml",
        "[cache.out]\npath = \"out\"\nkey = \"out-1\"\n[cache.x]\npath = \"x\"\nkey = \"x-1\"\n",
    );
    let inputs = [("mode", "install"), ("cache", "out")];
    let start = job.step("start", &inputs);
    assert_eq!((start.code, start.outputs["transport"].as_str()), (0, "wrapped"), "{}", start.log);
    assert!(start.log.contains("`cachekeep` is on the PATH of later steps"), "{}", start.log);
    assert_eq!(start.outputs["key-0"], "out-1");
    assert!(!start.outputs.contains_key("key-1"), "{:?}", start.outputs);
    job.write(&format!("workspace/{}/file", start.outputs["path-0"]), "text");
    job.set("CACHEKEEP_KEY_0", "out-1");
    job.set("CACHEKEEP_MATCHED_0", "out-1");
    let finish = job.step("finish", &inputs);
    assert_eq!((finish.code, finish.outputs["hit"].as_str()), (0, "exact"), "{}", finish.log);
    assert!(!finish.log.contains("is on the PATH"), "{}", finish.log);
    assert_eq!(fs::read_to_string(job.path("workspace/out/file")).expect("restored"), "text");
    let (code, log) = shell(&job, &[], "cat out/file");
    assert!(code == Some(0) && log.contains(EARLIER), "{log}");

    // Where later steps restore by themselves, this one does not.
    fs::remove_file(job.path("GITHUB_OUTPUT")).expect("outputs of the shell");
    let store = cachekeep_test_support::project::file_url(&job.path("store"));
    job.set("CACHEKEEP_STORE", &store);
    let direct = job.step("start", &inputs);
    assert!(direct.code == 0 && direct.outputs.is_empty(), "{:?}\n{}", direct.outputs, direct.log);
    let unknown = job.step("start", &[("mode", "install"), ("cache", "nowhere")]);
    assert!(unknown.code == 2 && unknown.log.contains("there is no cache `nowhere`"), "{}", unknown.log);
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
