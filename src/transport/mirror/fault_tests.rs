//! Many objects from mirrors of which only few are well.
#![expect(clippy::disallowed_methods, reason = "keeps what is fetched, and looks at what is left")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::DateTime;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::domain::digest::Sha256Digest;
use crate::domain::event::{Meter, Phase};
use crate::transport::http::client::{Client, Timeouts};
use crate::transport::http::retry::{Clock, RetryPolicy};
use crate::transport::mirror::fetch::{Accept, Stop};
use crate::transport::mirror::health::BreakerPolicy;
use cachekeep_test_support::capture;
use cachekeep_test_support::fault_server::{Fault, FaultServer, Resource};
use cachekeep_test_support::project::file_url;

struct MirrorBench {
    runtime: Runtime,
    client: Client,
    settings: MirrorSettings,
    temp: tempfile::TempDir,
    cancel: CancellationToken,
    taken: Arc<Mutex<BTreeSet<ObjectId>>>,
}

const MILLISECOND: Duration = Duration::from_millis(1);

/// Longer than any test, even on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(1);

fn bench() -> MirrorBench {
    bench_with(1_500 * MILLISECOND)
}

/// A bench where silence is borne for so long.
fn bench_with(idle: Duration) -> MirrorBench {
    let timeouts = Timeouts {
        connect: Duration::from_secs(10),
        idle,
        least_speed: 100,
        speed_window: 500 * MILLISECOND,
    };
    let retry = RetryPolicy { first_wait: 10 * MILLISECOND, attempts: 2, ..RetryPolicy::default() };
    let breaker = BreakerPolicy {
        first_pause: 50 * MILLISECOND,
        longest_pause: 100 * MILLISECOND,
        longest_requested_wait: Duration::from_secs(2),
        ..BreakerPolicy::default()
    };
    let settings = MirrorSettings {
        retry,
        resume: retry,
        breaker,
        hedge_after: 200 * MILLISECOND,
        largest_object: 1 << 20,
        object_deadline: 2 * PATIENCE,
        ..MirrorSettings::default()
    };
    MirrorBench {
        runtime: Runtime::new().expect("a runtime"),
        client: Client::new(timeouts).expect("a client"),
        settings,
        temp: tempfile::tempdir().expect("a temp directory"),
        cancel: CancellationToken::new(),
        taken: Arc::default(),
    }
}

impl MirrorBench {
    fn fetch(&self, mirrors: &[String], objects: &[ServedObject]) -> FetchReport {
        let taken = Arc::clone(&self.taken);
        let accept = move |object: &ObjectId, path: &Path| {
            let bytes = std::fs::read(path).map_err(|error| Refusal::Local(error.to_string()))?;
            if Sha256Digest::of(&bytes).to_string() != object.hash() {
                return Err(Refusal::WrongContent("another hash".to_owned()));
            }
            assert!(taken.lock().expect("no panic").insert(object.clone()), "taken twice");
            Ok(())
        };
        self.fetch_with(mirrors, objects, Arc::new(accept))
    }

    fn fetch_with(&self, mirrors: &[String], objects: &[ServedObject], accept: Arc<Accept>) -> FetchReport {
        let parse = |text: &String| Mirror::parse(text, self.temp.path()).expect("a mirror");
        let mirrors: Vec<_> = mirrors.iter().map(parse).collect();
        let meter = Meter::new("c", Phase::Seed);
        let job = MirrorFetch {
            client: &self.client,
            mirrors: &mirrors,
            settings: &self.settings,
            temp: self.temp.path(),
            accept,
            clock: Clock::starting_at(DateTime::UNIX_EPOCH),
            cancel: &self.cancel,
            meter: &meter,
        };
        let wanted = objects.iter().map(|object| object.id.clone()).collect();
        let report = self.runtime.block_on(job.run(wanted));
        capture::text("error", &format!("{report:?}"));
        assert_eq!(meter.items(), report.fetched.len() as u64);
        assert_eq!(std::fs::read_dir(self.temp.path()).expect("readable").count(), 0, "files were left");
        report
    }
}

