//! `--exact`: one job restores what the key itself names, whatever restore keys the configuration has.

use cachekeep_test_support::project::{Project, Ran};

const CONFIG: &str = r#"
[cache.deps]
path = "deps"
key = "deps-{var.n}"
restore-keys = ["deps-"]
"#;

fn run(project: &Project, n: &str, arguments: &[&str]) -> Ran {
    project.run(&[&["--json", "--var", &format!("n={n}")], arguments].concat()).success()
}

fn hit(ran: &Ran) -> String {
    ran.json()["caches"][0]["restore"]["hit"].as_str().expect("a hit").to_owned()
}

#[test]
fn a_restore_key_does_not_count() {
    let project = Project::new(CONFIG);
    project.write("workspace/deps/file", "one");
    run(&project, "1", &["save", "--required"]);
    std::fs::remove_dir_all(project.path("workspace/deps")).expect("removed");

    assert_eq!(hit(&run(&project, "2", &["restore", "--lookup-only"])), "partial");
    assert_eq!(hit(&run(&project, "2", &["restore", "--exact"])), "none");
    assert!(!project.path("workspace/deps").exists());
    let ran = run(&project, "2", &["run", "--exact", "--", "sh", "-c", "test ! -e deps"]);
    assert_eq!((ran.code, hit(&ran).as_str()), (0, "none"));
    let ran = run(&project, "1", &["restore", "--exact"]);
    assert_eq!(hit(&ran), "exact");
    assert_eq!(project.read("workspace/deps/file"), "one");
}

#[test]
fn a_key_that_begins_another_is_not_it() {
    let project = Project::new("[cache.deps]\npath = \"deps\"\nkey = \"deps-{var.n}\"\n");
    project.write("workspace/deps/file", "one");
    run(&project, "12", &["save", "--required"]);
    assert_eq!(hit(&run(&project, "1", &["restore", "--lookup-only"])), "partial");
    assert_eq!(hit(&run(&project, "1", &["restore", "--lookup-only", "--exact"])), "none");
    let ran = run(&project, "1", &["run", "--exact", "--", "sh", "-c", "echo two > deps/file"]);
    assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "saved", "{}", ran.stderr);
}
