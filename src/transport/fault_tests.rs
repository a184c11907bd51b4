//! Fetching from a server that fails in every way it can.

use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::DateTime;
use tokio_util::sync::CancellationToken;

use super::http::client::{Client, Timeouts};
use super::http::error::{Cause, FetchError};
use super::http::options::FetchOptions;
use super::http::retry::{Clock, RetryPolicy};
use super::source::Source;
use crate::threads::executor::Owner;
use cachekeep_test_support::capture;
use cachekeep_test_support::fault_server::{Fault, FaultServer, Resource};

struct Bench {
    runtime: Owner,
    client: Client,
    options: FetchOptions,
    server: FaultServer,
}

/// Timeouts that no server which is well meets, even on a machine that is busy.
fn bench() -> Bench {
    bench_with(Duration::from_mins(1), Duration::from_mins(1))
}

/// Timeouts of the test's own: how long silence and slowness are borne.
fn bench_with(idle: Duration, speed_window: Duration) -> Bench {
    let timeouts = Timeouts { connect: Duration::from_secs(10), idle, least_speed: 1_000, speed_window };
    let retry = RetryPolicy {
        attempts: 3,
        first_wait: Duration::from_millis(10),
        longest_wait: Duration::from_millis(20),
        longest_requested_wait: Duration::from_secs(3),
    };
    Bench {
        runtime: Owner::start().expect("a runtime"),
        client: Client::new(timeouts).expect("a client"),
        options: FetchOptions {
            retry,
            deadline: Some(Instant::now() + Duration::from_mins(2)),
            clock: Clock::starting_at(DateTime::UNIX_EPOCH),
            accept: None,
            digest_is_checked: false,
            cancel: CancellationToken::new(),
        },
        server: FaultServer::start(),
    }
}

impl Bench {
    fn fetch(&self, path: &str) -> Result<Vec<u8>, FetchError> {
        let result = self.read(path);
        if let Err(error) = &result {
            capture::text("error", &format!("{error}\n{error:?}"));
        }
        result
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FetchError> {
        let source = Source::parse(&self.server.url(path), Path::new("/")).expect("a loopback URL");
        let mut reader = source.open(&self.client, self.options.clone(), self.runtime.executor())?;
        let mut bytes = Vec::new();
        match reader.read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(error.downcast().expect("a fetch error")),
        }
    }

    fn serve(&self, resource: Resource) -> Result<Vec<u8>, FetchError> {
        self.server.put("/x", resource);
        self.fetch("/x?sig=hush")
    }
}

fn body(count: usize) -> Vec<u8> {
    (0..count).map(|i| u8::try_from(i * 31 % 251).expect("below 251")).collect()
}

#[test]
fn faults_that_pass_are_survived_and_every_byte_arrives() {
    let bench = bench();
    let check = |name: &str, faults: Vec<Fault>, requests: usize| {
        let before = bench.server.requests().len();
        let bytes = bench.serve(Resource::new(body(300_000), faults)).expect(name);
        assert!(bytes == body(300_000), "{name}");
        assert_eq!(bench.server.requests().len() - before, requests, "{name}");
    };
    check("nothing wrong", vec![], 1);
    check("500 then well", vec![Fault::Status(500, vec![]), Fault::Status(503, vec![])], 3);
    check("reset before the body", vec![Fault::ResetAt(0)], 2);
    check("reset in the middle", vec![Fault::ResetAt(100_000)], 2);
    check("two resets", vec![Fault::ResetAt(100_000), Fault::ResetAt(1)], 3);
    check("closed early", vec![Fault::CloseAt(299_999)], 2);
    check("whole file again, same version", vec![Fault::CloseAt(1_000), Fault::IgnoreRange], 2);
    assert!(bench.serve(Resource::new("", [])).expect("an empty file").is_empty());
}

#[test]
fn silence_and_slowness_are_ended_and_every_byte_arrives() {
    let second = Duration::from_secs(1);
    for (idle, window, fault) in [
        (second, 60 * second, Fault::StallAt(70_000)),
        (60 * second, second, Fault::Trickle(Duration::from_millis(20))),
    ] {
        let bench = bench_with(idle, window);
        let bytes = bench.serve(Resource::new(body(300_000), [fault])).expect("survived");
        assert!(bytes == body(300_000));
        // One more where the machine itself was slow.
        let requests = bench.server.requests().len();
        assert!((2..=3).contains(&requests), "{requests}");
    }
}

#[test]
fn a_broken_transfer_goes_on_where_it_broke() {
    let bench = bench();
    bench.serve(Resource::new(body(200_000), [Fault::CloseAt(150_000)])).expect("resumed");
    assert_eq!(bench.server.requests(), ["/x?sig=hush", "/x?sig=hush bytes=150000-"]);
}

#[test]
fn a_file_that_changes_in_between_is_not_mixed() {
    let check = |faults: Vec<Fault>, versioned: bool, reason: &str| {
        let bench = bench();
        let resource = Resource::new(body(2_000), faults);
        let resource = if versioned { resource } else { resource.without_version() };
        let error = bench.serve(resource).expect_err(reason);
        assert!(error.to_string().ends_with(reason), "{error}");
    };
    let replaced = || vec![Fault::CloseAt(500), Fault::Replace(vec![7; 2_000])];
    check(replaced(), true, "the server starts over with a file that may be another one");
    check(replaced(), false, "the server names no version of the file");
}

