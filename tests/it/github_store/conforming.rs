//! The suite of all stores. The service neither lists nor deletes, and does not report the scope of
//! an entry: here the fake does, in the place of GitHub's REST API.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use cachekeep::domain::entry::{Entry, EntryId, LookupRequest};
use cachekeep::domain::key::Key;
use cachekeep::domain::scope::Scope;
use cachekeep::domain::unit::ByteSize;
use cachekeep::domain::version::Version;
use cachekeep::parts::BlockOptions;
use cachekeep::parts::RangeOptions;
use cachekeep::store::testing::conformance;
use cachekeep::store::{
    Access, Commit, EntryStream, EntryWriter, GitHubOptions, GitHubStore, NewEntry, Store, StoreError,
    StoreErrorKind, StoreExt as _,
};
use chrono::DateTime;

use crate::github_store::job::{
    MAIN, credentials, impatient, named, payload, request, save, store, told, whole,
};
use cachekeep_test_support::github_service::blobs::Facts;
use cachekeep_test_support::github_service::{GitHubService, Kept, Point};

/// Jobs of every scope, and the entries of the service.
struct Repository {
    service: GitHubService,
    jobs: Mutex<HashMap<String, GitHubStore>>,
}

impl Repository {
    fn new() -> Self {
        Repository { service: GitHubService::start(), jobs: Mutex::default() }
    }

    /// A job that reads these scopes and writes the first.
    fn job(&self, scopes: &[Scope]) -> GitHubStore {
        let rights: Vec<(&str, u8)> = scopes
            .iter()
            .enumerate()
            .map(|(n, scope)| (scope.as_str(), if n == 0 { 3 } else { 1 }))
            .collect();
        let token = GitHubService::token(&rights);
        let options = GitHubOptions {
            blocks: BlockOptions::default(),
            ranges: RangeOptions { range_size: 100_000, in_flight: 4 },
            ..impatient()
        };
        let mut jobs = self.jobs.lock().expect("no panic");
        let make = || GitHubStore::new(credentials(&self.service.url(), &token), options).expect("a client");
        jobs.entry(format!("{scopes:?}")).or_insert_with(make).clone()
    }

    fn entries(&self) -> Vec<Entry> {
        self.service.entries().iter().map(|(kept, facts)| entry(kept, facts)).collect()
    }
}

fn entry(kept: &Kept, facts: &Facts) -> Entry {
    Entry {
        id: EntryId(facts.etag.clone()),
        scope: Scope::new(&kept.scope).expect("a scope"),
        key: Key::new(&kept.key).expect("a key"),
        version: Version::parse(&kept.version).expect("a version"),
        created_at: DateTime::parse_from_rfc2822(&facts.last_modified).expect("a date").into(),
        last_used_at: None,
        size: ByteSize(facts.size),
    }
}

#[async_trait]
impl Store for Repository {
    fn location(&self) -> String {
        self.service.url()
    }

    async fn lookup(&self, request: &LookupRequest) -> Result<Option<Entry>, StoreError> {
        let found = self.job(&request.scopes).lookup(request).await?;
        Ok(found.map(|found| {
            let known = self.entries().into_iter().find(|entry| entry.id == found.id).expect("it is there");
            let scope = if found.scope.is_certain() { found.scope.clone() } else { known.scope };
            Entry { scope, ..found }
        }))
    }

    async fn read(&self, entry: &Entry) -> Result<EntryStream, StoreError> {
        self.job(std::slice::from_ref(&entry.scope)).read(entry).await
    }

    async fn create(&self, new: NewEntry) -> Result<Box<dyn EntryWriter>, StoreError> {
        self.job(std::slice::from_ref(&new.scope)).create(new).await
    }

    async fn note_use(&self, entry: &Entry) {
        self.job(std::slice::from_ref(&entry.scope)).note_use(entry).await;
    }
}

#[tokio::test]
async fn the_github_store_conforms() {
    conformance::run(async || Repository::new()).await;
}

