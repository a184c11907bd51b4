//! Every fault of a service: its outcome at each service, in bounded time, and its message.

use std::time::Instant;

use bytes::Bytes;
use cachekeep::domain::entry::LookupRequest;
use cachekeep::store::{Commit, NewEntry, RemoteStore, Store as _, StoreError, StoreExt as _};
use cachekeep_test_support::github_service::Fault;
use cachekeep_test_support::object_services::Front;
use cachekeep_test_support::object_services::front::Matching;

use crate::github_store::fault_table::{answer, assert_outcome, leave_table, outcome, row};
use crate::github_store::job::payload;

use super::service::{Running, fresh_prefix, named, request, view};

/// A full part and a rest.
const LENGTH: usize = (8 << 20) + 70_000;

/// More often than any request is repeated.
const ALWAYS: usize = 1_000;

/// A step of a transfer.
#[derive(Debug, Clone, Copy)]
enum Point {
    Part,
    Commit,
    List,
    Head,
    Get,
}

impl Point {
    fn matching(self, service: &Running) -> Matching {
        let azure = matches!(service, Running::Azurite(_));
        match (self, service) {
            (Point::Part, Running::Azurite(_)) => Matching("PUT", "comp=block&"),
            (Point::Part, _) => Matching("PUT", "partNumber="),
            (Point::Commit, Running::Azurite(_)) => Matching("PUT", "comp=blocklist"),
            // The copy to the final name.
            (Point::Commit, Running::Gcs(_)) => Matching("PUT", ".tar.zst?"),
            (Point::Commit, _) => Matching("POST", "uploadId="),
            (Point::List, _) => Matching("GET", if azure { "comp=list" } else { "list-type=2" }),
            // The crate encodes every dot of a name at Google.
            (Point::Head, Running::Gcs(_)) => Matching("HEAD", "tar%2Ezst"),
            (Point::Get, Running::Gcs(_)) => Matching("GET", "tar%2Ezst"),
            (Point::Head, _) => Matching("HEAD", ".tar.zst"),
            (Point::Get, _) => Matching("GET", ".tar.zst"),
        }
    }
}

/// A fault, where it strikes and how often, and its outcome.
type Case = (&'static str, Point, Fault, usize, &'static str);

fn saving() -> Vec<Case> {
    let reset = || Fault::ResetRequestAt(1_000);
    let stalled = || Fault::StallRequestAt(1_000);
    let expired = || answer(403, "<Error><Code>ExpiredToken</Code></Error>");
    vec![
        ("a part reset once", Point::Part, reset(), 1, "saved"),
        ("parts reset", Point::Part, reset(), ALWAYS, "Unavailable"),
        ("a part stalled once", Point::Part, stalled(), 1, "saved"),
        ("parts stalled", Point::Part, stalled(), ALWAYS, "Unavailable"),
        ("a part damaged once", Point::Part, Fault::Damage, 1, "saved"),
        ("parts damaged", Point::Part, Fault::Damage, ALWAYS, "the part arrived damaged"),
        ("a bit that flips, twice", Point::Part, Fault::Flip(60_000_001), 2, "saved"),
        ("bits that flip", Point::Part, Fault::Flip(77), ALWAYS, "the part arrived damaged"),
        ("a part whose answer is lost", Point::Part, Fault::LoseAnswer, 1, "saved"),
        ("a busy service, twice", Point::Part, answer(503, ""), 2, "saved"),
        ("a busy service", Point::Part, answer(503, ""), ALWAYS, "Unavailable"),
        ("a credential that expires on the way", Point::Part, expired(), ALWAYS, "Denied(Write)"),
        ("a commit whose answer is lost", Point::Commit, Fault::LoseAnswer, 1, "saved"),
        ("commits whose answers are lost", Point::Commit, Fault::LoseAnswer, ALWAYS, "saved"),
        ("a commit refused once", Point::Commit, answer(500, ""), 1, "saved"),
        ("commits refused", Point::Commit, answer(500, ""), ALWAYS, "Unavailable"),
        ("a commit without the right", Point::Commit, answer(403, ""), ALWAYS, "Denied(Write)"),
    ]
}

fn restoring() -> Vec<Case> {
    vec![
        ("a list refused once", Point::List, answer(503, ""), 1, "restored"),
        ("lists refused", Point::List, answer(503, ""), ALWAYS, "Unavailable"),
        ("a list without the right", Point::List, answer(403, ""), ALWAYS, "Denied(Read)"),
        ("a list cut short once", Point::List, Fault::CloseAt(100), 1, "restored"),
        ("an entry looked at in vain once", Point::Head, answer(500, ""), 1, "restored"),
        ("a range reset once", Point::Get, Fault::ResetAt(100_000), 1, "restored"),
        ("ranges reset", Point::Get, Fault::ResetAt(100_000), ALWAYS, "Unavailable"),
        ("a range cut short once", Point::Get, Fault::CloseAt(100_000), 1, "restored"),
        ("a range stalled once", Point::Get, Fault::StallAt(100_000), 1, "restored"),
        ("ranges stalled", Point::Get, Fault::StallAt(100_000), ALWAYS, "Unavailable"),
        ("a range refused once", Point::Get, answer(503, ""), 1, "restored"),
        ("an entry that has changed", Point::Get, answer(412, ""), ALWAYS, "NotFound"),
        ("an entry that has vanished", Point::Get, answer(404, ""), ALWAYS, "NotFound"),
    ]
}

