//! Text from outside reaches no shell and forges no command: keys, paths, branch names and variables of attackers,
//! through the action's own scripts.

use std::fs;

use crate::action::steps::{Done, Job};
use cachekeep_test_support::github_service::{GitHubService, capture};
use cachekeep_test_support::project::file_url;

/// `EVIL` stands for a directory that must not be created.
pub const HOSTILE: [&str; 18] = [
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
    "'; touch PWNED; '",
    "true\n::set-output name=cache-hit::true",
    "%0D%0A::add-mask::x",
    "--store=file://EVIL",
    "x --store=file://EVIL",
    "-h",
];

/// Whether nothing of what a hostile text asks for was done.
pub fn assert_harmless(job: &Job, done: &Done, text: &str) {
    for place in ["workspace", "temp", "home", "."] {
        assert!(!job.path(place).join("PWNED").exists(), "{text:?} was executed");
    }
    assert!(
        !job.path("EVIL").exists() && !job.path("workspace/EVIL").exists(),
        "{text:?} became an argument"
    );
    for line in done.log.lines().map(str::trim_start) {
        let known = ["::group::", "::endgroup::", "::warning title=cachekeep::", "::error title=cachekeep::"];
        let is_command = line.starts_with("::") || line.starts_with("##[");
        assert!(!is_command || known.iter().any(|start| line.starts_with(start)), "{text:?} forged: {line}");
        assert!(!line.starts_with("::error title=cachekeep::forged"), "{text:?} forged: {line}");
    }
    assert_ne!(done.outputs.get("cache-hit").map(String::as_str), Some("true"), "{text:?}");
    let known = ["transport", "lookup-only"];
    for name in done.outputs.keys().filter(|name| !known.contains(&name.as_str())) {
        let is_ours = cachekeep::parts::OUTPUTS.iter().any(|output| output.name == name)
            || ["key-0", "path-0", "restore-keys-0", "staged-0", "save-0"].contains(&name.as_str());
        assert!(is_ours, "{text:?} set the output {name:?}");
    }
    let env = fs::read_to_string(job.path("GITHUB_ENV")).unwrap_or_default();
    assert!(!env.contains("/evil"), "{text:?}: {env}");
}

#[test]
fn hostile_refs_are_data() {
    for text in HOSTILE {
        let mut job = Job::new();
        job.write("workspace/out/f", "text");
        let directory = job.path("store");
        job.set("CACHEKEEP_STORE", &file_url(&directory));
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
    let service = GitHubService::start();
    let real = GitHubService::token(&[("refs/heads/main", 3)]);
    let cases = [
        ("ACTIONS_RUNTIME_TOKEN", "job-token", "hush-hush-token", "http://127.0.0.1:9/".to_owned()),
        ("ACTIONS_RUNTIME_TOKEN", "job-token", &real, service.url()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token", "hush-hush-request", service.url()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token", &real, service.url()),
    ];
    for (number, (variable, class, token, url)) in cases.into_iter().enumerate() {
        capture::secret(class, token);
        let mut job = Job::new();
        job.write("workspace/out/f", "text");
        job.set(variable, token);
        job.set("ACTIONS_RESULTS_URL", &url);
        job.set("CACHEKEEP_TIMEOUT", "20s");
        let key = format!("k-{number}");
        for mode in ["save", "restore", "doctor"] {
            let done = job.step("start", &[("path", "out"), ("key", &key), ("mode", mode)]);
            let shown: Vec<&str> = done.log.lines().filter(|line| line.contains(token)).collect();
            let mask = format!("::add-mask::{token}");
            assert_eq!(shown, [&mask], "{}", done.log);
            // What `doctor` finds goes to standard output, which stands first here.
            if mode != "doctor" {
                assert_eq!(done.log.lines().next(), Some(mask.as_str()));
            }
            if token == real && mode != "doctor" {
                let (name, value) = if mode == "save" { ("save-result", "saved") } else { ("hit", "exact") };
                assert_eq!(done.outputs.get(name).map(String::as_str), Some(value), "{}", done.log);
            }
            let written = fs::read_to_string(job.path("GITHUB_STEP_SUMMARY")).unwrap_or_default();
            assert!(!written.contains(token) && !done.outputs.values().any(|value| value.contains(token)));
        }
    }
}
