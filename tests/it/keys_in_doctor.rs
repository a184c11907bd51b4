//! `doctor` computes the keys of the configured caches, and says which have none in this tree.

use cachekeep_test_support::project::Project;

const CONFIG: &str = r#"
[cache.good]
path = "{workspace}/good"
key = "good-v1-{files:yarn.lock}"

[cache.unlocked]
path = "{workspace}/unlocked"
key = "unlocked-v1-{files:go.sum}"

[cache.unset]
path = "{workspace}/unset"
key = "unset-v1-{env.FLAVOR}"

[cache.exported]
path = "{workspace}/exported"
key = "exported-v1"
export = { TOOL_CACHE = "{path}/{var.variant}" }
"#;

/// The checks of this name: status, text and hint of each.
fn checks(ran: &serde_json::Value, name: &str) -> Vec<(String, String, String)> {
    let text = |check: &serde_json::Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
    let all = ran["checks"].as_array().expect("checks");
    let named = all.iter().filter(|check| check["name"] == name);
    named.map(|check| (text(check, "status"), text(check, "text"), text(check, "hint"))).collect()
}

#[test]
fn a_key_that_this_tree_lacks_is_a_problem_that_names_what_is_missing() {
    let project = Project::new(CONFIG);
    project.write("workspace/yarn.lock", "1");
    let key = project.run(&["--json", "key", "good"]).success().json();
    let key = key["caches"][0]["key"].as_str().expect("a key").to_owned();
    let told = project.run(&["doctor", "--json"]).code(1).json();
    let found = checks(&told, "key");
    assert_eq!(found.len(), 4, "{told}");
    let of = |cache: &str| found.iter().find(|(_, text, _)| text.starts_with(cache)).expect("told").clone();
    assert_eq!(of("good"), ("ok".to_owned(), format!("good: `{key}`"), String::new()));
    assert_eq!(of("exported").0, "ok");
    let workspace = project.path("workspace").display().to_string();
    let (status, text, hint) = of("unlocked");
    let why = format!("no file matches `go.sum` below `{workspace}`");
    assert_eq!(status, "problem");
    assert!(text.contains("has none here, and is skipped: ") && text.contains(&why), "{text}");
    assert_eq!(hint, "is it checked out, and spelled from the workspace?");
    let (status, text, hint) = of("unset");
    assert_eq!((status.as_str(), hint.as_str()), ("problem", "set it in the job"));
    assert!(text.contains("{env.FLAVOR}"), "{text}");
    let exports = checks(&told, "exports");
    let skipped = exports.iter().find(|(status, ..)| status == "problem").expect("told");
    assert!(skipped.1.starts_with("exported is skipped, for what it exports is not known: "), "{skipped:?}");
    assert_eq!(skipped.2, "give it with `--var variant=VALUE`, or `vars: variant=VALUE` in a step");
}

#[test]
fn what_the_job_gives_is_no_problem_any_more() {
    let project = Project::new(CONFIG);
    project.write("workspace/yarn.lock", "1");
    project.write("workspace/go.sum", "1");
    let mut command = project.command();
    command.env("FLAVOR", "plain").args(["doctor", "--var", "variant=x"]);
    let ran = cachekeep_test_support::project::Ran::of(&mut command).success();
    for line in ["ok       key: unlocked: `unlocked-v1-", "ok       key: unset: `unset-v1-plain`\n"] {
        assert!(ran.stdout.contains(line), "{line}\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("problem"), "{}", ran.stdout);
}

/// A key that no tree gives is a fault of the file, by which every command ends.
#[test]
fn a_key_that_no_tree_gives_is_a_problem_without_a_skip() {
    let project = Project::new("[cache.a]\npath = \"{workspace}/a\"\nkey = \"a,{env.FLAVOR}\"\n");
    let mut command = project.command();
    let ran = cachekeep_test_support::project::Ran::of(command.env("FLAVOR", "x,y").arg("doctor")).code(1);
    assert!(ran.stdout.contains("problem ") && !ran.stdout.contains("is skipped"), "{}", ran.stdout);
}
