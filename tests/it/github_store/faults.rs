//! Every fault of the service and of its storage: its outcome, in bounded time, and its message.

use std::time::{Duration, Instant};

use cachekeep::store::{Commit, GitHubOptions, GitHubStore, Store as _, StoreErrorKind};
use chrono::TimeDelta;
use futures::TryStreamExt as _;

use crate::github_store::fault_table::Often::{self, Always, Once};
use crate::github_store::fault_table::{
    BOUND, answer, arm, assert_outcome, denied, leave_table, not_ok, outcome, row, wait,
};
use crate::github_store::job::{
    MAIN, credentials, hasty, impatient, payload, request, restore, save, store, told, told_with, whole,
};
use cachekeep_test_support::github_service::{Fault, GitHubService, Point};

/// Three blocks and a rest.
const LENGTH: usize = 200_000;

/// Times for silence and slowness: as short as a fault that stays allows, longer for one that passes, so
/// that a busy machine does not look like another fault, and long where neither matters.
fn times_for(often: &Often) -> GitHubOptions {
    let (long, short) = (Duration::from_mins(1), Duration::from_millis(300));
    match often {
        Always(Fault::StallAt(_) | Fault::StallRequestAt(_)) => hasty(short, long),
        Once(Fault::StallAt(_) | Fault::StallRequestAt(_)) => hasty(4 * short, long),
        Always(Fault::Trickle(_)) => hasty(long, short),
        Once(Fault::Trickle(_)) => hasty(long, 4 * short),
        _ => impatient(),
    }
}

/// A fault, where it strikes and how often, and its outcome.
type Case = (&'static str, Point, Often, &'static str);

/// Faults while an entry is reserved.
fn reserving() -> Vec<Case> {
    let budget = "You have reached your configured budget, your cache is now read only";
    vec![
        ("429 with a short wait", Point::Create, Once(wait(1)), "saved"),
        ("429 with a long wait", Point::Create, Always(wait(600)), "RateLimited { retry_after: Some(600s) }"),
        ("429 without a wait", Point::Create, Once(answer(429, "{}")), "saved"),
        ("500 once", Point::Create, Once(answer(500, "oops")), "saved"),
        ("500 always", Point::Create, Always(answer(500, "oops")), "Unavailable: cannot save `k`"),
        ("409", Point::Create, Always(denied(409, "already exists")), "Exists"),
        ("already exists, kindly", Point::Create, Always(not_ok("cache entry already exists")), "Exists"),
        ("no, without a word", Point::Create, Always(answer(200, "{}")), "Exists"),
        ("the budget, kindly", Point::Create, Always(not_ok(budget)), "BudgetExceeded"),
        ("the budget", Point::Create, Always(denied(403, budget)), "BudgetExceeded"),
        ("the quota", Point::Create, Always(denied(400, "insufficient usage")), "BudgetExceeded"),
        ("the quota, kindly", Point::Create, Always(not_ok("insufficient usage")), "BudgetExceeded"),
        (
            "a token that may not write",
            Point::Create,
            Always(not_ok("cache write denied: token has no writable scopes")),
            "Denied(Write)",
        ),
        ("403", Point::Create, Always(denied(403, "no")), "Denied(Write)"),
        ("401", Point::Create, Always(denied(401, "who?")), "does not accept the job's token: who?"),
        ("another reason", Point::Create, Always(not_ok("on Sundays")), "refuses the request: on Sundays"),
        ("404", Point::Create, Always(denied(404, "no route")), "refuses the request: no route"),
        ("malformed JSON once", Point::Create, Once(answer(200, "<html>")), "saved"),
        ("malformed JSON", Point::Create, Always(answer(200, "<html>")), "sent an invalid response"),
        ("no URL", Point::Create, Always(answer(200, "{\"ok\":true}")), "no upload URL"),
        (
            "an invalid upload URL",
            Point::Create,
            Always(answer(200, "{\"ok\":true,\"signed_upload_url\":\"http://example.org/?sig=abc\"}")),
            "the signed URL is not valid",
        ),
        (
            "a lost reservation",
            Point::Create,
            Once(Fault::LoseAnswer),
            "the answer to the reservation was lost",
        ),
        ("a reset reservation", Point::Create, Once(Fault::ResetRequestAt(5)), "saved"),
        ("a stalled answer once", Point::Create, Once(Fault::StallRequestAt(5)), "saved"),
        ("a stalled answer", Point::Create, Always(Fault::StallRequestAt(5)), "Unavailable"),
        ("an answer that trickles", Point::Create, Once(Fault::Trickle(Duration::from_millis(5))), "saved"),
    ]
}

