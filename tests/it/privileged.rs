//! Jobs whose checkout may be a stranger's: what their configuration may do, and what the workflow must say itself.

use cachekeep_test_support::event::started_by;
use cachekeep_test_support::project::{Project, Ran, file_url};

const CONFIG: &str = r#"
[cache.c]
path = "{workspace}/tree"
key = "k-{var.n}"
restore-keys = ["k-"]
role = "writer"
save = "always"
export = { CCACHE_DIR = "{path}", CARGO_HOME = "{path}/cargo" }
"#;

fn project() -> Project {
    let project = Project::new(CONFIG);
    project.write("workspace/tree/a", "content");
    project
}

/// A command with its arguments and variables, in a job that an event started.
fn in_event(project: &Project, event: &str, arguments: &[&str], env: &[(&str, &str)]) -> Ran {
    let mut command = project.command();
    let store = file_url(&project.path("store"));
    command.args(["--store", &store, "--ref", "main"]).args(arguments);
    Ran::of(command.envs(started_by(event, &project.path("temp"))).envs(env.iter().copied()))
}

/// The result of a save with these arguments, and the exit code.
fn saved(event: &str, arguments: &[&str], env: &[(&str, &str)]) -> (String, i32) {
    let project = project();
    let ran = in_event(&project, event, &[&["save", "--json", "--var", "n=1"], arguments].concat(), env);
    let result = ran.json()["caches"][0]["save"]["save-result"].as_str().expect("a result").to_owned();
    let is_stored = project.path("store/repositories").exists();
    assert_eq!(is_stored, result == "saved", "{}", ran.stderr);
    if result != "saved" {
        assert!(ran.stderr.contains("role: writer") && ran.stderr.contains(event), "{}", ran.stderr);
    }
    (result, ran.code)
}

#[test]
fn in_a_privileged_event_only_the_word_of_the_workflow_saves() {
    let privileged =
        ["pull_request_target", "workflow_run", "issue_comment", "pull_request_review_comment", "invented"];
    for event in privileged {
        assert_eq!(saved(event, &[], &[]), ("denied-mode".to_owned(), 0), "{event}");
        assert_eq!(saved(event, &["--role", "writer"], &[]), ("saved".to_owned(), 0), "{event}");
    }
    for event in ["push", "schedule", "merge_group", "pull_request"] {
        assert_eq!(saved(event, &[], &[]), ("saved".to_owned(), 0), "{event}");
    }
    assert_eq!(saved("workflow_run", &[], &[("CACHEKEEP_ROLE", "writer")]).0, "saved");
    assert_eq!(saved("workflow_run", &["--required"], &[]), saved_by_a_consumer());
}

/// The result and exit code of a required save by a consumer, but for its messages: a denied mode is one thing.
fn saved_by_a_consumer() -> (String, i32) {
    let project = project();
    let arguments = ["save", "--json", "--required", "--role", "consumer", "--var", "n=1"];
    let ran = in_event(&project, "push", &arguments, &[]);
    (ran.json()["caches"][0]["save"]["save-result"].as_str().expect("a result").to_owned(), ran.code)
}

#[test]
fn an_event_that_cannot_be_read_saves_nothing() {
    let project = project();
    let payload = project.write("temp/broken.json", "{\"repository\": ");
    for path in [payload.display().to_string(), project.path("missing").display().to_string(), String::new()]
    {
        let ran =
            in_event(&project, "push", &["save", "--var", "n=1"], &[("GITHUB_EVENT_PATH", &path)]).success();
        assert!(ran.stderr.contains("denied-mode") && ran.stderr.contains("payload"), "{}", ran.stderr);
    }
    assert!(!project.path("store/repositories").exists());
}

