//! Plans: shown, saved, carried out later, refused when stale; and exit codes.

use axum::http::Method;

use super::{NIGHTLY, clean, planned, setup};

#[test]
fn a_dry_run_and_a_real_run_have_the_same_plan_byte_for_byte() {
    let (api, project) = setup(NIGHTLY);
    for number in 1..=5 {
        api.world().pull(number, (number % 2 == 0).then_some(100.0));
        api.world().save(&format!("refs/pull/{number}/merge"), "ccache", (200.0, 150.0), 10);
    }
    clean(&api, &project, &["--dry-run", "--plan-out", "dry.json"]).success();
    clean(&api, &project, &["--plan-out", "real.json"]).success();
    assert_eq!(project.read("workspace/dry.json"), project.read("workspace/real.json"));
    assert_eq!(api.world().caches.len(), 3);
}

#[test]
fn a_saved_plan_is_carried_out_and_nothing_else() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(1, Some(100.0));
    let first = api.world().save("refs/pull/1/merge", "ccache", (200.0, 150.0), 10);
    clean(&api, &project, &["--dry-run", "--plan-out", "plan.json"]).success();
    let later = api.world().save("refs/pull/1/merge", "other", (200.0, 150.0), 10);
    let done = clean(&api, &project, &["--apply", "plan.json"]).success().json();
    assert_eq!(planned(&done).into_iter().collect::<Vec<_>>(), [first.to_string()]);
    assert_eq!(api.world().ids().into_iter().collect::<Vec<_>>(), [later.to_string()]);
}

#[test]
fn a_stale_plan_is_refused() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(1, Some(100.0));
    api.world().save("refs/pull/1/merge", "ccache", (200.0, 150.0), 10);
    clean(&api, &project, &["--dry-run", "--plan-out", "plan.json"]).success();
    api.world().pull(1, None);
    let ran = clean(&api, &project, &["--apply", "plan.json"]).code(1);
    assert!(ran.stderr.contains("the plan is stale: entry 1 was planned for as of"), "{}", ran.stderr);
    assert_eq!(api.world().count(&Method::DELETE), 0);
}

#[test]
fn what_is_no_plan_or_was_changed_or_is_for_another_store_is_refused() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(1, Some(100.0));
    api.world().pull(2, None);
    api.world().save("refs/pull/1/merge", "ccache", (200.0, 150.0), 10);
    api.world().save("refs/pull/2/merge", "ccache", (200.0, 150.0), 10);
    clean(&api, &project, &["--dry-run", "--plan-out", "plan.json"]).success();
    let plan = project.read("workspace/plan.json");
    let refused = |text: &str, why: &str| {
        project.write("workspace/other.json", text);
        let ran = clean(&api, &project, &["--apply", "other.json"]).code(2);
        assert!(ran.stderr.contains(why), "{why}: {}", ran.stderr);
    };
    refused("{}", "not a plan");
    refused("nonsense", "not a plan");
    refused(&plan.replace("\"format\": 1", "\"format\": 2"), "a plan of form 2");
    refused(&plan.replace("\"keep\"", "\"delete\""), "was changed after it was written");
    refused(&plan.replace("octo/hello", "octo/other"), "is a plan for");
    let ran = clean(&api, &project, &["--apply", "none.json"]).code(2);
    assert!(ran.stderr.contains("does not exist"), "{}", ran.stderr);
    assert_eq!(api.world().caches.len(), 2);
}

#[test]
fn nothing_to_do_is_said_and_is_no_failure() {
    let (api, project) = setup(NIGHTLY);
    api.world().save("refs/heads/main", "ccache", (2.0, 1.0), 10);
    let ran = clean(&api, &project, &[]).success();
    assert!(ran.stderr.contains("nothing to delete from GitHub's caches of octo/hello"), "{}", ran.stderr);
    assert_eq!(ran.json()["end"], "done");
}

#[test]
fn a_pull_request_that_was_closed_just_now_goes_without_grace_and_nothing_else_does() {
    // As on the event of closing: no checkout, hence no configuration.
    let (api, project) = setup("");
    std::fs::remove_file(project.path("workspace/cachekeep.toml")).expect("it was there");
    api.world().pull(7, Some(0.01));
    api.world().pull(70, Some(500.0));
    let mine =
        ["refs/pull/7/merge", "refs/pull/7/head"].map(|r| api.world().save(r, "ccache", (2.0, 1.0), 10));
    api.world().save("refs/pull/70/merge", "ccache", (600.0, 600.0), 10);
    api.world().save("refs/heads/main", "ccache", (600.0, 600.0), 10);
    let done = clean(&api, &project, &["--pull-request", "7"]).success().json();
    assert_eq!(planned(&done), mine.iter().map(u64::to_string).collect());
    assert_eq!(api.world().caches.len(), 2);
    let listed = api.world().calls.iter().filter(|(_, path, _)| path.contains("/actions/caches?")).count();
    assert!(listed <= 8, "{listed} pages for one pull request");
}

#[test]
fn a_pull_request_that_is_open_again_keeps_its_entries() {
    let (api, project) = setup("");
    api.world().pull(7, None);
    api.world().save("refs/pull/7/merge", "ccache", (2.0, 1.0), 10);
    let done = clean(&api, &project, &["--pull-request", "7"]).success().json();
    assert!(planned(&done).is_empty());
}
