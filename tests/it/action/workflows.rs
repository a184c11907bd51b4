//! The workflows that populate and consume caches, run by act on the example: cold, warm, changed, in a pull request;
//! with our own transport, with actions/cache underneath, and with both in turn.

use crate::action::act::{Event, Ran, Sample, Transport};
use cachekeep_test_support::mirror_server::{Manner, MirrorServer};
use cachekeep_test_support::skip::skip;

fn sample(test: &str) -> Option<Sample> {
    match Sample::new() {
        Ok(sample) => Some(sample),
        Err(missing) => {
            skip(test, &missing);
            None
        }
    }
}

const LINK: &str = "example/data/md5/frame-01.pgm.md5";

/// Whether a run moved archives as it was to.
fn assert_moved(ran: &Ran, transport: Transport) {
    let is_wrapped = ran.log.contains("actions/cache moves the archives");
    assert_eq!(is_wrapped, transport == Transport::Wrapped, "{}", ran.log);
}

/// The life of a cache: `first` fills it, `second` finds it.
fn live(sample: &Sample, first: Transport, second: Transport) {
    // One link and its object come later.
    let later = sample.without(LINK);
    sample.commit();

    let cold = sample.run("populate-example", Event::Push, first);
    assert_eq!([cold.said("hit"), cold.said("seeded"), cold.said("save-result")], ["none", "true", "saved"]);
    assert_eq!(sample.entries().len(), 2, "{:?}\n{}", sample.entries(), cold.log);
    assert_moved(&cold, first);

    let warm = sample.run("populate-example", Event::Push, second);
    assert_eq!([warm.said("hit"), warm.said("seeded")], ["exact", "false"], "{}", warm.log);
    assert_eq!([warm.said("complete"), warm.said("save-result")], ["true", "exists"], "{}", warm.log);
    assert!(warm.log.contains("thumbnails: 0 made, 71 kept"), "{}", warm.log);
    assert_eq!(sample.entries().len(), 2);
    assert_moved(&warm, second);

    // A pull request adds a link: it finds what the default branch has, seeds the difference, and saves nothing
    // under the shared key.
    Sample::put_back(&later);
    sample.commit();
    let pull = sample.run("consume", Event::PullRequest, second);
    assert_eq!([pull.said("hit"), pull.said("seeded"), pull.said("complete")], ["partial", "true", "true"]);
    assert!(pull.log.contains("seeded: 1 file,"), "{}", pull.log);
    assert_eq!(pull.said("save-result"), "denied-mode");
    assert_eq!(sample.entries().len(), 2);

    // Merged, it becomes a new generation.
    let merged = sample.run("populate-example", Event::Push, first);
    assert_eq!([merged.said("hit"), merged.said("seeded")], ["partial", "true"], "{}", merged.log);
    assert!(merged.log.contains("seeded: 1 file,"), "{}", merged.log);
    assert_eq!([merged.said("complete"), merged.said("save-result")], ["true", "saved"], "{}", merged.log);
    assert_eq!(sample.entries().len(), 4, "{:?}", sample.entries());
    let pull = sample.run("consume", Event::PullRequest, second);
    assert_eq!([pull.said("hit"), pull.said("save-result")], ["exact", "denied-mode"], "{}", pull.log);
    assert!(sample.entries().iter().all(|entry| entry.starts_with("refs/heads/main ")));
}

#[test]
fn a_cache_lives_with_our_own_transport() {
    let Some(sample) = sample("a_cache_lives_with_our_own_transport") else { return };
    live(&sample, Transport::Native, Transport::Native);
}

#[test]
fn a_cache_lives_with_actions_cache_underneath() {
    let Some(sample) = sample("a_cache_lives_with_actions_cache_underneath") else { return };
    live(&sample, Transport::Wrapped, Transport::Wrapped);
}

#[test]
fn what_our_transport_saves_actions_cache_restores() {
    let Some(sample) = sample("what_our_transport_saves_actions_cache_restores") else { return };
    live(&sample, Transport::Native, Transport::Wrapped);
}

