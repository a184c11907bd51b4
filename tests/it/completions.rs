//! Completions in a real shell: words, and names of the caches that are declared here.

use std::path::Path;
use std::process::Command;

use cachekeep_test_support::project::{Project, Ran, scrub};

const CONFIG: &str =
    "[cache.npm]\nkind = \"npm\"\n\n[cache.numbers]\npath = \"numbers\"\nkey = \"numbers-{sha}\"\n";

/// What bash offers behind these words, sorted.
fn offered(project: &Project, words: &[&str]) -> Vec<String> {
    let bin = Path::new(env!("CARGO_BIN_EXE_cachekeep")).parent().expect("a directory");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    scrub(&mut command, &project.path(""));
    let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
    let script = format!(
        "source ./completions && COMP_WORDS=(cachekeep {}) COMP_CWORD={} && _cachekeep cachekeep '{last}' '{before}' && \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len()
    );
    command.current_dir(project.path("workspace")).args(["--norc", "-c", &script]);
    command.env("PATH", format!("{}:{path}", bin.display()));
    let mut offered: Vec<String> =
        Ran::of(&mut command).success().stdout.lines().map(str::to_owned).collect();
    offered.sort();
    offered
}

#[test]
fn names_of_caches_are_offered_where_a_command_takes_them() {
    let project = Project::new(CONFIG);
    assert_eq!(project.run(&["complete"]).success().stdout, "npm\nnumbers\n");
    project.write("workspace/completions", project.run(&["completions", "bash"]).success().stdout);
    assert_eq!(offered(&project, &["restore", "n"]), ["npm", "numbers"]);
    assert_eq!(offered(&project, &["run", "npm", "nu"]), ["numbers"]);
    assert_eq!(offered(&project, &["save", "--req"]), ["--required"]);
    assert_eq!(offered(&project, &["clean", "n"]), [""]);

    // Without a configuration, or with one that is wrong, the words are offered all the same.
    project.write("workspace/cachekeep.toml", "wrong");
    assert_eq!(offered(&project, &["restore", "--lo"]), ["--lookup-only"]);
    std::fs::remove_file(project.path("workspace/cachekeep.toml")).expect("removed");
    assert_eq!(project.run(&["complete"]).success().stdout, "");
    assert_eq!(offered(&project, &["restore", "n"]), [""]);
}
