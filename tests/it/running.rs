//! `cachekeep run`: what happens to the command.

#[cfg(target_os = "linux")]
use cachekeep_test_support::processes::processes_with;
use cachekeep_test_support::project::{Project, file_url};

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-v1-{os}"
save = "SAVE"
export = { OUT = "{path}" }
"#;

fn project(save: &str) -> Project {
    Project::new(&CONFIG.replace("SAVE", save))
}

fn save_result(ran: &cachekeep_test_support::project::Ran) -> String {
    ran.json()["caches"][0]["save"]["save-result"].as_str().unwrap_or("none").to_owned()
}

#[test]
fn the_command_gets_the_exports_and_its_exit_code_is_returned() {
    let project = project("success");
    let ran =
        project.run(&["run", "--", "sh", "-c", "mkdir -p \"$OUT\" && echo hi > \"$OUT/x\"; exit 7"]).code(7);
    assert_eq!(project.read("workspace/out/x"), "hi\n");
    assert!(ran.stderr.contains("out"), "{}", ran.stderr);
}

#[test]
fn a_failed_command_saves_only_what_says_always() {
    for (save, result) in [("success", "none"), ("always", "saved"), ("never", "none")] {
        let project = project(save);
        let ran =
            project.run(&["run", "--json", "--", "sh", "-c", "mkdir -p out && echo hi > out/x; exit 7"]);
        assert_eq!(save_result(&ran.code(7)), result, "{save}");
    }
}

#[test]
fn a_command_that_cannot_be_started_is_told_from_one_that_fails() {
    let project = project("success");
    let ran = project.run(&["run", "--", "no-such-command-anywhere"]).code(127);
    assert!(ran.stderr.contains("no-such-command-anywhere"), "{}", ran.stderr);
    let path = project.write("workspace/plain.txt", "not executable");
    #[cfg(unix)]
    project.run(&["run", "--", path.to_str().expect("text")]).code(126);
    #[cfg(not(unix))]
    let _ = path;
}