#[test]
fn what_actions_cache_saves_our_transport_restores() {
    let Some(sample) = sample("what_actions_cache_saves_our_transport_restores") else { return };
    live(&sample, Transport::Wrapped, Transport::Native);
}

/// One link names another object than before: the rest is restored, that one object is fetched, and a new generation
/// is saved beside the old one.
fn change_a_link(sample: &Sample, transport: Transport) {
    let directory = sample.path("mirror");
    let mirror = MirrorServer::start(&directory, Manner::Good);
    sample.use_mirror(&mirror.template());
    sample.commit();
    let cold = sample.run("populate-example", Event::Push, transport);
    assert_eq!([cold.said("seeded"), cold.said("save-result")], ["true", "saved"], "{}", cold.log);
    assert_eq!((sample.entries().len(), mirror.requests()), (2, 0));
    let before = sample.entries();

    sample.change(LINK, &directory);
    sample.commit();
    let changed = sample.run("populate-example", Event::Push, transport);
    assert_moved(&changed, transport);
    assert_eq!([changed.said("hit"), changed.said("seeded")], ["partial", "true"], "{}", changed.log);
    assert!(changed.log.contains("fetching 1 of 72 objects"), "{}", changed.log);
    assert_eq!((mirror.requests(), mirror.delivered()), (1, 1), "{}", changed.log);
    assert_eq!([changed.said("complete"), changed.said("save-result")], ["true", "saved"], "{}", changed.log);
    assert!(changed.log.contains("thumbnails: 1 made"), "{}", changed.log);
    let after = sample.entries();
    assert!(after.len() == 4 && after.starts_with(&before), "{after:?}");

    let warm = sample.run("populate-example", Event::Push, transport);
    assert_eq!([warm.said("hit"), warm.said("save-result")], ["exact", "exists"], "{}", warm.log);
    assert_eq!((sample.entries(), mirror.requests()), (after, 1));
}

#[test]
fn of_a_changed_link_only_the_difference_is_fetched_and_saved_anew() {
    let test = "of_a_changed_link_only_the_difference_is_fetched_and_saved_anew";
    let Some(sample) = sample(test) else { return };
    change_a_link(&sample, Transport::Native);
}

#[test]
fn of_a_changed_link_only_the_difference_is_fetched_with_actions_cache_underneath() {
    let test = "of_a_changed_link_only_the_difference_is_fetched_with_actions_cache_underneath";
    let Some(sample) = sample(test) else { return };
    change_a_link(&sample, Transport::Wrapped);
}

#[test]
fn a_fork_verifies_and_saves_nothing() {
    let Some(sample) = sample("a_fork_verifies_and_saves_nothing") else { return };
    let cold = sample.run("populate-example", Event::Push, Transport::Native);
    assert_eq!(cold.said("save-result"), "saved", "{}", cold.log);
    let before = sample.entries();
    // On GitHub only actions/cache has a token here; where a runner gives it to every step, it may not write either.
    for transport in [Transport::Wrapped, Transport::Native] {
        let fork = sample.run("consume", Event::Fork, transport);
        assert_moved(&fork, transport);
        assert_eq!(
            [fork.said("hit"), fork.said("seeded"), fork.said("complete")],
            ["exact", "false", "true"]
        );
        assert_eq!(fork.said("save-result"), "denied-mode", "{}", fork.log);
    }
    // The fork asks for more: a writer's role, both caches, and a link of its own to an object that no mirror has.
    sample.rewrite("consume", "role: consumer", "role: writer");
    sample.rewrite("consume", "cache: frames\n          role", "cache: frames thumbnails\n          role");
    std::fs::write(sample.repository().join(LINK), "0".repeat(32)).expect("written");
    sample.commit();
    for transport in [Transport::Wrapped, Transport::Native] {
        let fork = sample.attempt("consume", Event::Fork, transport);
        assert!(!fork.success, "the gate fails: {}", fork.log);
        for said in
            ["71 of 72 objects are present", "frames: not saved (denied-mode)", "thumbnails: not saved"]
        {
            assert!(fork.log.contains(said), "{said}: {}", fork.log);
        }
    }
    assert_eq!(sample.entries(), before);
}
