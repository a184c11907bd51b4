//! Completions in a real shell: words, and names of the caches that are declared here.

use std::path::Path;
use std::process::Command;

use cachekeep_test_support::project::{Project, Ran, scrub};
use cachekeep_test_support::skip::{skip, works};

const CONFIG: &str =
    "[cache.npm]\nkind = \"npm\"\n\n[cache.numbers]\npath = \"numbers\"\nkey = \"numbers-{sha}\"\n";

/// Types a command line into a shell on a terminal of its own, presses Tab, and reads until all that is wanted was shown. The
/// minute passes only where something is missing.
const TYPED_INTO_ZSH: &str = r#"
zmodload zsh/zpty
zpty shell "zsh -f -i"
zpty -w shell "fpath=($PWD \$fpath); autoload -Uz compinit; compinit -D -u; unsetopt beep; print REA''DY"
zpty -r shell shown '*READY*'
zpty -w -n shell "$1"$'\t'
shift
shown=
for wanted; do
    while [[ $shown != *$wanted* && $SECONDS -lt 60 ]]; do
        zpty -r -t shell more && shown+=$more || sleep 0.02
    done
done
print -r -- "$shown"
"#;

/// A shell in the workspace that finds this program.
fn shell(program: &str, project: &Project) -> Command {
    let bin = Path::new(env!("CARGO_BIN_EXE_cachekeep")).parent().expect("a directory");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    scrub(&mut command, &project.path(""));
    command.current_dir(project.path("workspace"));
    command.env("PATH", format!("{}:{path}", bin.display())).env("TERM", "xterm");
    command
}

/// What bash offers behind these words, sorted.
fn offered(project: &Project, words: &[&str]) -> Vec<String> {
    let mut command = shell("bash", project);
    let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
    let script = format!(
        "source ./completions && COMP_WORDS=(cachekeep {}) COMP_CWORD={} && _cachekeep cachekeep '{last}' '{before}' && \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len()
    );
    command.args(["--norc", "-c", &script]);
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

#[test]
fn fish_offers_words_and_names() {
    if !works("fish") {
        skip("completions in fish", "fish is missing: apt-get install fish");
        return;
    }
    let project = Project::new(CONFIG);
    project.write("workspace/completions", project.run(&["completions", "fish"]).success().stdout);
    let offered = |typed: &str| -> Vec<String> {
        let mut command = shell("fish", &project);
        command.args(["--no-config", "-c", &format!("source completions; complete -C '{typed}'")]);
        let shown = Ran::of(&mut command).success().stdout;
        shown.lines().filter_map(|line| line.split('\t').next().map(str::to_owned)).collect()
    };
    assert_eq!(offered("cachekeep res"), ["restore"]);
    assert_eq!(offered("cachekeep restore n"), ["npm", "numbers"]);
    assert_eq!(offered("cachekeep run npm nu"), ["numbers"]);
    assert_eq!(offered("cachekeep restore --lo"), ["--lookup-only"]);
    assert!(!offered("cachekeep clean n").contains(&"npm".to_owned()));
}

#[test]
fn zsh_offers_words_and_names() {
    if !works("zsh") {
        skip("completions in zsh", "zsh is missing: apt-get install zsh");
        return;
    }
    let project = Project::new(CONFIG);
    project.write("workspace/_cachekeep", project.run(&["completions", "zsh"]).success().stdout);
    let assert_offered = |typed: &str, wanted: &[&str]| {
        let mut command = shell("zsh", &project);
        command.args(["-f", "-c", TYPED_INTO_ZSH, "zsh", typed]).args(wanted);
        let shown = Ran::of(&mut command).success().stdout;
        assert!(wanted.iter().all(|wanted| shown.contains(wanted)), "{typed}: {shown}");
    };
    assert_offered("cachekeep re", &["recover", "restore", "-- Find an entry"]);
    assert_offered("cachekeep restore n", &["npm", "numbers"]);
    assert_offered("cachekeep run npm nu", &["numbers"]);
    assert_offered("cachekeep restore --lo", &["--lookup-only"]);
}
