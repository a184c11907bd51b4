//! Bits that flip on the way up, and what the service is known to check.

use cachekeep::store::{Commit, Store as _, StoreErrorKind};
use cachekeep_test_support::github_service::{Checks, Fault, GitHubService, Point};

use crate::github_store::job::{MAIN, impatient, named, payload, restore, save, store, told_with};

/// Three blocks and a rest.
const LENGTH: usize = 200_000;

/// Flips for each storage; `CACHEKEEP_TEST_FLIPS` asks for more.
fn flips() -> usize {
    std::env::var("CACHEKEEP_TEST_FLIPS").map_or(170, |text| text.parse().expect("a number"))
}

/// A flip in one of the first four requests with a block.
fn arm(service: &GitHubService, flip: usize) {
    let before = std::iter::repeat_n(Fault::None, flip % 4);
    // Spread over bits and bytes of a block.
    service.fail_next(Point::PutBlock, before.chain([Fault::Flip(flip * 100_003)]));
}

#[tokio::test]
async fn a_bit_that_flips_is_refused_by_a_storage_that_checks() {
    let bytes = payload(LENGTH);
    for checks in [Checks::Both, Checks::Md5, Checks::Md5Strictly] {
        let service = GitHubService::start();
        service.set_checks(checks);
        let mut job = store(&service, &[(MAIN, 3)], impatient());
        for flip in 0..flips() {
            // A new one does not know yet what the storage checks.
            if flip % 17 == 0 {
                job = store(&service, &[(MAIN, 3)], impatient());
            }
            arm(&service, flip);
            let key = format!("k{flip}");
            let saved = save(&job, &key, &bytes).await.expect("saved");
            assert!(matches!(saved, Commit::Created { is_checked: true, .. }), "{checks:?}, flip {flip}");
            let found = restore(&job, &key).await.expect("restored");
            assert!(found.is_some_and(|found| found == bytes), "{checks:?}, flip {flip}: the bytes differ");
        }
    }
}

/// The same flips become part of the entry, which is why all of it is then read back.
#[tokio::test]
async fn a_storage_that_checks_nothing_is_known_by_its_answers() {
    let bytes = payload(LENGTH);
    let service = GitHubService::start();
    service.set_checks(Checks::Nothing);
    let mut damaged = 0;
    for flip in 0..20 {
        let (told, options) = told_with(impatient());
        let job = store(&service, &[(MAIN, 3)], options);
        // The first requests ask whether it knows CRC-64, and are sent again.
        service.fail_next(Point::PutBlock, std::iter::repeat_n(Fault::Flip(flip * 100_003), 8));
        let key = format!("k{flip}");
        let saved = save(&job, &key, &bytes).await.expect("saved");
        assert!(matches!(saved, Commit::Created { is_checked: false, .. }), "flip {flip}");
        let said = told.all();
        assert!(said.contains("blocks are sent with MD5") && said.contains("do not show"), "{said}");
        let found = restore(&job, &key).await.expect("restored");
        damaged += usize::from(found.is_some_and(|found| found != bytes));
    }
    assert_eq!(damaged, 20);
}

#[tokio::test]
async fn parts_are_read_of_the_entry_that_was_created() {
    let bytes = payload(LENGTH);
    let service = GitHubService::start();
    let job = store(&service, &[(MAIN, 3)], impatient());
    let Commit::Created { entry, .. } = save(&job, "k", &bytes).await.expect("saved") else {
        panic!("it is there")
    };
    let length = LENGTH as u64;
    let parts = [0..0, 0..10, 65_530..65_600, length - 10..length];
    let read = job.read_parts(&entry, &parts).await.expect("read");
    assert_eq!(read[..3], [&bytes[..0], &bytes[..10], &bytes[65_530..65_600]]);
    assert_eq!(read[3], bytes[LENGTH - 10..]);
    // It has another size than was written.
    let other =
        cachekeep::domain::entry::Entry { size: cachekeep::domain::unit::ByteSize(7), ..entry.clone() };
    let error = job.read_parts(&other, &[0..3, 3..7]).await.expect_err("refused");
    assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    service.replace_blob(b"another entry");
    let error = job.read_parts(&entry, &parts).await.expect_err("refused");
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
    assert_eq!(named("k").key, entry.key);
}
