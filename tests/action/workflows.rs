//! The workflows that populate and consume caches, run by act on the example: cold, warm, changed, in a pull request;
//! with our own transport, with actions/cache underneath, and with both in turn.

use crate::act::{Event, Ran, Sample, Transport};
use crate::skip::skip;

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

    let cold = sample.run("populate", Event::Push, first);
    assert_eq!([cold.said("hit"), cold.said("seeded"), cold.said("save-result")], ["none", "true", "saved"]);
    assert_eq!(sample.entries().len(), 2, "{:?}\n{}", sample.entries(), cold.log);
    assert_moved(&cold, first);

    let warm = sample.run("populate", Event::Push, second);
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
    assert!(pull.log.contains("seeded: 1 files"), "{}", pull.log);
    assert_eq!(pull.said("save-result"), "denied-mode");
    assert_eq!(sample.entries().len(), 2);

    // Merged, it becomes a new generation.
    let merged = sample.run("populate", Event::Push, first);
    assert_eq!([merged.said("hit"), merged.said("seeded")], ["partial", "true"], "{}", merged.log);
    assert!(merged.log.contains("seeded: 1 files"), "{}", merged.log);
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
