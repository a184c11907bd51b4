//! `explain`: every verdict, by the binary, over a directory store, GitHub's API and GitHub's cache service.

mod directory;
#[cfg(unix)]
mod files;
mod github;

use serde_json::Value;

use cachekeep_test_support::project::Ran;

/// Checks the outcome of the first lookup, and the text of the verdict and the hint.
#[track_caller]
fn check(ran: &Ran, result: &str, differs: Option<&str>, told: &[&str]) -> Value {
    let one = ran.json()["caches"][0].clone();
    assert_eq!(one["result"], result, "{one:#}");
    assert_eq!(one["differs"].as_str(), differs, "{one:#}");
    let said =
        format!("{} {}", one["verdict"].as_str().expect("a verdict"), one["hint"].as_str().unwrap_or(""));
    for words in told {
        assert!(said.contains(words), "`{words}` is not in `{said}`");
    }
    one
}
