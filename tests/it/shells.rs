//! `cachekeep run --shell`: scripts that are run as GitHub's runner runs those of the shells that it knows.

use cachekeep_test_support::project::{Project, Ran};
#[cfg(unix)]
use cachekeep_test_support::skip::skip;

const CONFIG: &str = "[cache.out]\npath = \"out\"\nkey = \"out-v1\"\nsave = \"always\"\n";

/// Runs a script in a shell, with the entry of one cache around it.
fn run(project: &Project, shell: &str, script: &str) -> Ran {
    let path = project.write("temp/0d9c", script);
    project.run(&["run", "out", "--shell", shell, path.to_str().expect("text")])
}

/// What is left of copies of scripts.
fn copies(project: &Project) -> Vec<std::path::PathBuf> {
    project.temporary_things()
}

#[test]
fn a_shell_that_is_not_known_and_a_second_command_are_usage_errors() {
    let project = Project::new(CONFIG);
    let ran = run(&project, "zsh", "touch ran").code(2);
    assert!(ran.stderr.contains("`--shell` knows bash, sh, pwsh, powershell, cmd, python"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
    let both = project.run(&["run", "out", "--shell", "sh", "x", "--", "sh", "x"]).code(2);
    assert!(both.stderr.contains("cannot be used with"), "{}", both.stderr);
    let missing = project.run(&["run", "out", "--shell", "sh", "no-such-script"]).code(1);
    assert!(missing.stderr.contains("cannot read the script `no-such-script`"), "{}", missing.stderr);
    assert!(!project.path("workspace/ran").exists());
    let half = project.run(&["run", "out", "--shell", "sh"]).code(2);
    assert!(half.stderr.contains("--shell <SHELL> <SCRIPT>"), "{}", half.stderr);
}

/// A program called `pwsh` that writes down its arguments and its script.
#[cfg(unix)]
fn with_pwsh(project: &Project, name: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let stub = "#!/bin/sh\nprintf '%s\\n' \"$@\" >told\nscript=${2#*\\'}; script=${script%\\'}\n\
                echo \"${script##*/}\" >>told\ncat \"$script\" >script\nmkdir -p out && echo made >out/file\nexit 7\n";
    let path = project.write(&format!("bin/{name}"), stub);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("executable");
    let bin = project.path("bin").display().to_string();
    format!("{bin}:{}", std::env::var("PATH").unwrap_or_default())
}

#[cfg(unix)]
#[test]
fn powershell_gets_its_flags_and_a_script_that_stops_at_errors_and_returns_its_code() {
    for shell in ["pwsh", "powershell"] {
        let project = Project::new(CONFIG);
        let path = with_pwsh(&project, shell);
        let script = project.write("temp/0d9c", "Write-Output hi\n");
        let mut command = project.command();
        command.env("PATH", path).args(["run", "out", "--shell", shell]).arg(script);
        let ran = Ran::of(&mut command).code(7);
        assert!(ran.stderr.contains("out: saved"), "`save = \"always\"`: {}", ran.stderr);
        let told = project.read("workspace/told");
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[2]), (3, "-command", "script.ps1"), "{told}");
        assert!(lines[1].starts_with(". '/") && lines[1].ends_with("/script.ps1'"), "{told}");
        let script = project.read("workspace/script");
        assert!(script.starts_with("$ErrorActionPreference = 'stop'\nWrite-Output hi\n"), "{script}");
        assert!(script.ends_with("{ exit $LASTEXITCODE }"), "{script}");
        assert!(copies(&project).is_empty());
    }
}

#[cfg(unix)]
#[test]
fn bash_fails_at_the_first_error_also_within_a_pipe() {
    let project = Project::new(CONFIG);
    let ran = run(&project, "bash", "basename \"$0\"\nfalse | true\necho not reached\n").code(1);
    assert_eq!(ran.stdout, "script.sh\n");
    // `sh` has no option for pipes.
    let ran = run(&project, "sh", "false | true\necho reached\nfalse\necho not reached\n").code(1);
    assert_eq!(ran.stdout, "reached\n");
    let ran = run(&project, "bash", "mkdir -p out && echo hi >out/x; exit 3").code(3);
    assert!(ran.stderr.contains("out: saved"), "{}", ran.stderr);
    assert!(copies(&project).is_empty());
}

#[cfg(unix)]
#[test]
fn python_runs_a_script_that_ends_in_py() {
    let test = "python_runs_a_script_that_ends_in_py";
    if let Err(error) = std::process::Command::new("python").arg("--version").output() {
        return skip(test, &format!("python: {error}"));
    }
    let project = Project::new(CONFIG);
    let script = "import os, sys\nprint(os.path.basename(__file__), len(sys.argv))\nsys.exit(5)\n";
    let ran = run(&project, "python", script).code(5);
    assert_eq!(ran.stdout, "script.py 1\n");
    assert!(copies(&project).is_empty());
}

#[cfg(windows)]
#[test]
fn cmd_calls_a_script_that_ends_in_cmd_and_returns_its_code() {
    let project = Project::new(CONFIG);
    let script =
        "echo %~nx0\r\nmkdir out\r\necho made> out\\file\r\nset x=a\"b c\r\necho [%x%]\r\nexit 7\r\n";
    let ran = run(&project, "cmd", script).code(7);
    let lines: Vec<&str> = ran.stdout.lines().map(str::trim_end).collect();
    assert_eq!(lines, ["script.cmd", "[a\"b c]"], "{}", ran.stderr);
    assert!(ran.stderr.contains("out: saved"), "{}", ran.stderr);
    assert!(copies(&project).is_empty());
}

#[cfg(unix)]
#[test]
fn the_copy_of_a_script_is_removed_when_the_job_is_cancelled_and_after_a_kill() {
    cachekeep_test_support::signals::hear_signals();
    let project = Project::new(CONFIG);
    // As the runner does, which sends the signal to the process of the step.
    let ran = run(&project, "bash", "mkdir -p out; echo up >out/up; kill -INT $PPID; sleep 60").code(130);
    assert!(ran.stderr.contains("not saved: interrupted"), "{}", ran.stderr);
    assert!(copies(&project).is_empty());
    run(&project, "bash", "kill -KILL $PPID").code(137);
    assert_eq!(copies(&project).len(), 1);
    project.run(&["restore"]).success();
    assert!(copies(&project).is_empty());
}

#[cfg(target_os = "linux")]
#[test]
fn a_script_runs_without_its_caches_where_there_is_too_little_memory() {
    let project = Project::new(CONFIG);
    let script = project.write("temp/0d9c", "basename \"$0\"; exit 4");
    let command = project.command();
    let mut limited = std::process::Command::new("sh");
    let variables = command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())));
    limited.args(["-c", "ulimit -v 400000; exec \"$0\" run out --shell bash \"$1\""]);
    limited.arg(command.get_program()).arg(script).env_clear().envs(variables);
    limited.current_dir(project.path("workspace"));
    let ran = Ran::of(&mut limited).code(4);
    assert_eq!(ran.stdout, "script.sh\n", "{}", ran.stderr);
    assert!(ran.stderr.contains("the command is run without its caches"), "{}", ran.stderr);
    assert!(copies(&project).is_empty());
}