struct ServedObject {
    id: ObjectId,
    bytes: Vec<u8>,
}

/// Objects of many sizes, the first of them empty.
fn objects(count: usize) -> Vec<ServedObject> {
    let object = |number: usize| {
        let bytes = vec![u8::try_from(number % 256).expect("a byte"); number * number];
        let id = ObjectId::new(Algorithm::Sha256, &Sha256Digest::of(&bytes).to_string()).expect("a hash");
        ServedObject { id, bytes }
    };
    (0..count).map(object).collect()
}

/// A server that treats every object alike.
fn server(objects: &[ServedObject], resource: impl Fn(&ServedObject) -> Resource) -> (FaultServer, String) {
    let server = FaultServer::start();
    for object in objects {
        server.put(&format!("/SHA256/{}", object.id.hash()), resource(object));
    }
    let url = server.url("/{ALGO}/{hash}?sig=hush");
    (server, url)
}

fn well(object: &ServedObject) -> Resource {
    Resource::new(object.bytes.clone(), [])
}

fn always(fault: Fault) -> impl Fn(&ServedObject) -> Resource {
    move |object| Resource::always(object.bytes.clone(), fault.clone())
}

fn dead() -> String {
    FaultServer::start().url("/{hash}")
}

#[test]
fn every_object_arrives_although_most_mirrors_are_broken() {
    let bench = bench();
    let objects = objects(120);
    let (stalling, stalling_url) = server(&objects, always(Fault::StallAt(0)));
    let wait = Fault::Status(429, vec![("Retry-After", "1".to_owned())]);
    let (limited, limited_url) = server(&objects, always(wait));
    let (html, html_url) = server(&objects, |_| Resource::new("<html>", []));
    let (cut, cut_url) = server(&objects, always(Fault::CloseAt(5)));
    let (wrong, wrong_url) = server(&objects, |object| Resource::new(vec![1; object.bytes.len()], []));
    let (failing, failing_url) = server(&objects, always(Fault::Status(500, vec![])));
    let (_good, good_url) = server(&objects, well);
    let urls = [dead(), stalling_url, limited_url, html_url, cut_url, wrong_url, failing_url, good_url];
    let begun = Instant::now();
    let report = bench.fetch(&urls, &objects);
    // Two at once after each second that a mirror asked to wait: it is not given up.
    let after_waits = 2 * begun.elapsed().as_secs();
    assert_eq!((report.missing, report.stopped), (vec![], None));
    assert_eq!(bench.taken.lock().expect("no panic").len(), 120);
    for (index, mirror) in report.mirrors.iter().enumerate().take(7) {
        // At most six until it is given up, and what was in flight when it opened.
        let most = if index == 2 { 20 + after_waits } else { 20 };
        assert!(mirror.requests <= most, "{mirror:?}, {most} at most");
        assert!(!mirror.mirror.contains("hush"));
    }
    for server in [stalling, html, cut, wrong, failing] {
        assert!(server.requests().len() <= 60, "{}", server.requests().len());
    }
    let asked = u64::try_from(limited.requests().len()).expect("few");
    assert!(asked <= 60 + 2 * after_waits, "{asked} after {after_waits}");
}

#[test]
fn a_rival_that_fails_is_replaced_at_once() {
    let mut bench = bench_with(PATIENCE);
    bench.settings.hedge_after = Duration::from_secs(2);
    let objects = objects(2);
    let (_stalling, stalling) = server(&objects, always(Fault::StallAt(0)));
    let empty: Vec<_> = (0..6).map(|_| server(&[], well)).collect();
    let (_good, good) = server(&objects, well);
    let urls: Vec<String> =
        std::iter::once(stalling).chain(empty.iter().map(|(_, url)| url.clone())).chain([good]).collect();
    let begun = Instant::now();
    let report = bench.fetch(&urls, &objects[1..]);
    assert_eq!(report.fetched.len(), 1, "{report:?}");
    // Each of the six, were it waited for, would take two seconds more.
    assert!(begun.elapsed() < Duration::from_secs(11), "{:?}", begun.elapsed());
}