/// Faults while an archive is uploaded and finalized.
fn uploading() -> Vec<Case> {
    let reset = || Fault::ResetRequestAt(1_000);
    vec![
        ("a block reset once", Point::PutBlock, Once(reset()), "saved"),
        ("blocks reset", Point::PutBlock, Always(reset()), "Unavailable: cannot save `k`"),
        ("a block stalled once", Point::PutBlock, Once(Fault::StallRequestAt(1_000)), "saved"),
        ("blocks stalled", Point::PutBlock, Always(Fault::StallRequestAt(1_000)), "no byte for 0.9 s"),
        ("a block damaged once", Point::PutBlock, Once(Fault::Damage), "saved"),
        ("blocks damaged", Point::PutBlock, Always(Fault::Damage), "the block arrived damaged"),
        ("a busy storage", Point::PutBlock, Once(answer(503, "")), "saved"),
        ("a block sent twice", Point::PutBlock, Once(Fault::LoseAnswer), "saved"),
        (
            "an expired signature",
            Point::PutBlock,
            Always(answer(403, "")),
            "no longer accepts the signed URL",
        ),
        ("a proxy that says yes", Point::PutBlock, Always(answer(200, "<html>")), "HTTP 200 to an upload"),
        ("a block list refused once", Point::PutBlockList, Once(answer(500, "")), "saved"),
        ("a block list sent twice", Point::PutBlockList, Once(Fault::LoseAnswer), "saved"),
        ("a block list damaged", Point::PutBlockList, Once(Fault::Damage), "saved"),
        ("a lost finalization", Point::Finalize, Once(Fault::LoseAnswer), "saved"),
        ("a finalization that fails once", Point::Finalize, Once(answer(502, "")), "saved"),
        ("a finalization that fails", Point::Finalize, Always(answer(502, "")), "Unavailable"),
        ("another size", Point::Finalize, Always(not_ok("wrong size")), "refuses the request: wrong size"),
    ]
}

#[tokio::test]
async fn saving_survives_what_passes_and_names_what_does_not() {
    let cases: Vec<Case> = reserving().into_iter().chain(uploading()).collect();
    let mut rows = Vec::new();
    for (what, point, often, expect) in cases {
        let service = GitHubService::start();
        let (told, options) = told_with(times_for(&often));
        let job = store(&service, &[(MAIN, 3)], options);
        arm(&service, point, often);
        let begun = Instant::now();
        let bytes = payload(LENGTH);
        let result = save(&job, "k", &bytes).await;
        let came_to = outcome(&result, |commit| match commit {
            Commit::Created { .. } => "saved",
            Commit::Exists => "Exists",
        });
        rows.push(row(what, &format!("{point:?}"), &came_to, begun));
        assert_outcome(what, &came_to, expect, begun, &told.all());
        service.heal();
        let found = restore(&job, "k").await.expect(what);
        if came_to == "saved" {
            assert!(found.is_some_and(|found| found == bytes), "{what}: the bytes differ");
        } else {
            assert!(found.is_none(), "{what}: half an entry is served");
            // From the point of view of a client, an invalid upload URL came with a reservation.
            let burned = (service.reservations() == 1 && !came_to.contains("reservation was lost"))
                || what == "an invalid upload URL";
            assert_eq!(told.all().contains("stays reserved"), burned, "{what}: {:?}", told.all());
        }
    }
    leave_table("github-faults-saving", &rows);
}

/// Faults while an entry is looked up.
fn looking_up() -> Vec<Case> {
    vec![
        ("429 with a short wait", Point::Lookup, Once(wait(1)), "restored"),
        ("429 with a long wait", Point::Lookup, Always(wait(600)), "RateLimited { retry_after: Some(600s) }"),
        ("500 once", Point::Lookup, Once(answer(500, "")), "restored"),
        ("500 always", Point::Lookup, Always(answer(503, "")), "Unavailable: cannot look up `k`"),
        ("a miss", Point::Lookup, Always(answer(200, "{\"ok\":false}")), "miss"),
        (
            "a token that may not read",
            Point::Lookup,
            Always(denied(403, "cache read denied: token has no readable scopes")),
            "Denied(Read)",
        ),
        ("malformed JSON", Point::Lookup, Always(answer(200, "{\"ok\":tru")), "sent an invalid response"),
        (
            "an invalid key",
            Point::Lookup,
            Always(answer(200, "{\"ok\":true,\"matched_key\":\"a,b\",\"signed_download_url\":\"x\"}")),
            "matched key",
        ),
        (
            "another key",
            Point::Lookup,
            Always(answer(
                200,
                "{\"ok\":true,\"matched_key\":\"zzz\",\"signed_download_url\":\"https://a.example/b\"}",
            )),
            "Unasked",
        ),
        ("a stalled answer", Point::Lookup, Always(Fault::StallAt(5)), "Unavailable"),
        ("an answer cut short", Point::Lookup, Once(Fault::CloseAt(5)), "restored"),
        ("a storage that fails once", Point::Head, Once(answer(500, "")), "restored"),
        ("an entry evicted in this moment", Point::Head, Always(answer(404, "")), "miss"),
    ]
}

