//! Defects that cleaners have, each shown to be impossible here.

use axum::http::Method;

use super::{NIGHTLY, clean, ids, now, planned, reason, setup};
use cachekeep_test_support::github_api::Fault;

pub(super) fn fault(method: Method, path: &str, times: usize, status: u16, body: &str) -> Fault {
    Fault { method, path: path.to_owned(), times, status, headers: Vec::new(), body: body.to_owned() }
}

#[test]
fn entries_that_shift_between_pages_are_not_missed() {
    let (api, project) = setup(NIGHTLY);
    for number in 1..=350_u32 {
        api.world().pull(number.into(), Some(100.0));
        api.world().save(
            &format!("refs/pull/{number}/merge"),
            "ccache",
            (400.0 - f64::from(number) / 100.0, 150.0),
            1,
        );
    }
    // GitHub evicts a cache of the first page once that was read: the second page starts one too late.
    let mut evictions = 1;
    api.world().twist = Some(Box::new(move |_, path, world| {
        if evictions > 0 && path.contains("page=1") && path.contains("/actions/caches?") {
            evictions -= 1;
            world.caches.remove(0);
        }
    }));
    let done = clean(&api, &project, &[]).success().json();
    assert_eq!(ids(&done["rounds"][0]["deleted"]).len(), 349);
    assert!(api.world().caches.is_empty());
}

#[test]
fn a_listing_that_never_agrees_deletes_nothing() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(1, Some(100.0));
    api.world().save("refs/pull/1/merge", "ccache", (200.0, 150.0), 1);
    api.world().twist = Some(Box::new(|_, path, world| {
        if path.contains("/actions/caches?") {
            let key = format!("k{}", world.calls.len());
            world.save("refs/heads/main", &key, (0.0, 0.0), 1);
        }
    }));
    let ran = clean(&api, &project, &[]).success();
    assert!(planned(&ran.json()).is_empty());
    assert!(ran.stderr.contains("caches were added or deleted while they were listed"), "{}", ran.stderr);
    assert_eq!(api.world().count(&Method::DELETE), 0);
}

#[test]
fn an_entry_that_is_saved_during_the_sweep_is_seen_by_the_next_listing() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(1, Some(100.0));
    api.world().save("refs/pull/1/merge", "ccache", (200.0, 150.0), 1);
    let mut saves = 1;
    api.world().twist = Some(Box::new(move |method, _, world| {
        if method == Method::DELETE && saves > 0 {
            saves -= 1;
            world.save("refs/pull/1/merge", "late", (0.0, 0.0), 1);
        }
    }));
    let done = clean(&api, &project, &[]).success().json();
    assert!(api.world().caches.is_empty());
    let rounds = done["rounds"].as_array().expect("rounds");
    let counts: Vec<usize> = rounds.iter().map(|round| ids(&round["deleted"]).len()).collect();
    assert_eq!(counts, [1, 1, 0]);
}

#[test]
fn an_error_is_never_taken_for_closed() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(1, Some(100.0));
    api.world().pull(2, Some(100.0));
    api.world().broken_pulls.insert(1);
    let kept = api.world().save("refs/pull/1/merge", "ccache", (200.0, 150.0), 1);
    let gone = api.world().save("refs/pull/2/merge", "ccache", (200.0, 150.0), 1);
    let never = api.world().save("refs/pull/3/merge", "ccache", (200.0, 150.0), 1);
    let done = clean(&api, &project, &[]).success().json();
    assert_eq!(reason(&done, kept), "keep: unknown");
    assert_eq!(reason(&done, never), "keep: unknown");
    assert_eq!(reason(&done, gone), "delete: closed-pull-request");
}

#[test]
fn a_query_that_fails_altogether_makes_its_states_unknown() {
    for (status, body) in [(502, "Bad Gateway"), (403, "Resource not accessible by integration")] {
        let (api, project) = setup(NIGHTLY);
        api.world().pull(1, Some(100.0));
        let id = api.world().save("refs/pull/1/merge", "ccache", (200.0, 150.0), 1);
        api.world().faults.push(fault(Method::POST, "/graphql", 100, status, body));
        let done = clean(&api, &project, &["--dry-run"]).success().json();
        assert_eq!(reason(&done, id), "keep: unknown", "{status}");
    }
}

#[test]
fn refs_that_the_token_does_not_see_are_not_deleted_ones() {
    let (api, project) = setup(NIGHTLY);
    api.world().refs.insert("refs/heads/topic".to_owned());
    api.world().sees_refs = false;
    let id = api.world().save("refs/heads/topic", "ccache", (2_000.0, 1_500.0), 1);
    let done = clean(&api, &project, &["--dry-run"]).success().json();
    assert_eq!(reason(&done, id), "keep: unknown");
}

