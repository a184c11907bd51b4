//! Text from outside reaches no shell and forges no command: keys, paths, branch names and variables of attackers,
//! through the action's own scripts.

use std::fs;

use crate::steps::{Done, Job};

const HOSTILE: [&str; 12] = [
    "$(touch PWNED)",
    "`touch PWNED`",
    "a\ntouch PWNED",
    "a; touch PWNED",
    "a' && touch PWNED '",
    "\" ; touch PWNED ; \"",
    "x\n::set-env name=PATH::/evil",
    "x\n::add-path::/evil",
    "%0A::error::forged",
    "x\r\n##[error]forged",
    "x\nEOF\ncache-hit=true",
    "${IFS}|touch PWNED&",
];

/// Whether nothing of what a hostile text asks for was done.
fn assert_harmless(job: &Job, done: &Done, text: &str) {
    for place in ["workspace", "temp", "home", "."] {
        assert!(!job.path(place).join("PWNED").exists(), "{text:?} was executed");
    }
    for line in done.log.lines().map(str::trim_start) {
        let known = ["::group::", "::endgroup::", "::warning title=cachekeep::", "::error title=cachekeep::"];
        let is_command = line.starts_with("::") || line.starts_with("##[");
        assert!(!is_command || known.iter().any(|start| line.starts_with(start)), "{text:?} forged: {line}");
        assert!(!line.starts_with("::error title=cachekeep::forged"), "{text:?} forged: {line}");
    }
    assert_ne!(done.outputs.get("cache-hit").map(String::as_str), Some("true"), "{text:?}");
    let known = ["transport", "lookup-only"];
    for name in done.outputs.keys().filter(|name| !known.contains(&name.as_str())) {
        let is_ours = cachekeep::report::outputs::OUTPUTS.iter().any(|output| output.name == name)
            || ["key-0", "path-0", "restore-keys-0", "staged-0", "save-0"].contains(&name.as_str());
        assert!(is_ours, "{text:?} set the output {name:?}");
    }
    let env = fs::read_to_string(job.path("GITHUB_ENV")).unwrap_or_default();
    assert!(!env.contains("/evil"), "{text:?}: {env}");
}

/// Inputs that reach a key, a path or a store, with the modes that take them there.
const DEEP: [&str; 4] = ["key", "path", "restore-keys", "vars"];

/// Inputs that are words, names or places and are refused early.
const SHALLOW: [&str; 6] = ["cache", "role", "config", "store", "mode", "timeout"];

fn attack(input: &str, text: &str, mode: &str, store: Option<&str>) {
    let mut job = Job::new();
    job.write("workspace/out/f", "text");
    if let Some(folder) = store {
        let folder = job.path(folder);
        job.set("CACHEKEEP_STORE", &format!("file://{}", folder.display()));
    }
    // The first value of an input counts.
    let inputs = [
        (input, text),
        ("mode", mode),
        ("path", "out"),
        ("key", "k-{var.a}"),
        ("restore-keys", "k-"),
        ("vars", "a=1"),
    ];
    let done = job.step("start", &inputs);
    assert_harmless(&job, &done, text);
}

#[test]
fn hostile_inputs_are_data() {
    for text in HOSTILE {
        for input in DEEP {
            let value = if input == "vars" { format!("a={text}") } else { text.to_owned() };
            attack(input, &value, "restore", None);
            attack(input, &value, "save", Some("store"));
        }
        for input in SHALLOW {
            attack(input, text, "restore", None);
        }
    }
}

#[test]
fn hostile_refs_are_data() {
    for text in HOSTILE {
        let mut job = Job::new();
        job.write("workspace/out/f", "text");
        let folder = job.path("store");
        job.set("CACHEKEEP_STORE", &format!("file://{}", folder.display()));
        for name in ["GITHUB_REF", "GITHUB_BASE_REF", "GITHUB_HEAD_REF"] {
            job.set(name, &format!("refs/heads/{text}"));
        }
        job.set("EVIL", text);
        for mode in ["save", "restore"] {
            let inputs =
                [("path", "out"), ("key", "k-{ref}-{env.EVIL}"), ("mode", mode), ("lookup-only", "true")];
            let done = job.step("start", &inputs);
            if done.outputs.get("hit").map(String::as_str) != Some("exact") {
                assert_harmless(&job, &done, text);
            }
            assert!(!job.path("workspace/PWNED").exists(), "{text:?} was executed");
        }
    }
}

#[test]
fn what_nested_steps_tell_is_data() {
    for text in HOSTILE {
        let mut job = Job::new();
        job.write("workspace/out/f", "text");
        for name in ["CACHEKEEP_KEY_0", "CACHEKEEP_MATCHED_0", "CACHEKEEP_STAGED_0", "CACHEKEEP_KEPT_0"] {
            job.set(name, text);
        }
        for (stage, mode) in [("finish", "restore"), ("stage", "save"), ("finish", "save")] {
            // What was looked for and what was found are the same text here, which is an exact hit.
            let mut done = job.step(stage, &[("path", "out"), ("key", "k"), ("mode", mode)]);
            done.outputs.remove("cache-hit");
            assert_harmless(&job, &done, text);
        }
    }
}

#[test]
fn the_installer_takes_no_other_version_than_its_own() {
    for text in HOSTILE {
        let job = Job::new();
        let done = job.step("install", &[("version", text)]);
        assert_eq!(done.code, 1, "{text:?}: {}", done.log);
        assert_harmless(&job, &done, text);
    }
}

#[test]
fn the_jobs_tokens_are_masked_first_and_shown_nowhere_else() {
    let mut job = Job::new();
    job.write("workspace/out/f", "text");
    job.set("ACTIONS_RUNTIME_TOKEN", "hush-hush-token");
    job.set("ACTIONS_RESULTS_URL", "http://127.0.0.1:9/");
    job.set("CACHEKEEP_TIMEOUT", "3s");
    for mode in ["restore", "save", "doctor"] {
        let done = job.step("start", &[("path", "out"), ("key", "k"), ("mode", mode)]);
        let shown: Vec<&str> = done.log.lines().filter(|line| line.contains("hush-hush-token")).collect();
        assert_eq!(shown, ["::add-mask::hush-hush-token"], "{}", done.log);
        // What `doctor` finds goes to standard output, which stands first here.
        if mode != "doctor" {
            assert_eq!(done.log.lines().next(), Some("::add-mask::hush-hush-token"));
        }
        let written = fs::read_to_string(job.path("GITHUB_STEP_SUMMARY")).unwrap_or_default();
        assert!(!written.contains("hush-hush") && !done.outputs.values().any(|v| v.contains("hush-hush")));
    }
}