/// A store behind a front, which has shown that its service keeps conditions.
async fn fronted(service: &Running) -> (Front, RemoteStore) {
    let front = Front::start(service.port());
    let store = service.store_at(&fresh_prefix(), view(), front.port());
    store.put(named("before"), Bytes::from_static(b"x")).await.expect("saved");
    (front, store)
}

async fn save(store: &RemoteStore, new: NewEntry, bytes: &[u8]) -> Result<Commit, StoreError> {
    store.put(new, Bytes::copy_from_slice(bytes)).await
}

async fn restore(store: &RemoteStore, request: &LookupRequest) -> Result<Option<Bytes>, StoreError> {
    match store.lookup(request).await? {
        Some(entry) => store.get(&entry).await.map(Some),
        None => Ok(None),
    }
}

/// Leaves rows only for one service: the others differ in their addresses.
async fn survive(service: Running) {
    let bytes = payload(LENGTH);
    let mut rows = Vec::new();
    for (what, point, fault, times, expect) in saving() {
        let (front, store) = fronted(&service).await;
        front.arm(point.matching(&service), fault, times);
        let begun = Instant::now();
        let result = save(&store, named("k"), &bytes).await;
        let came_to = outcome(&result, |commit| match commit {
            Commit::Created { .. } => "saved",
            Commit::Exists => "Exists",
        });
        rows.push(row(what, &format!("{point:?}"), &short(&came_to), begun));
        assert_outcome(what, &came_to, expect, begun, "");
        assert!(times == ALWAYS || !front.is_armed(), "{what}: no request met the fault");
        let behind = service.store_at(&store_prefix(&store), view(), service.port());
        let found = restore(&behind, &request("k")).await.expect(what);
        if came_to == "saved" {
            // Azurite compares MD5, and its answers do not show it.
            let Ok(Commit::Created { is_checked, .. }) = result else { panic!("{what}: it was just saved") };
            assert_eq!(is_checked, !matches!(service, Running::Azurite(_)), "{what}");
            assert!(found.is_some_and(|found| found == bytes), "{what}: the bytes differ");
        } else {
            assert!(found.is_none(), "{what}: an entry is served");
        }
    }
    for (what, point, fault, times, expect) in restoring() {
        let (front, store) = fronted(&service).await;
        save(&store, named("k"), &bytes).await.expect("saved");
        front.arm(point.matching(&service), fault, times);
        let begun = Instant::now();
        let result = restore(&store, &request("k")).await;
        let came_to = outcome(&result, |found| if found.is_some() { "restored" } else { "a miss" });
        rows.push(row(what, &format!("{point:?}"), &short(&came_to), begun));
        assert_outcome(what, &came_to, expect, begun, "");
        assert!(times == ALWAYS || !front.is_armed(), "{what}: no request met the fault");
        if came_to == "restored" {
            assert!(result.expect(what).is_some_and(|found| found == bytes), "{what}: the bytes differ");
        }
    }
    if matches!(service, Running::Versitygw(_)) {
        leave_table("object-faults", &rows);
    }
}

/// The prefix of a store whose location is `s3://bucket/a/store.1`.
fn store_prefix(store: &RemoteStore) -> String {
    let location = cachekeep::store::Store::location(store);
    location.split_once("bucket/").expect("a prefix").1.to_owned()
}

/// An outcome without the long names of objects.
fn short(text: &str) -> String {
    let words = text.split(' ').map(|word| {
        let is_name = word.contains("://");
        let end = word.trim_end_matches(|c: char| c != ':' && c != ',').len();
        match (is_name, word.starts_with("http")) {
            (false, _) => word.to_owned(),
            (true, true) => format!("…{}", &word[end.saturating_sub(1)..]),
            (true, false) => format!("`k`{}", if word.ends_with(':') { ":" } else { "" }),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_azurite_pass_or_are_named() {
    if let Some(service) = Running::azurite() {
        survive(service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_versitygw_pass_or_are_named() {
    if let Some(service) = Running::versitygw() {
        survive(service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_fake_of_google_pass_or_are_named() {
    survive(Running::gcs()).await;
}

/// S3 answers 409 while another upload to the name is being completed, and may have no object yet.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_meets_another_waits_for_it() {
    let Some(service) = Running::versitygw() else { return };
    let (front, store) = fronted(&service).await;
    let conflict = || answer(409, "<Error><Code>ConditionalRequestConflict</Code></Error>");
    front.arm(Point::Commit.matching(&service), conflict(), 1);
    let behind = service.store_at(&store_prefix(&store), view(), service.port());
    save(&behind, named("k"), b"first").await.expect("saved");
    front.arm(Point::Head.matching(&service), answer(404, ""), 2);
    assert_eq!(save(&store, named("k"), b"late").await.expect("an answer"), Commit::Exists);
    assert!(!front.is_armed());

    // The other one has failed: nothing is there, and nothing is reported as saved.
    front.arm(Point::Commit.matching(&service), conflict(), 1);
    let error = save(&store, named("l"), b"late").await.expect_err("nothing was saved");
    assert!(error.to_string().contains("another job was saving it at the same time"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_never_hides_the_entry_of_another() {
    for service in [Running::azurite(), Running::versitygw(), Some(Running::gcs())].into_iter().flatten() {
        let (front, store) = fronted(&service).await;
        save(&store, named("k"), b"first").await.expect("saved");
        front.arm(Point::Commit.matching(&service), Fault::LoseAnswer, 2);
        assert_eq!(save(&store, named("k"), b"other").await.expect("an answer"), Commit::Exists);
        let kept = restore(&store, &request("k")).await.expect("an answer").expect("an entry");
        assert_eq!(kept, &b"first"[..]);
    }
}