#[test]
fn grace_ends_when_it_ends() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(1, Some(71.0));
    api.world().pull(2, Some(73.0));
    let young = api.world().save("refs/pull/1/merge", "ccache", (200.0, 150.0), 1);
    let old = api.world().save("refs/pull/2/merge", "ccache", (200.0, 150.0), 1);
    let done = clean(&api, &project, &["--dry-run"]).success().json();
    assert_eq!(reason(&done, young), "keep: grace");
    assert_eq!(reason(&done, old), "delete: closed-pull-request");
    // The server's clock counts: this machine's is elsewhere.
    assert!(
        (chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()) - now()).abs().num_seconds() > 0
    );
    assert_eq!(done["plan"]["now"], "2026-11-20T12:00:00Z");
}

#[test]
fn a_key_that_several_refs_share_is_deleted_in_one_of_them() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(1, Some(100.0));
    api.world().pull(2, None);
    let gone = api.world().save("refs/pull/1/merge", "ccache", (200.0, 150.0), 1);
    let others =
        ["refs/pull/2/merge", "refs/heads/main"].map(|r| api.world().save(r, "ccache", (200.0, 150.0), 1));
    clean(&api, &project, &[]).success();
    assert!(!api.world().ids().contains(&gone.to_string()));
    assert_eq!(api.world().ids(), others.iter().map(u64::to_string).collect());
}

#[test]
fn what_an_open_pull_request_would_restore_next_stays() {
    let (api, project) = setup("[clean]\nunused-for = \"2d\"\nabandoned-after = \"2d\"\n");
    api.world().pull(1, None);
    api.world().pulls.get_mut(&1).expect("it was just opened").base = "release".to_owned();
    api.world().refs.insert("refs/heads/release".to_owned());
    let used = api.world().save("refs/pull/1/merge", "deps-v1", (200.0, 3.0), 1);
    let behind = ["refs/heads/release", "refs/heads/main"]
        .map(|git_ref| api.world().save(git_ref, "deps-v1", (200.0, 150.0), 1));
    let idle = api.world().save("refs/heads/release", "deps-v2", (200.0, 150.0), 1);
    let done = clean(&api, &project, &[]).success().json();
    assert_eq!(planned(&done), [idle.to_string()].into());
    assert_eq!(reason(&done, used), "keep: recently-used");
    for id in behind {
        assert_eq!(reason(&done, id), "keep: key-in-use");
    }
}

#[test]
fn generations_are_told_by_what_changes_and_by_version() {
    let (api, project) = setup(NIGHTLY);
    let mut pairs = Vec::new();
    for (old, new) in [
        ("a-0123456789abcdef0123456789abcdef01234567", "a-1123456789abcdef0123456789abcdef01234567"),
        ("b-17234567890", "b-17234567999"),
        ("c-2026-11-01", "c-2026-11-02"),
        (&format!("d-{}", "0a".repeat(32)), &format!("d-{}", "0b".repeat(32))),
    ] {
        let old = api.world().save("refs/heads/main", old, (200.0, 150.0), 10);
        let new = api.world().save("refs/heads/main", new, (100.0, 90.0), 10);
        pairs.push((old, new));
    }
    let old = api.world().save("refs/heads/main", "e-2026-11-01", (200.0, 150.0), 10);
    let new = api.world().save("refs/heads/main", "e-2026-11-02", (100.0, 90.0), 10);
    api.world().caches.last_mut().expect("just saved").version = "6".repeat(64);
    let good = api.world().save("refs/heads/main", "f-2026-11-01", (200.0, 150.0), 1_000);
    let tiny = api.world().save("refs/heads/main", "f-2026-11-02", (100.0, 90.0), 1);
    let done = clean(&api, &project, &["--dry-run"]).success().json();
    for (old, new) in pairs {
        assert_eq!(reason(&done, old), "delete: superseded");
        assert_eq!(reason(&done, new), "keep: current");
    }
    for id in [old, new, good, tiny] {
        assert!(reason(&done, id).starts_with("keep"), "{id}: {}", reason(&done, id));
    }
}

#[test]
fn a_missing_permission_is_named_and_ends_the_run() {
    let (api, project) = setup(NIGHTLY);
    api.world().may_delete = false;
    for number in 1..=5 {
        api.world().pull(number, Some(100.0));
        api.world().save(&format!("refs/pull/{number}/merge"), "ccache", (200.0, 150.0), 1);
    }
    let ran = clean(&api, &project, &[]).code(5);
    assert!(ran.stderr.contains("`actions=write`"), "{}", ran.stderr);
    assert!(ran.stderr.contains("permissions: { actions: write }"), "{}", ran.stderr);
    assert!(ran.stderr.contains("pull_request_target"), "{}", ran.stderr);
    let done = ran.json();
    assert_eq!(done["end"], "not-permitted");
    assert_eq!(done["not-tried"]["entries"], 4);
    assert_eq!(api.world().count(&Method::DELETE), 1);
    api.world().may_read = false;
    let ran = clean(&api, &project, &[]).code(5);
    assert!(ran.stderr.contains("`actions=read`"), "{}", ran.stderr);
}