/// Faults while an archive is downloaded.
fn downloading() -> Vec<Case> {
    vec![
        ("a range reset once", Point::Get, Once(Fault::ResetAt(1_000)), "restored"),
        ("ranges reset", Point::Get, Always(Fault::ResetAt(0)), "Unavailable"),
        // Every attempt comes some bytes further, and the fourth is the last.
        ("ranges cut short on their way", Point::Get, Always(Fault::CloseAt(30_000)), "restored"),
        (
            "ranges cut short after some bytes",
            Point::Get,
            Always(Fault::CloseAt(10)),
            "connection lost after 40 bytes",
        ),
        ("a range cut short once", Point::Get, Once(Fault::CloseAt(30_000)), "restored"),
        ("a stalled range once", Point::Get, Once(Fault::StallAt(30_000)), "restored"),
        ("stalled ranges", Point::Get, Always(Fault::StallAt(0)), "no byte for 0.3 s"),
        (
            "a range that trickles once",
            Point::Get,
            Once(Fault::Trickle(Duration::from_millis(2))),
            "restored",
        ),
        ("ranges that trickle", Point::Get, Always(Fault::Trickle(Duration::from_millis(2))), "slower than"),
        ("a wrong length once", Point::Get, Once(Fault::Shorten(1)), "restored"),
        ("a wrong length", Point::Get, Always(Fault::Shorten(65_536)), "Unavailable"),
        ("an expired signature once", Point::Get, Once(answer(403, "")), "restored"),
        (
            "an expired signature",
            Point::Get,
            Always(answer(403, "")),
            "accepts no signed URL, not even a new one",
        ),
        (
            "a server that ignores ranges",
            Point::Get,
            Always(answer(200, "x")),
            "another part than was asked for",
        ),
        ("an entry that has changed", Point::Get, Always(answer(412, "")), "NotFound"),
        ("an entry that has vanished", Point::Get, Always(answer(404, "")), "NotFound"),
    ]
}

#[tokio::test]
async fn restoring_survives_what_passes_and_names_what_does_not() {
    let cases: Vec<Case> = looking_up().into_iter().chain(downloading()).collect();
    let mut rows = Vec::new();
    for (what, point, often, expect) in cases {
        let service = GitHubService::start();
        let (told, options) = told_with(times_for(&often));
        let job = store(&service, &[(MAIN, 3)], options);
        let bytes = payload(LENGTH);
        save(&job, "k", &bytes).await.expect("saved");
        arm(&service, point, often);
        let begun = Instant::now();
        let result = restore(&job, "k").await;
        let came_to = outcome(&result, |found| match found {
            Some(found) if *found == bytes => "restored",
            Some(_) => "other bytes",
            None => "miss",
        });
        rows.push(row(what, &format!("{point:?}"), &came_to, begun));
        assert_outcome(what, &came_to, expect, begun, &told.all());
    }
    leave_table("github-faults-restoring", &rows);
}

#[tokio::test]
async fn an_upload_url_that_has_expired_is_named_and_a_download_url_is_resolved_again() {
    let service = GitHubService::start();
    let (told, options) = told();
    let job = store(&service, &[(MAIN, 3)], options);
    let (hour, past) = (TimeDelta::hours(1), TimeDelta::minutes(-1));
    let mut rows = Vec::new();
    let mut note = |what: &str, request: &str, came_to: &str, expect: &str, begun: Instant| {
        rows.push(row(what, request, came_to, begun));
        assert_outcome(what, came_to, expect, begun, &told.all());
    };
    service.sign_for(past, hour);
    let begun = Instant::now();
    let saved = save(&job, "late", &payload(LENGTH)).await;
    let came_to = outcome(&saved, |_| "saved");
    note("an upload URL that has expired", "PutBlock", &came_to, "gives no second one for an upload", begun);
    assert!(told.all().contains("`late`: the upload was not finished"), "{}", told.all());

    service.sign_for(hour, hour);
    let bytes = payload(4 * LENGTH);
    save(&job, "k", &bytes).await.expect("saved");
    let entry = job.lookup(&request("k", &[])).await.expect("an answer").expect("an entry");
    let mut stream = job.read(&entry).await.expect("a stream");
    let mut received = stream.try_next().await.expect("a part").expect("a part").to_vec();
    service.pass(hour * 2);
    let lookups = service.count(Point::Lookup);
    let begun = Instant::now();
    while let Some(part) = stream.try_next().await.expect("a part") {
        received.extend_from_slice(&part);
    }
    assert!(received == bytes);
    assert_eq!(service.count(Point::Lookup), lookups + 1, "resolved once for all ranges");
    note("a download URL that expires on the way", "Get", "restored", "restored", begun);

    service.sign_for(hour, past);
    let begun = Instant::now();
    let came_to = outcome(&restore(&job, "k").await, |_| "restored");
    let expect = "the storage accepts no signed URL";
    note("download URLs that have all expired", "Head", &came_to, expect, begun);
    leave_table("github-faults-signatures", &rows);
}