/// As `npm`, `yarn`, `mvn` and `gradle` are on Windows.
#[cfg(windows)]
#[test]
fn a_script_for_cmd_is_started_by_its_name_and_its_code_is_returned_whole() {
    let project = project("always");
    project.write("bin/tool", "#!/bin/sh\n");
    project.write("bin/tool.cmd", "@mkdir out\r\n@echo %~1> out\\x\r\n@exit %2\r\n");
    let path = format!("{};{}", project.path("bin").display(), std::env::var("PATH").unwrap_or_default());
    for code in ["7", "256", "-1073741819"] {
        let mut command = project.command();
        command.env("PATH", &path).args(["run", "--json", "--", "tool", "two words", code]);
        let ran =
            cachekeep_test_support::project::Ran::of(&mut command).code(code.parse().expect("a number"));
        assert_eq!(project.read("workspace/out/x").trim_end(), "two words");
        assert!(matches!(save_result(&ran).as_str(), "saved" | "exists"), "{}", ran.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_signal_is_forwarded_and_nothing_is_saved() {
    use std::process::Stdio;
    let project = project("always");
    let mut child = project
        .command()
        .args(["run", "--", "sh", "-c", "trap 'echo stopped > out/trap; exit 3' TERM; mkdir -p out; echo up > out/up; while :; do sleep 0.05; done"])
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary starts");
    while !project.path("workspace/out/up").exists() {
        assert!(child.try_wait().expect("a child").is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let pid = i32::try_from(child.id()).expect("a process number");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid).expect("a process"),
        rustix::process::Signal::TERM,
    )
    .expect("signaled");
    assert_eq!(child.wait().expect("it ends").code(), Some(3));
    assert_eq!(project.read("workspace/out/trap"), "stopped\n");
    let ran = project.run(&["restore", "--lookup-only", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["restore"]["hit"], "none");
    assert!(project.temporary_things().is_empty());
}

/// Terminates a `run` of a script once it has made `up`; what it printed.
#[cfg(target_os = "linux")]
#[test]
fn a_job_that_nohup_started_outlives_its_terminal() {
    cachekeep_test_support::signals::hear_signals();
    for (start, code, is_saved) in [("", 129, false), ("trap '' HUP; ", 0, true)] {
        let project = project("success");
        let mut command = std::process::Command::new("sh");
        let program = project.command();
        let variables: Vec<_> = program
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        // A terminal that is closed sends the signal to every process; here the command sends it to its parent.
        let job = "mkdir -p out && echo made >out/file; kill -HUP $PPID; sleep 0.5";
        let line = format!("{start}exec \"$0\" run -- sh -c \"$1\"");
        command.args(["-c", &line]).arg(program.get_program()).arg(job).env_clear().envs(variables);
        command.current_dir(program.get_current_dir().expect("a directory"));
        let ran = cachekeep_test_support::project::Ran::of(&mut command).code(code);
        assert_eq!(ran.stderr.contains("out: saved: "), is_saved, "{start}: {}", ran.stderr);
    }
}

#[cfg(target_os = "linux")]
fn terminated(project: &Project, variable: &str, script: &str) -> String {
    let mut command = project.command();
    let (name, value) = variable.split_once('=').expect("a variable");
    command.env(name, value).args(["run", "--", "sh", "-c", script]);
    let child = command.stdin(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn();
    let mut child = child.expect("the binary starts");
    while !project.path("workspace/up").exists() {
        assert!(child.try_wait().expect("a child").is_none(), "it ended by itself");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("signaled");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_cancelled_command_leaves_in_its_group_ends_with_it() {
    let project = project("success");
    let script = "(trap '' TERM; touch up; while :; do sleep 0.1; done) & wait";
    terminated(&project, "CACHEKEEP_TEST_GROUP=ends", script);
    assert_eq!(processes_with("CACHEKEEP_TEST_GROUP=ends"), [] as [i32; 0]);
}

#[cfg(target_os = "linux")]
#[test]
fn what_left_the_group_of_a_cancelled_command_is_named() {
    let project = project("success");
    // Without the pipe, whose end is waited for.
    let script = "setsid sh -c 'touch up; exec sleep 600' > /dev/null 2>&1 & wait";
    let stderr = terminated(&project, "CACHEKEEP_TEST_GROUP=left", script);
    let left = processes_with("CACHEKEEP_TEST_GROUP=left");
    assert_eq!(left.len(), 1, "{stderr}");
    let named =
        stderr.contains("left the process group of the command") && stderr.contains(&left[0].to_string());
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(left[0]).expect("a process"),
        rustix::process::Signal::KILL,
    )
    .expect("signaled");
    assert!(named, "{left:?}: {stderr}");
}

#[test]
fn no_failure_of_a_cache_breaks_the_build() {
    let project = Project::new(&CONFIG.replace("SAVE", "success"));
    // The store's place is taken by a file.
    let store = project.write("not-a-directory", "");
    let location = file_url(&store);
    let ran = project
        .run(&["--store", &location, "run", "--", "sh", "-c", "mkdir -p out; echo hi > out/x"])
        .success();
    assert!(ran.stderr.contains("warning"), "{}", ran.stderr);
    assert_eq!(project.read("workspace/out/x"), "hi\n");
    project.run(&["--store", &location, "save", "--required"]).code(1);
}

/// What this tree or this job lacks skips that cache; the command and the other caches go on.
#[test]
fn a_key_that_cannot_be_computed_here_skips_its_cache_and_the_command_runs() {
    for (key, lacks) in [
        ("k-{files:no.lock}", "no file matches"),
        ("k-{hash-files:no/**/x}", "no file matches"),
        ("k-{env.CACHEKEEP_TEST_UNSET}", "the environment has no `CACHEKEEP_TEST_UNSET`"),
        ("k-{var.flavor}", "--var flavor=VALUE"),
        ("k-{run-id}", "only jobs of a CI have it"),
    ] {
        let config = format!(
            "{}\n[cache.other]\npath = \"other\"\nkey = \"{key}\"\n",
            CONFIG.replace("SAVE", "success")
        );
        let project = Project::new(&config);
        let script = "echo ran > ran; mkdir -p out && echo hi > out/x";
        let ran = project.run(&["run", "--json", "--", "sh", "-c", script]).success();
        assert_eq!(project.read("workspace/ran"), "ran\n");
        assert_eq!(save_result(&ran), "saved", "{key}");
        assert!(ran.stderr.contains("warning: other: "), "{key}: {}", ran.stderr);
        assert!(ran.stderr.contains(lacks), "{key}: {}", ran.stderr);
        assert!(!ran.stderr.contains("--ref"), "{key}: {}", ran.stderr);
    }
    // What no job could expand is the configuration's fault.
    let project = Project::new("[cache.c]\npath = \"c\"\nkey = \"k-{nonsense}\"\n");
    project.run(&["run", "--", "sh", "-c", "echo ran > ran"]).code(2);
    assert!(!project.path("workspace/ran").exists());
}

/// Half of the exports would send the build to another directory than the one that was restored.
#[test]
fn a_cache_of_which_one_export_is_unknown_is_skipped_with_all_of_them() {
    let config = CONFIG.replace("SAVE", "success").replace("OUT = ", "NOTE = \"{var.note}\", OUT = ");
    let project = Project::new(&config);
    let script = "echo \"${OUT-none}\" > told; mkdir -p out && echo hi > out/x";
    let ran = project.run(&["run", "--json", "--", "sh", "-c", script]).success();
    assert_eq!(project.read("workspace/told"), "none\n");
    assert!(ran.stderr.contains("warning: out: skipped, for what it exports is not known"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--var note=VALUE"), "{}", ran.stderr);
    assert_eq!(ran.json()["caches"].as_array().map(Vec::len), Some(0), "{}", ran.stdout);
    project.run(&["restore", "--required"]).code(1);
    let ran = project.run(&["run", "--json", "--var", "note=x", "--", "sh", "-c", script]).success();
    assert_eq!(save_result(&ran), "saved");
}
