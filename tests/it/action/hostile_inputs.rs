//! Every input of the action, filled by an attacker: it is refused with an error that names it, or it is data.

use cachekeep::cli::inputs::{Argument, INPUTS};
use reqwest::Method;

use crate::action::hostile::{HOSTILE, assert_harmless};
use crate::action::steps::{Done, Job};
use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};
use cachekeep_test_support::project::file_url;

/// The result of hostile text in an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The step fails before it does anything.
    Refused,
    /// It is a key, a path or a name like any other, or refused as such.
    Data,
    /// The installer decides; see `hostile.rs`.
    Installer,
}

fn fate(name: &str) -> Fate {
    match name {
        "key" | "path" | "restore-keys" | "vars" | "allow-export" => Fate::Data,
        "version" => Fate::Installer,
        _ => Fate::Refused,
    }
}

/// Fails unless the step ended as it must, with an error that a person can use.
#[track_caller]
fn assert_fate(fate: Fate, input: &str, text: &str, done: &Done) {
    let is_refused = done.code == 2 && done.log.contains("::error title=cachekeep::");
    match fate {
        Fate::Refused => assert!(is_refused, "{input} = {text:?}: {}: {}", done.code, done.log),
        _ => assert!(is_refused || done.code == 0, "{input} = {text:?}: {}: {}", done.code, done.log),
    }
    let is_truth = INPUTS.iter().any(|i| i.name == input && matches!(i.default, "true" | "false"));
    if is_truth {
        let says = format!("the input `{input}` cannot be");
        assert!(
            done.log.contains(&says) && done.log.contains("it is true or false"),
            "{text:?}: {}",
            done.log
        );
    }
}

/// A step with one hostile input; with a store in a directory, or with what reaches no service.
fn attack(input: &str, text: &str, mode: &str, with_store: bool) {
    let mut job = Job::new();
    job.write("workspace/out/f", "text");
    if with_store {
        let directory = job.path("store");
        job.set("CACHEKEEP_STORE", &file_url(&directory));
    }
    let text = text.replace("EVIL", &job.path("EVIL").display().to_string());
    let value = if input == "vars" { format!("a={text}") } else { text.clone() };
    // The first value of an input counts.
    let mut inputs = vec![(input, value.as_str()), ("mode", mode), ("vars", "a=1")];
    // A configuration declares caches by itself.
    if input != "config" {
        inputs.extend([("path", "out"), ("key", "k-{var.a}"), ("restore-keys", "k-")]);
    }
    let done = job.step("start", &inputs);
    assert_harmless(&job, &done, &text);
    assert_fate(fate(input), input, &text, &done);
}

/// Attacks with every text, the inputs dealt out to threads: each attack is a process or two.
fn attack_all(inputs: &[&str], attacks: &(dyn Fn(&str, &str) + Sync)) {
    std::thread::scope(|scope| {
        for input in inputs {
            scope.spawn(move || HOSTILE.iter().for_each(|text| attacks(input, text)));
        }
    });
}

fn named(wanted: Fate) -> Vec<&'static str> {
    INPUTS.iter().map(|input| input.name).filter(|name| fate(name) == wanted).collect()
}

#[test]
fn keys_paths_and_variables_are_data_for_a_restore() {
    attack_all(&named(Fate::Data), &|input, text| attack(input, text, "restore", false));
}

#[test]
fn keys_paths_and_variables_are_data_for_a_save() {
    attack_all(&named(Fate::Data), &|input, text| attack(input, text, "save", true));
}

#[test]
fn every_other_input_is_a_word_that_is_known_or_refused() {
    let inputs = named(Fate::Refused);
    assert_eq!(inputs.len() + named(Fate::Data).len() + named(Fate::Installer).len(), INPUTS.len());
    attack_all(&inputs, &|input, text| attack(input, text, "restore", true));
}

#[test]
fn no_hostile_input_makes_a_cleaner_delete() {
    let now = "2026-11-20T12:00:00Z".parse().expect("a time");
    let api = GitHubApi::start(now);
    api.world().pull(7, Some(100.0));
    api.world().save("refs/pull/7/merge", "k", (200.0, 150.0), 1);
    let is_for_clean = |input: &&str| {
        ["mode", "config", "store", "timeout", "dry-run", "pull-request", "required"].contains(input)
    };
    let inputs: Vec<&str> = named(Fate::Refused).into_iter().filter(is_for_clean).collect();
    let flags = INPUTS
        .iter()
        .filter(|input| matches!(input.to, Argument::Flag(_, modes) if modes.contains(&"clean")));
    assert!(flags.map(|flag| flag.name).all(|name| inputs.contains(&name)));
    attack_all(&inputs, &|input, text| {
        let mut job = Job::new();
        job.write("workspace/cachekeep.toml", "[clean]\nclosed-pull-requests = { grace = \"1h\" }\n");
        job.set("GITHUB_API_URL", &api.url());
        job.set("GITHUB_REPOSITORY", REPOSITORY);
        job.set("GITHUB_TOKEN", TOKEN);
        let text = text.replace("EVIL", &job.path("EVIL").display().to_string());
        let done = job.step("start", &[(input, text.as_str()), ("mode", "clean")]);
        assert_harmless(&job, &done, &text);
        assert_fate(Fate::Refused, input, &text, &done);
    });
    assert_eq!(api.world().count(&Method::DELETE), 0);
    assert_eq!(api.world().ids().len(), 1);
}

#[test]
fn no_hostile_input_makes_delete_take_another_entry() {
    let now = "2026-11-20T12:00:00Z".parse().expect("a time");
    let api = GitHubApi::start(now);
    api.world().save("refs/heads/main", "k", (200.0, 150.0), 1);
    let inputs =
        ["key", "key-prefix", "ref", "older-than", "unused-for", "with-protected", "dry-run", "config"];
    attack_all(&inputs, &|input, text| {
        let mut job = Job::new();
        job.write("workspace/cachekeep.toml", "[clean]\nprotect = [\"k\"]\n");
        job.set("GITHUB_API_URL", &api.url());
        job.set("GITHUB_REPOSITORY", REPOSITORY);
        job.set("GITHUB_TOKEN", TOKEN);
        let text = text.replace("EVIL", &job.path("EVIL").display().to_string());
        let done = job.step("start", &[(input, text.as_str()), ("mode", "delete")]);
        assert_harmless(&job, &done, &text);
        assert_fate(Fate::Data, input, &text, &done);
    });
    assert_eq!(api.world().count(&Method::DELETE), 0);
    assert_eq!(api.world().ids().len(), 1);
}