#[test]
fn other_platforms_name_their_events_in_their_own_way() {
    let result = |variables: &[(&str, &str)]| {
        let project = project();
        let store = file_url(&project.path("store"));
        let mut command = project.command();
        command.args(["save", "--json", "--var", "n=1", "--ref", "main", "--store", &store]);
        let ran =
            Ran::of(command.env("AGENT_TEMPDIRECTORY", project.path("temp")).envs(variables.iter().copied()));
        ran.json()["caches"][0]["save"]["save-result"].as_str().expect("a result").to_owned()
    };
    assert_eq!(result(&[("TF_BUILD", "True"), ("BUILD_REASON", "PullRequest")]), "saved");
    assert_eq!(result(&[("TF_BUILD", "True"), ("BUILD_REASON", "ResourceTrigger")]), "denied-mode");
    assert_eq!(result(&[("GITLAB_CI", "true"), ("CI_PIPELINE_SOURCE", "push")]), "saved");
    assert_eq!(result(&[("GITLAB_CI", "true"), ("CI_PIPELINE_SOURCE", "external")]), "denied-mode");
    assert_eq!(result(&[("JENKINS_URL", "https://ci.example"), ("CI", "true")]), "saved");
    assert_eq!(result(&[]), "saved");
}

/// The names that a restore exports to later steps.
fn exported(project: &Project, event: &str, arguments: &[&str]) -> Ran {
    let file = project.write("temp/env", "");
    let env = [("GITHUB_ENV", file.to_str().expect("text"))];
    in_event(project, event, &[&["restore", "--var", "n=1"], arguments].concat(), &env)
}

#[test]
fn in_a_privileged_event_only_listed_variables_are_exported() {
    let project = project();
    let names = |arguments: &[&str]| -> Vec<String> {
        exported(&project, "issue_comment", arguments).success();
        let text = project.read("temp/env");
        text.lines().filter_map(|line| Some(line.split_once("<<cachekeep_")?.0.to_owned())).collect()
    };
    assert_eq!(names(&[]), [""; 0]);
    assert_eq!(names(&["--allow-export", "CCACHE_DIR"]), ["CCACHE_DIR"]);
    assert_eq!(names(&["--allow-export", "CCACHE_DIR\nCARGO_HOME"]), ["CARGO_HOME", "CCACHE_DIR"]);
    let ran = exported(&project, "issue_comment", &[]);
    assert!(ran.stderr.contains("allow-export: CCACHE_DIR"), "{}", ran.stderr);
}

