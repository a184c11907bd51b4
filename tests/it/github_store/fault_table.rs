//! Faults to give to the service, and the table of their outcomes.

use std::path::Path;
use std::time::{Duration, Instant};

use cachekeep::store::StoreError;

use crate::github_store::job::whole;
use cachekeep_test_support::github_service::{Fault, GitHubService, Point};

/// Longer than any retries and deadlines of a test, shorter than any patience.
pub const BOUND: Duration = Duration::from_secs(50);

pub fn answer(status: u16, body: &str) -> Fault {
    Fault::Answer(status, Vec::new(), body.to_owned())
}

pub fn denied(status: u16, msg: &str) -> Fault {
    answer(status, &format!("{{\"code\":\"x\",\"msg\":\"{msg}\"}}"))
}

pub fn not_ok(message: &str) -> Fault {
    answer(200, &format!("{{\"ok\":false,\"message\":\"{message}\"}}"))
}

pub fn wait(seconds: u32) -> Fault {
    Fault::Answer(429, vec![("Retry-After", seconds.to_string())], "{}".to_owned())
}

/// How often a fault happens.
#[derive(Clone)]
pub enum Often {
    Once(Fault),
    Always(Fault),
}

pub fn arm(service: &GitHubService, point: Point, often: Often) {
    match often {
        Often::Once(fault) => service.fail_next(point, [fault]),
        Often::Always(fault) => service.fail_always(point, fault),
    }
}

/// What it came to: a word, or the error's kind and its whole text.
pub fn outcome<T>(result: &Result<T, StoreError>, word: impl FnOnce(&T) -> &'static str) -> String {
    match result {
        Ok(value) => word(value).to_owned(),
        Err(error) => format!("{:?}: {}", error.kind(), whole(error)),
    }
}

/// A row of the table that the tests of faults leave in the target directory: fault, request, seconds, outcome.
pub fn row(what: &str, request: &str, outcome: &str, begun: Instant) -> String {
    // Ports differ from run to run, and long addresses hide the message.
    let mut shown = String::new();
    let mut rest = outcome;
    while let Some((before, after)) = rest.split_once("127.0.0.1:") {
        shown.push_str(before);
        shown.push_str("127.0.0.1");
        rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    shown.push_str(rest);
    for (long, short) in [
        ("http://127.0.0.1/twirp/github.actions.results.api.v1.CacheService/", "…/"),
        ("https://127.0.0.1/twirp/github.actions.results.api.v1.CacheService/", "…/"),
        ("http://127.0.0.1/devstoreaccount1/actions-cache/", "…/blob-"),
        (" at http://127.0.0.1/", ""),
        (" at https://127.0.0.1/", ""),
    ] {
        shown = shown.replace(long, short);
    }
    format!("| {what} | {request} | {:.1} | {shown} |\n", begun.elapsed().as_secs_f32())
}

/// Leaves a table in the target directory. What it has a row for, `docs/faults.md` has a row for.
pub fn leave_table(name: &str, rows: &[String]) {
    let head = "| fault | request | seconds | outcome |\n|---|---|---|---|\n";
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.md"));
    std::fs::write(&path, format!("{head}{}", rows.concat())).expect("written");
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    let document = std::fs::read_to_string(document).expect("docs/faults.md");
    let request_of = |row: &str| row.splitn(4, " | ").take(2).collect::<Vec<_>>().join(" | ");
    for row in rows {
        let start = request_of(row);
        assert!(document.contains(&start), "docs/faults.md lacks `{start}`; {} has it", path.display());
    }
}

pub fn assert_outcome(what: &str, outcome: &str, expect: &str, begun: Instant, secrets: &str) {
    let elapsed = begun.elapsed();
    assert!(elapsed < BOUND, "{what} took {elapsed:?}");
    assert!(outcome.contains(expect), "{what} came to {outcome:?}");
    for text in [outcome, secrets] {
        assert!(!text.contains("sig=") && !text.contains("eyJ"), "{what} shows a secret: {text}");
    }
}
