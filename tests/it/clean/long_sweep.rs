//! Sweeps that take long: what was found out at their beginning is asked again before it is relied on.

use axum::http::Method;
use chrono::TimeDelta;

use super::{NIGHTLY, clean, ids, setup};
use cachekeep_test_support::github_api::{GitHubApi, World};
use cachekeep_test_support::project::Project;

/// Pull requests that are closed, each with an entry; the entries.
fn closed(api: &GitHubApi, count: u64) -> Vec<u64> {
    let mut world = api.world();
    let save = |number| {
        world.pull(number, Some(100.0));
        world.save(&format!("refs/pull/{number}/merge"), "ccache", (200.0, 150.0), 1)
    };
    (1..=count).map(save).collect()
}

/// Lets time pass after the first deletion, and something happen.
fn meanwhile(api: &GitHubApi, minutes: i64, mut happens: impl FnMut(&mut World) + Send + 'static) {
    let mut is_over = false;
    api.world().twist = Some(Box::new(move |method, _, world| {
        if method == Method::DELETE && !is_over {
            is_over = true;
            world.now += TimeDelta::minutes(minutes);
            happens(world);
        }
    }));
}

fn sweep(
    reopened_after: i64,
    arguments: impl Fn(&Project, &GitHubApi) -> Vec<&'static str>,
) -> (usize, usize) {
    let (api, project) = setup(NIGHTLY);
    let entries = closed(&api, 4);
    let arguments = arguments(&project, &api);
    api.world().calls.clear();
    meanwhile(&api, reopened_after, |world| world.pull(3, None));
    let ran = clean(&api, &project, &arguments).success();
    let done = ran.json();
    assert_eq!(done["end"], "done");
    let deleted = ids(&done["rounds"][0]["deleted"]);
    let spared = done["rounds"][0]["spared"].as_array().expect("a list");
    if let [spared] = spared.as_slice() {
        assert_eq!(spared["id"], entries[2].to_string());
        let why = "now it is `pull request 3, open`";
        assert!(spared["why"].as_str().expect("a reason").contains(why), "{spared}");
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
        assert!(api.world().ids().contains(&entries[2].to_string()));
    }
    (deleted.len(), spared.len())
}

#[test]
fn a_pull_request_that_is_opened_again_during_a_long_sweep_keeps_its_entries() {
    assert_eq!(sweep(10, |_, _| Vec::new()), (3, 1));
    let saved = |project: &Project, api: &GitHubApi| {
        clean(api, project, &["--dry-run", "--plan-out", "plan.json"]).success();
        vec!["--apply", "plan.json"]
    };
    assert_eq!(sweep(10, saved), (3, 1));
}

#[test]
fn what_was_found_out_a_moment_ago_is_not_asked_again() {
    assert_eq!(sweep(4, |_, _| Vec::new()), (4, 0));
}

#[test]
fn a_state_that_cannot_be_told_any_more_keeps_its_entries() {
    let (api, project) = setup(NIGHTLY);
    let entries = closed(&api, 3);
    meanwhile(&api, 10, |world| world.broken_pulls.extend([2]));
    let done = clean(&api, &project, &[]).success().json();
    assert_eq!(done["rounds"][0]["spared"][0]["id"], entries[1].to_string());
    assert_eq!(api.world().ids(), [entries[1].to_string()].into());
}

#[test]
fn what_is_left_is_not_touched_where_it_cannot_be_asked_again() {
    let (api, project) = setup(NIGHTLY);
    closed(&api, 3);
    meanwhile(&api, 10, |world| world.may_read = false);
    let done = clean(&api, &project, &[]).code(1).json();
    assert_eq!(done["end"], "stopped");
    assert!(done["reason"].as_str().expect("a reason").contains("cannot be checked again"), "{done}");
    assert_eq!(
        (done["freed"]["entries"].as_u64(), done["not-tried"]["entries"].as_u64()),
        (Some(1), Some(2))
    );
}

#[test]
fn a_job_that_saves_without_end_does_not_keep_the_cleaner() {
    let (api, project) = setup(NIGHTLY);
    closed(&api, 1);
    api.world().twist = Some(Box::new(|method, _, world| {
        if method == Method::DELETE {
            let key = format!("late-{}", world.calls.len());
            world.save("refs/pull/1/merge", &key, (0.0, 0.0), 1);
        }
    }));
    let done = clean(&api, &project, &[]).success().json();
    let rounds = done["rounds"].as_array().expect("rounds").len();
    assert!((2..=10).contains(&rounds), "{rounds} rounds");
    assert_eq!(api.world().caches.len(), 1, "the last one is left for the next sweep");
}
