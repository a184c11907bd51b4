//! Entries larger than memory would like, in bounded memory, in memory of the fake and through Azurite.

use bytes::Bytes;
use cachekeep::parts::BlockOptions;
use cachekeep::parts::RangeOptions;
use cachekeep::store::{Commit, Store as _};
use futures::TryStreamExt as _;

use crate::github_store::job::{MAIN, impatient, named, payload, request, restore, save, store};
use cachekeep_test_support::github_service::{GitHubService, Point};
use cachekeep_test_support::skip::skip;

#[tokio::test]
async fn entries_of_every_size_around_a_block_come_back() {
    let service = GitHubService::start();
    let job = store(&service, &[(MAIN, 3)], impatient());
    let block = 64 << 10;
    for length in [0, 1, block - 1, block, block + 1, 3 * block, 3 * block + 7] {
        let key = format!("k-{length}-");
        let bytes = payload(length);
        let Commit::Created { entry, .. } = save(&job, &key, &bytes).await.expect("saved") else {
            panic!("the name was free");
        };
        assert_eq!(entry.size.0, length as u64);
        assert!(restore(&job, &key).await.expect("restored").is_some_and(|found| found == bytes), "{length}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_blob_service_takes_and_gives_an_entry_in_parallel_parts() {
    let service = match GitHubService::start_with_azurite() {
        Ok(service) => service,
        Err(reason) => {
            return skip("a_real_blob_service_takes_and_gives_an_entry_in_parallel_parts", &reason);
        }
    };
    let options = cachekeep::store::GitHubOptions {
        timeouts: cachekeep::parts::Timeouts::default(),
        time_limit: None,
        blocks: BlockOptions { block_size: 1 << 20, in_flight: 4, ..BlockOptions::default() },
        ranges: RangeOptions { range_size: 1 << 20, in_flight: 4 },
        ..impatient()
    };
    let job = store(&service, &[(MAIN, 3)], options);
    let chunk = Bytes::from(payload(300_007));
    let mut writer = job.create(named("large")).await.expect("an upload");
    for _ in 0..100 {
        writer.write(chunk.clone()).await.expect("a write");
    }
    let Commit::Created { entry: created, .. } = writer.commit().await.expect("a commit") else {
        panic!("the name was free")
    };
    assert_eq!(created.size.0, 30_000_700);
    assert_eq!(save(&job, "large", &payload(10)).await.expect("an answer"), Commit::Exists);

    let found = job.lookup(&request("large", &[])).await.expect("an answer").expect("an entry");
    assert_eq!(found, created, "a lookup says the same as the commit");
    let mut stream = job.read(&found).await.expect("a stream");
    let mut position = 0;
    while let Some(part) = stream.try_next().await.expect("a part") {
        for byte in part {
            assert!(byte == chunk[position % chunk.len()], "byte {position} differs");
            position += 1;
        }
    }
    assert_eq!(position, 30_000_700);
    assert_eq!(service.count(Point::Finalize), 1);

    // What was signed in the past is refused by Azurite itself.
    let (hour, past) = (chrono::TimeDelta::hours(1), chrono::TimeDelta::minutes(-20));
    service.sign_for(past, hour);
    let error = save(&job, "late", &payload(10)).await.expect_err("expired");
    assert!(crate::github_store::job::whole(&error).contains("no longer accepts the signed URL"));
    service.sign_for(hour, past);
    let error = restore(&job, "large").await.expect_err("expired");
    assert!(
        crate::github_store::job::whole(&error).contains("accepts no signed URL"),
        "{}",
        crate::github_store::job::whole(&error)
    );
}