#[test]
fn a_wrong_token_is_told_and_never_shown() {
    let (api, project) = setup(NIGHTLY);
    cachekeep_test_support::capture::secret("api-token", "ghs_wrong_one");
    let mut command = project.command();
    command.args(["clean", "--repository", "octo/hello", "--verbose"]);
    command.env("GITHUB_API_URL", api.url()).env("GITHUB_TOKEN", "ghs_wrong_one");
    let ran = cachekeep_test_support::project::Ran::of(&mut command).code(5);
    assert!(ran.stderr.contains("the token is not accepted"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("ghs_wrong_one"), "{}", ran.stderr);
}

#[test]
fn what_is_gone_already_is_no_failure() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(1, Some(100.0));
    let first = api.world().save("refs/pull/1/merge", "a", (200.0, 150.0), 1);
    let second = api.world().save("refs/pull/1/merge", "b", (200.0, 150.0), 1);
    api.world().twist = Some(Box::new(move |method, _, world| {
        if method == Method::DELETE {
            world.caches.clear();
        }
    }));
    let done = clean(&api, &project, &[]).success().json();
    assert_eq!(ids(&done["rounds"][0]["deleted"]), [first.to_string()].into());
    assert_eq!(ids(&done["rounds"][0]["already-gone"]), [second.to_string()].into());
    assert_eq!(done["freed"]["entries"], 1);
}

#[test]
fn errors_of_the_server_are_tried_again_and_one_that_stays_fails_alone() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(1, Some(100.0));
    let stuck = api.world().save("refs/pull/1/merge", "a", (200.0, 150.0), 1);
    for key in ["b", "c"] {
        api.world().save("refs/pull/1/merge", key, (200.0, 150.0), 1);
    }
    api.world().faults.push(fault(Method::GET, "/actions/caches?", 1, 502, "Bad Gateway"));
    api.world().faults.push(fault(Method::DELETE, &format!("/caches/{stuck}"), 100, 422, "Unprocessable"));
    api.world().faults.push(fault(Method::DELETE, "/caches/2", 1, 500, "Server Error"));
    let ran = clean(&api, &project, &[]).code(1);
    let done = ran.json();
    assert_eq!(done["end"], "failed");
    assert_eq!(done["rounds"][0]["failed"][0]["id"], stuck.to_string());
    assert_eq!(done["freed"]["entries"], 2);
    assert_eq!(done["calls"]["repeated"], 2);
    assert!(ran.stderr.contains("Unprocessable"), "{}", ran.stderr);
    assert_eq!(api.world().ids(), [stuck.to_string()].into());
}

#[test]
fn limits_are_waited_for() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(1, Some(100.0));
    for number in 0..12 {
        api.world().save("refs/pull/1/merge", &format!("k{number}"), (200.0, 150.0), 1);
    }
    api.world().burst = Some((5, std::time::Duration::from_secs(1)));
    api.world().remaining = 10;
    api.world().reset_after = Some(std::time::Duration::ZERO);
    let done = clean(&api, &project, &[]).success().json();
    assert!(api.world().caches.is_empty());
    // A request that is repeated too early is refused once more.
    assert_eq!(api.world().refused, 3, "one limit of the hour, two of five deletions in a row");
    assert!(done["calls"]["waited"].as_f64().expect("seconds") >= 2.0);
}

#[test]
fn a_limit_beyond_the_deadline_ends_the_run_at_once() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(1, Some(100.0));
    for number in 0..4 {
        api.world().save("refs/pull/1/merge", &format!("k{number}"), (200.0, 150.0), 1);
    }
    api.world().remaining = 7;
    let start = std::time::Instant::now();
    let ran = clean(&api, &project, &["--timeout", "60s"]).code(1);
    assert!(start.elapsed().as_secs() < 50, "the reset is in an hour, the deadline in a minute");
    let done = ran.json();
    assert_eq!(done["end"], "stopped");
    let (freed, left) = (done["freed"]["entries"].as_u64(), done["not-tried"]["entries"].as_u64());
    assert_eq!(freed.zip(left).map(|(a, b)| a + b), Some(4));
    assert!(left > Some(0), "{done}");
    assert!(ran.stderr.contains("all requests of this hour are used up"), "{}", ran.stderr);
}
