//! The workflows that other repositories call, `populate.yml` and `clean.yml`, called as the documentation says.

use std::fs;

use crate::action::act::{Event, Given, Sample, Transport};
use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};
use cachekeep_test_support::github_service::signing::now;
use cachekeep_test_support::skip::skip;

/// A workflow that calls another one; `with` holds its inputs.
fn caller(sample: &Sample, called: &str, permissions: &str, with: &str) {
    let text = format!(
        "name: caller\non: [push, schedule, pull_request_target]\npermissions: {{}}\njobs:\n  call:\n    permissions: {permissions}\n    \
         uses: cachekeep/cachekeep/.github/workflows/{called}.yml@v1\n    with: {{ {with} }}\n"
    );
    fs::write(sample.repository().join(".github/workflows/caller.yml"), text).expect("written");
    sample.commit();
}

#[test]
fn a_repository_has_its_caches_filled_by_a_workflow_that_it_calls() {
    let test = "a_repository_has_its_caches_filled_by_a_workflow_that_it_calls";
    let sample = match Sample::new() {
        Ok(sample) => sample,
        Err(missing) => return skip(test, &missing),
    };
    let with = "config: example/cachekeep.toml, version: installed, script: 'cd example && sh thumbnails.sh'";
    caller(&sample, "populate", "{ contents: read, id-token: write }", with);
    for transport in [Transport::Native, Transport::Wrapped] {
        let before = sample.entries();
        let ran = sample.run("caller", Event::Push, transport);
        let result = if transport == Transport::Native { "saved" } else { "exists" };
        assert!(ran.log.contains(&format!("::set-output:: save-result={result}")), "{}", ran.log);
        assert!(ran.log.contains("thumbnails: "), "the script ran: {}", ran.log);
        let after = sample.entries();
        assert_eq!((before.len() + after.len(), after.len()), (before.len() + 2, 2), "{after:?}");
        assert!(after.iter().all(|entry| entry.starts_with("refs/heads/main ")), "{after:?}");
    }
}

#[test]
fn a_script_that_fails_leaves_no_entry_under_a_shared_key() {
    let test = "a_script_that_fails_leaves_no_entry_under_a_shared_key";
    let sample = match Sample::new() {
        Ok(sample) => sample,
        Err(missing) => return skip(test, &missing),
    };
    let with = "config: example/cachekeep.toml, version: installed, script: 'cd example && sh thumbnails.sh && false'";
    caller(&sample, "populate", "{ contents: read, id-token: write }", with);
    let ran = sample.attempt("caller", Event::Push, Transport::Native);
    assert!(!ran.success && ran.log.contains("thumbnails: "), "{}", ran.log);
    assert!(sample.entries().is_empty(), "{:?}", sample.entries());
}

#[test]
fn a_repository_has_its_caches_cleaned_by_a_workflow_that_it_calls() {
    let test = "a_repository_has_its_caches_cleaned_by_a_workflow_that_it_calls";
    let sample = match Sample::named(REPOSITORY) {
        Ok(sample) => sample,
        Err(missing) => return skip(test, &missing),
    };
    let api = GitHubApi::start(now());
    api.world().pull(7, Some(0.01));
    let of_pull = api.world().save("refs/pull/7/merge", "a", (5.0, 4.0), 1).to_string();
    let of_gone = api.world().save("refs/heads/gone", "b", (150.0, 120.0), 1).to_string();
    let kept = api.world().save("refs/heads/main", "c", (5.0, 4.0), 1).to_string();
    let permissions = "{ actions: write, contents: read, pull-requests: read }";
    caller(&sample, "clean", permissions, "config: example/cachekeep.toml, version: installed");
    let run = |event: &str, mut payload: serde_json::Value| {
        payload["repository"] = serde_json::json!({ "default_branch": "main", "full_name": REPOSITORY });
        let graphql = format!("{}/graphql", api.url());
        let env = vec![("GITHUB_API_URL", api.url()), ("GITHUB_GRAPHQL_URL", graphql)];
        let given = Given { payload: payload.to_string(), env, token: Some(TOKEN), ..Given::default() };
        let ran = sample.act("caller", event, &given);
        assert!(ran.success, "{event}: {}", ran.log);
        api.world().ids()
    };
    let closed = serde_json::json!({
        "action": "closed", "number": 7,
        "pull_request": { "number": 7, "head": { "ref": "topic" }, "base": { "ref": "main" } },
    });
    let left = run("pull_request_target", closed);
    assert!(!left.contains(&of_pull) && left.contains(&of_gone) && left.contains(&kept), "{left:?}");
    let left = run("schedule", serde_json::json!({ "schedule": "41 2 * * *" }));
    assert!(!left.contains(&of_gone) && left.contains(&kept), "{left:?}");
}