#[test]
fn an_object_that_only_one_flaky_mirror_has_is_found() {
    let bench = bench();
    let objects = objects(20);
    let (without, without_url) = server(&[], well);
    let faults = |object: &ServedObject| {
        let wait = Fault::Status(429, vec![("Retry-After", "0".to_owned())]);
        Resource::new(object.bytes.clone(), [Fault::ResetAt(0), wait])
    };
    let (_flaky, flaky_url) = server(&objects[19..], faults);
    let report = bench.fetch(&[without_url, flaky_url], &objects[19..]);
    assert_eq!((report.missing, report.fetched.len()), (vec![], 1));
    assert_eq!(report.fetched[0].mirror, 1);
    assert_eq!(without.requests().len(), 1);
}

#[test]
fn what_no_mirror_gives_is_listed_with_every_reason() {
    let bench = bench();
    let objects = objects(3);
    let (_without, without_url) = server(&[], well);
    let (_wrong, wrong_url) = server(&objects, |_| Resource::new("<html>", []));
    let (_large, large_url) = server(&objects, |_| Resource::new(vec![0; 2 << 20], []));
    let (_closed, closed_url) = server(&objects, always(Fault::Status(403, vec![])));
    let report = bench.fetch(&[without_url, wrong_url, large_url, closed_url], &objects[2..]);
    let expect = [
        "not found",
        "another hash",
        "not a usable answer: larger than 1048576 bytes",
        "the server refuses access (HTTP 403)",
    ];
    assert_eq!(report.missing.len(), 1);
    assert_eq!(report.missing[0].reasons, expect);
    let report = bench.fetch(&[], &objects);
    assert_eq!((report.missing.len(), report.stopped), (3, None));
}

#[test]
fn a_mirror_that_stalls_in_the_middle_gets_a_rival() {
    let bench = bench_with(PATIENCE);
    let objects = objects(40);
    let (_stalling, stalling_url) = server(&objects, always(Fault::StallAt(1_000)));
    let (_good, good_url) = server(&objects, well);
    let begun = Instant::now();
    let report = bench.fetch(&[stalling_url, good_url], &objects[39..]);
    assert_eq!(report.fetched.len(), 1);
    assert!(begun.elapsed() < PATIENCE, "it was not waited for");
}

#[test]
fn folders_are_mirrors_too() {
    let bench = bench();
    let objects = objects(5);
    let directory = tempfile::tempdir().expect("a temp directory");
    for object in &objects[..4] {
        std::fs::write(directory.path().join(object.id.hash()), &object.bytes).expect("written");
    }
    let url = format!("{}/{{hash}}", file_url(directory.path()));
    let report = bench.fetch(&[url], &objects);
    assert_eq!((report.fetched.len(), report.missing.len()), (4, 1));
    assert_eq!(report.missing[0].reasons, ["not found"]);
}

#[test]
fn a_disk_that_takes_nothing_ends_it_with_its_reason() {
    let bench = bench();
    let objects = objects(50);
    let (good, good_url) = server(&objects, well);
    let accept = |_: &ObjectId, _: &Path| Err(Refusal::Local("disk full".to_owned()));
    let report = bench.fetch_with(&[good_url], &objects, Arc::new(accept));
    let reason = report.stopped.expect("it stopped").to_string();
    assert!(reason.ends_with(": disk full"), "{reason}");
    assert!(good.requests().len() < 50, "it went on");
}

#[test]
fn it_can_be_interrupted() {
    let bench = bench_with(PATIENCE);
    let objects = objects(50);
    let (_stalling, url) = server(&objects, always(Fault::StallAt(1)));
    let cancel = bench.cancel.clone();
    let begun = Instant::now();
    std::thread::spawn(move || {
        std::thread::sleep(100 * MILLISECOND);
        cancel.cancel();
    });
    let report = bench.fetch(&[url], &objects);
    assert_eq!(report.stopped, Some(Stop::Cancelled));
    assert!(begun.elapsed() < PATIENCE / 2);
}