#[tokio::test]
async fn an_entry_that_was_deleted_or_replaced_is_not_read() {
    let repository = Repository::new();
    let before = match repository.put(named("a"), payload(100).into()).await.expect("saved") {
        Commit::Created { entry, .. } => entry,
        Commit::Exists => panic!("the repository was empty"),
    };
    assert!(repository.service.delete(&before.id.0));
    let error = repository.read(&before).await.err().expect("it has vanished");
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
    assert_eq!(repository.lookup(&request("a", &[])).await.expect("an answer"), None);

    tokio::time::sleep(conformance::TICK).await;
    let successor = match repository.put(named("a"), payload(101).into()).await.expect("saved") {
        Commit::Created { entry, .. } => entry,
        Commit::Exists => panic!("the entry was deleted"),
    };
    assert_ne!(before.id, successor.id);
    let error = repository.read(&before).await.err().expect("it has vanished");
    assert_eq!(error.kind(), StoreErrorKind::NotFound);
    assert_eq!(repository.get(&successor).await.expect("an entry"), payload(101));
}

#[tokio::test]
async fn a_job_reads_its_own_scope_first_and_is_not_told_where_it_found() {
    let service = GitHubService::start();
    let job = |scopes: &[(&str, u8)]| store(&service, scopes, impatient());
    let topic = "refs/heads/topic";
    save(&job(&[(MAIN, 3)]), "a-1", b"main").await.expect("saved");
    let both = job(&[(topic, 3), (MAIN, 1)]);
    let found = both.lookup(&request("a-9", &["a-"])).await.expect("an answer").expect("an entry");
    assert_eq!((found.key.as_str(), found.scope.is_certain()), ("a-1", false));
    assert_eq!(found.scope.as_str(), "refs/heads/topic or refs/heads/main");
    let only = job(&[(MAIN, 1)]).lookup(&request("a-1", &[])).await.expect("an answer").expect("an entry");
    assert_eq!(only.scope.as_str(), MAIN);
    assert_eq!(job(&[("refs/heads/other", 3)]).lookup(&request("a-1", &[])).await.expect("an answer"), None);
}

#[tokio::test]
async fn what_the_token_does_not_allow_is_refused_before_any_request() {
    let service = GitHubService::start();
    let reader = store(&service, &[(MAIN, 1)], impatient());
    let error = reader.create(named("a")).await.map(drop).expect_err("refused");
    assert_eq!(error.kind(), StoreErrorKind::Denied(Access::Write));
    assert!(whole(&error).contains("does not allow caches to be saved in any scope"), "{}", whole(&error));

    let elsewhere = store(&service, &[("refs/heads/topic", 3), (MAIN, 1)], impatient());
    let error = elsewhere.create(named("a")).await.map(drop).expect_err("refused");
    assert_eq!(error.kind(), StoreErrorKind::Denied(Access::Write));
    assert!(
        whole(&error).contains("writes to refs/heads/topic, not to refs/heads/main"),
        "{}",
        whole(&error)
    );

    let writer = store(&service, &[(MAIN, 2)], impatient());
    let error = writer.lookup(&request("a", &[])).await.map(drop).expect_err("refused");
    assert_eq!(error.kind(), StoreErrorKind::Denied(Access::Read));

    assert_eq!([Point::Create, Point::Lookup].map(|point| service.count(point)), [0, 0]);
}

#[tokio::test]
async fn a_name_is_reserved_with_the_first_full_block_and_a_reservation_left_behind_is_told() {
    let service = GitHubService::start();
    let (told, options) = told();
    let job = store(&service, &[(MAIN, 3)], options);
    let mut small = job.create(named("small")).await.expect("an upload");
    small.write(payload(60_000).into()).await.expect("a write");
    drop(small);
    assert_eq!((service.count(Point::Create), told.all().as_str()), (0, ""));

    let mut large = job.create(named("large")).await.expect("an upload");
    large.write(payload(70_000).into()).await.expect("a write");
    assert_eq!(service.reservations(), 1);
    large.abort().await;
    assert!(
        told.all().contains("`large`: the upload was not finished and the name stays reserved"),
        "{}",
        told.all()
    );

    // The next save of the key reports the conflict.
    let error = save(&job, "large", &payload(200_000)).await.expect_err("the name is taken");
    assert_eq!(error.kind(), StoreErrorKind::Exists);
    assert!(told.all().contains("`large` is reserved and no entry of it is served"), "{}", told.all());
}
