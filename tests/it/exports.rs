//! `cachekeep env`: what caches export, for shells, dotenv readers and programs.

use cachekeep_test_support::project::Project;
use cachekeep_test_support::tree::snapshot;

const CONFIG: &str = r#"
[cache.ccache]
path = "{workspace}/ccache"
key = "ccache-v1"
export = { CCACHE_DIR = "{path}", CCACHE_NOTE = "it's {var.note}" }

[cache.other]
path = "{workspace}/other"
key = "other-v1"
export = { OTHER = "{path}" }
"#;

#[test]
fn a_shell_evaluates_the_exports_and_nothing_is_touched() {
    let project = Project::new(CONFIG);
    let before = snapshot(&project.path(""));
    let note = "$(touch evil) `touch evil` \"x\"; touch evil";
    let ran = project.run(&["env", "--var", &format!("note={note}")]).success();
    assert_eq!(snapshot(&project.path("")), before, "it only looks");
    if cfg!(unix) {
        let script = format!("{}\nprintf '%s|%s|%s' \"$CCACHE_DIR\" \"$CCACHE_NOTE\" \"$OTHER\"", ran.stdout);
        let mut shell = std::process::Command::new("sh");
        let said = shell.args(["-c", &script]).current_dir(project.path("workspace")).output();
        let said = said.expect("a shell");
        let place = |name: &str| project.path("workspace").join(name).display().to_string();
        let expect = format!("{}|it's {note}|{}", place("ccache"), place("other"));
        assert_eq!(String::from_utf8_lossy(&said.stdout), expect);
        assert!(!project.path("workspace/evil").exists());
    }
}

#[test]
fn formats_and_caches_can_be_chosen() {
    let project = Project::new(CONFIG);
    let run = |arguments: &[&str]| project.run(&[&["env", "--var", "note=x"], arguments].concat()).success();
    let other = project.path("workspace").join("other").display().to_string();
    assert_eq!(run(&["other", "--format", "dotenv"]).stdout, format!("OTHER={other}\n"));
    assert_eq!(run(&["other", "--format", "powershell"]).stdout, format!("$env:OTHER = '{other}'\n"));
    for json in [&["--json"][..], &["--format", "json"]] {
        let ran = run(json);
        assert_eq!(ran.json()["OTHER"], other.as_str());
        assert_eq!(ran.json()["CCACHE_NOTE"], "it's x");
    }
    let ran = project.run(&["env"]).code(1);
    assert!(ran.stderr.contains("note"), "{}", ran.stderr);
}