#[test]
fn without_a_version_a_checked_digest_allows_to_resume() {
    let mut bench = bench();
    bench.options.digest_is_checked = true;
    let bytes = bench.serve(Resource::new(body(2_000), [Fault::CloseAt(500)]).without_version());
    assert!(bytes.expect("resumed") == body(2_000));
    let faults = [Fault::CloseAt(500), Fault::IgnoreRange];
    let bytes = bench.serve(Resource::new(body(2_000), faults).without_version());
    assert!(bytes.expect("started over") == body(2_000));
}

#[test]
fn retry_after_is_honored_and_never_undercut() {
    let made = Instant::now();
    let bench = bench();
    let wait = |text: &str| Fault::Status(429, vec![("Retry-After", text.to_owned())]);
    let begun = Instant::now();
    bench.serve(Resource::new("x", [wait("1")])).expect("served after the wait");
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // Its clock began with that year when it was made.
    let date = "Thu, 01 Jan 1970 00:00:03 GMT";
    bench.serve(Resource::new("x", [wait(date)])).expect("served after the date");
    assert!(made.elapsed() >= Duration::from_secs(3));
    let error = bench.serve(Resource::new("x", [wait("600")])).expect_err("longer than anybody waits");
    assert_eq!(error.to_string(), format!("{}: the server asks to wait 600 s", bench.server.url("/x")));
}

#[test]
fn faults_that_stay_are_errors_with_their_reason_and_no_secret() {
    let check_with = |bench: &Bench, resource: Resource, expect: &str, requests: usize| {
        let before = bench.server.requests().len();
        let error = bench.serve(resource).expect_err(expect);
        assert_eq!(error.to_string(), format!("{}: {expect}", bench.server.url("/x")));
        assert_eq!(bench.server.requests().len() - before, requests, "{expect}");
    };
    let bench = bench();
    let check = |resource: Resource, expect: &str, requests: usize| {
        check_with(&bench, resource, expect, requests);
    };
    let always = |fault| Resource::always(body(5_000), fault);
    check(always(Fault::Status(404, vec![])), "not found", 1);
    check(always(Fault::Status(403, vec![])), "the server refuses access (HTTP 403)", 1);
    check(always(Fault::Status(204, vec![])), "the server answered HTTP 204", 1);
    check(always(Fault::Status(500, vec![])), "the server answered HTTP 500", 3);
    check(always(Fault::Status(429, vec![])), "the server asks to wait", 3);
    let moment = Duration::from_millis(300);
    let silent = bench_with(moment, Duration::from_mins(1));
    check_with(&silent, always(Fault::StallAt(0)), "no byte for 0.3 s", 3);
    let slow = bench_with(Duration::from_mins(1), moment);
    let trickle = always(Fault::Trickle(Duration::from_millis(50)));
    check_with(&slow, trickle, "slower than 1000 bytes a second", 3);
    let long = "cannot resume after 5000 bytes: the server sends another part than was asked for";
    check(always(Fault::ClaimLength(9_000)), long, 2);
    let round = Fault::Status(302, vec![("Location", "/x".to_owned())]);
    check(always(round), "more than 10 redirects", 11);
    let away = Fault::Status(302, vec![("Location", "http://example.org/x".to_owned())]);
    check(always(away), "http is only for this machine, use https", 1);
}

#[test]
fn a_server_that_is_gone_is_named() {
    let mut bench = bench();
    bench.options.retry = RetryPolicy::never();
    let url = bench.server.url("/x");
    bench.server = FaultServer::start();
    let gone = Source::parse(&url, Path::new("/")).expect("a loopback URL");
    let error = gone.open(&bench.client, bench.options.clone(), bench.runtime.executor()).expect_err("gone");
    assert!(matches!(error.cause, Cause::Connect(_)), "{error}");
}

#[test]
fn the_deadline_and_the_user_end_it() {
    let mut bench = bench();
    bench.options.deadline = Some(Instant::now() + Duration::from_millis(200));
    let error = bench.serve(Resource::always("x", Fault::StallAt(0))).expect_err("late");
    assert!(matches!(error.cause, Cause::Deadline), "{error}");
    bench.options.cancel.cancel();
    let error = bench.serve(Resource::new("x", [])).expect_err("cancelled");
    assert!(matches!(error.cause, Cause::Cancelled), "{error}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test makes a file")]
fn files_are_sources_too() {
    let bench = bench();
    let dir = tempfile::tempdir().expect("a temp directory");
    let open = |name: &str| {
        let source = Source::parse(name, dir.path()).expect("a path");
        source.open(&bench.client, bench.options.clone(), bench.runtime.executor())
    };
    std::fs::File::create_new(dir.path().join("a")).expect("a file");
    assert_eq!(open("a").expect("a file").length(), Some(0));
    assert!(matches!(open("b").expect_err("missing").cause, Cause::NotFound));
    assert!(matches!(open(".").expect_err("a directory").cause, Cause::Io(_)));
}