#[tokio::test]
async fn parts_of_two_versions_never_mix() {
    let service = GitHubService::start();
    let job = store(&service, &[(MAIN, 3)], impatient());
    save(&job, "k", &payload(LENGTH)).await.expect("saved");
    let entry = job.lookup(&request("k", &[])).await;
    let entry = entry.expect("an answer").expect("an entry");
    let mut stream = job.read(&entry).await.expect("a stream");
    service.fail_next(Point::Get, vec![Fault::ResetAt(10); 3]);
    service.replace_blob(&vec![0; LENGTH]);
    let begun = Instant::now();
    let came_to = outcome(&stream.try_next().await, |_| "a part");
    let what = "an entry that changes while it is read";
    assert_outcome(what, &came_to, "the file has changed on the server", begun, "");
    leave_table("github-faults-versions", &[row(what, "Get", &came_to, begun)]);
    let error = job.read(&entry).await.map(drop).expect_err("it is another version");
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
}

#[tokio::test]
async fn a_service_that_is_gone_is_given_up_within_the_deadline() {
    let service = GitHubService::start();
    let job = store(&service, &[(MAIN, 3)], impatient());
    save(&job, "k", &payload(LENGTH)).await.expect("saved");
    service.vanish();
    let begun = Instant::now();
    let looked_up = outcome(&restore(&job, "k").await, |_| "restored");
    assert_outcome("looking up", &looked_up, "Unavailable", begun, "");
    let restoring = row("a service that is gone", "Lookup", &looked_up, begun);
    let begun = Instant::now();
    let saved = outcome(&save(&job, "new", &payload(LENGTH)).await, |_| "saved");
    assert_outcome("saving", &saved, "Unavailable", begun, "");
    leave_table("github-faults-gone", &[restoring, row("a service that is gone", "Create", &saved, begun)]);
}

#[tokio::test]
async fn a_server_without_tls_behind_an_https_address_is_a_failure_to_connect() {
    let service = GitHubService::start();
    let url = service.url().replace("http://", "https://");
    let credentials = credentials(&url, &GitHubService::token(&[(MAIN, 3)]));
    let job = GitHubStore::new(credentials, impatient()).expect("a client");
    let begun = Instant::now();
    let restored = outcome(&restore(&job, "k").await, |_| "restored");
    assert_outcome("TLS", &restored, "Unavailable", begun, "");
    let restoring = row("a server without TLS", "Lookup", &restored, begun);
    let begun = Instant::now();
    let saved = outcome(&save(&job, "k", &payload(LENGTH)).await, |_| "saved");
    assert_outcome("TLS", &saved, "Unavailable", begun, "");
    leave_table("github-faults-tls", &[restoring, row("a server without TLS", "Create", &saved, begun)]);
}

#[tokio::test]
async fn a_time_limit_ends_what_would_be_waited_for() {
    let service = GitHubService::start();
    save(&store(&service, &[(MAIN, 3)], impatient()), "k", &payload(LENGTH)).await.expect("saved");
    let options = GitHubOptions { time_limit: Some(Duration::from_millis(500)), ..impatient() };
    for point in [Point::Lookup, Point::Get] {
        service.heal();
        service.fail_always(point, Fault::StallAt(0));
        let begun = Instant::now();
        let result = restore(&store(&service, &[(MAIN, 1)], options.clone()), "k").await;
        assert_outcome("a limit", &outcome(&result, |_| "restored"), "Unavailable", begun, "");
    }
}

#[tokio::test]
async fn a_cancelled_transfer_ends_at_once() {
    let service = GitHubService::start();
    let mut options = impatient();
    options.fetch.retry.longest_requested_wait = Duration::from_mins(10);
    let cancel = options.fetch.cancel.clone();
    let job = store(&service, &[(MAIN, 3)], options);
    service.fail_always(Point::Lookup, wait(90));
    let begun = Instant::now();
    let (result, ()) = tokio::join!(restore(&job, "k"), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        cancel.cancel();
    });
    assert!(whole(&result.expect_err("cancelled")).contains("interrupted"));
    assert!(begun.elapsed() < BOUND);
}