#[test]
fn elsewhere_a_dangerous_variable_stops_the_command_before_it_touches_anything() {
    let project = project();
    let ran = exported(&project, "push", &[]).code(2);
    assert!(ran.stderr.contains("`CARGO_HOME` is not exported"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--allow-export CARGO_HOME"), "{}", ran.stderr);
    assert_eq!(project.read("temp/env"), "");
    exported(&project, "push", &["--allow-export", "CARGO_HOME"]).success();
    assert!(project.read("temp/env").contains("CARGO_HOME<<"));
    // A save exports nothing, and does not need the list.
    in_event(&project, "push", &["save", "--var", "n=1"], &[]).success();
    in_event(&project, "push", &["env", "--var", "n=1"], &[]).code(2);
    let ran =
        in_event(&project, "push", &["env", "--json"], &[("CACHEKEEP_ALLOW_EXPORT", "cargo_home")]).success();
    assert!(ran.json()["CARGO_HOME"].is_string() && ran.json()["CCACHE_DIR"].is_string());
    let ran = in_event(&project, "push", &["env", "--allow-export", "A,B"], &[]).code(2);
    assert!(ran.stderr.contains("`A,B` is not the name of a variable"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn a_build_in_a_privileged_event_runs_restores_and_does_not_save() {
    let project = project();
    in_event(&project, "push", &["save", "--var", "n=1"], &[]).success();
    std::fs::remove_dir_all(project.path("workspace/tree")).expect("removed");
    let script = "test -f tree/a && echo made > tree/b && echo \"dir=$CCACHE_DIR\" && exit 7";
    let arguments = ["run", "--var", "n=2", "--", "sh", "-c", script];
    let ran = in_event(&project, "workflow_run", &arguments, &[]).code(7);
    assert!(ran.stdout.contains("dir=\n"), "{}", ran.stdout);
    assert!(ran.stderr.contains("denied-mode"), "{}", ran.stderr);
    let ran = in_event(&project, "push", &["ls", "--json"], &[]).success();
    assert!(!ran.stdout.contains("k-2"), "{}", ran.stdout);
}

#[test]
fn no_key_has_a_secret_in_it_and_the_secret_is_not_shown() {
    let project = Project::new("[cache.c]\npath = \"tree\"\nkey = \"k-{env.DEPLOY_TOKEN}\"\n");
    for event in ["push", "workflow_run"] {
        for command in ["key", "restore", "save", "explain"] {
            let ran = in_event(&project, event, &[command], &[("DEPLOY_TOKEN", "hush-hush")]).code(2);
            assert!(
                ran.stderr.contains("{env.DEPLOY_TOKEN}") && !ran.stderr.contains("hush"),
                "{}",
                ran.stderr
            );
        }
    }
    let arguments = ["key", "--path", "tree", "--key", "k-{env.deploy_secret}"];
    let ran = in_event(&project, "push", &arguments, &[("deploy_secret", "hush-hush")]).code(2);
    assert!(!ran.stderr.contains("hush") && ran.stdout.is_empty(), "{}", ran.stderr);
}

#[test]
fn a_directory_of_git_is_not_a_cache() {
    for path in [
        ".git",
        "{workspace}/.git/hooks",
        "{workspace}/x/../.git",
        "lib/.GIT/modules/**/*.x",
        "{temp}/../workspace/.git",
    ] {
        let project = Project::new(&format!("[cache.c]\npath = \"{path}\"\nkey = \"k\"\n"));
        project.write("workspace/.git/hooks/a", "a");
        let ran = project.run(&["save"]).code(2);
        assert!(ran.stderr.contains("belongs to git"), "{path}: {}", ran.stderr);
    }
}

#[cfg(unix)]
#[test]
fn a_link_does_not_lead_a_cache_into_git() {
    let project = Project::new("[cache.c]\npath = \"cache/new\"\nkey = \"k\"\n");
    project.write("workspace/.git/hooks/a", "a");
    std::os::unix::fs::symlink(".git/hooks", project.path("workspace/cache")).expect("linked");
    let ran = project.run(&["restore"]).code(2);
    assert!(ran.stderr.contains("belongs to git"), "{}", ran.stderr);
    let project = Project::new("[cache.c]\npath = \".github/cache\"\nkey = \"k\"\n");
    project.write("workspace/.github/cache/a", "a");
    project.run(&["save", "--required"]).success();
}

#[test]
fn doctor_says_what_kind_of_job_this_is() {
    let project = project();
    let check = |event: &str, arguments: &[&str], name: &str| {
        let ran = in_event(&project, event, &[&["doctor", "--json"], arguments].concat(), &[]);
        let json = ran.json();
        let checks = json["checks"].as_array().expect("a list").clone();
        let texts = checks.iter().filter(|check| check["name"] == name);
        texts
            .map(|check| {
                format!("{}: {}", check["status"].as_str().unwrap(), check["text"].as_str().unwrap())
            })
            .collect::<Vec<_>>()
    };
    assert!(check("push", &[], "event")[0].starts_with("ok: `push` is trusted"));
    assert!(
        check("push", &[], "exports")
            .iter()
            .any(|text| text.starts_with("problem:") && text.contains("CARGO_HOME"))
    );
    assert!(check("workflow_run", &[], "event")[0].starts_with("note: `workflow_run` is privileged"));
    assert!(check("workflow_run", &[], "saves")[0].contains("denied-mode"));
    assert!(check("workflow_run", &["--role", "writer"], "saves")[0].starts_with("ok:"));
    let exports = check("workflow_run", &["--allow-export", "CCACHE_DIR"], "exports");
    assert_eq!(exports, ["ok: exported: CCACHE_DIR", "note: not exported in a privileged event: CARGO_HOME"]);
}
