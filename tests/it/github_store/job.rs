//! A job's view of the fake service.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use cachekeep::domain::entry::LookupRequest;
use cachekeep::domain::event::{Event, Observer};
use cachekeep::domain::key::Key;
use cachekeep::domain::scope::Scope;
use cachekeep::domain::version::Version;
use cachekeep::parts::BlockOptions;
use cachekeep::parts::Credentials;
use cachekeep::parts::Env;
use cachekeep::parts::FetchOptions;
use cachekeep::parts::RangeOptions;
use cachekeep::parts::Timeouts;
use cachekeep::parts::{Clock, RetryPolicy};
use cachekeep::store::{Commit, GitHubOptions, GitHubStore, NewEntry, Store as _, StoreError, StoreExt as _};
use tokio_util::sync::CancellationToken;

use cachekeep_test_support::github_service::signing::now;
use cachekeep_test_support::github_service::{GitHubService, capture};

pub const MAIN: &str = "refs/heads/main";

/// Messages that a job received beside its errors.
#[derive(Default)]
pub struct Told(Mutex<Vec<String>>);

impl Told {
    pub fn all(&self) -> String {
        self.0.lock().expect("no panic").join("\n")
    }
}

impl Observer for Told {
    fn observe(&self, event: Event) {
        if let Event::Message { text, hint, .. } = event {
            let text = format!("{text}; {}", hint.unwrap_or_default());
            capture::text("told", &text);
            self.0.lock().expect("no panic").push(text);
        }
    }
}

/// Short waits between tries, and blocks and ranges of 64 KiB so that small entries have many. Silence and slowness
/// are borne for longer than a busy machine keeps anyone waiting.
pub fn impatient() -> GitHubOptions {
    hasty(Duration::from_mins(1), Duration::from_mins(1))
}

/// The same, with times for silence and slowness that a test waits for.
pub fn hasty(idle: Duration, speed_window: Duration) -> GitHubOptions {
    GitHubOptions {
        timeouts: Timeouts { connect: Duration::from_secs(10), idle, least_speed: 20_000, speed_window },
        fetch: FetchOptions {
            accept: None,
            retry: RetryPolicy {
                attempts: 4,
                first_wait: Duration::from_millis(10),
                longest_wait: Duration::from_millis(50),
                longest_requested_wait: Duration::from_secs(2),
            },
            deadline: None,
            clock: Clock::starting_at(now()),
            digest_is_checked: false,
            cancel: CancellationToken::new(),
        },
        time_limit: Some(Duration::from_mins(2)),
        blocks: BlockOptions { block_size: 64 << 10, in_flight: 3, ..BlockOptions::default() },
        ranges: RangeOptions { range_size: 64 << 10, in_flight: 3 },
        observer: None,
    }
}

pub fn credentials(url: &str, token: &str) -> Credentials {
    let env = Env::of([("ACTIONS_RUNTIME_TOKEN", token), ("ACTIONS_RESULTS_URL", url)]);
    Credentials::from_env(&env, now()).expect("usable credentials")
}

pub fn store(service: &GitHubService, scopes: &[(&str, u8)], options: GitHubOptions) -> GitHubStore {
    let credentials = credentials(&service.url(), &GitHubService::token(scopes));
    GitHubStore::new(credentials, options).expect("a client")
}

pub fn version() -> Version {
    Version::of_roots([".cachekeep/x"])
}

pub fn named(key: &str) -> NewEntry {
    let scope = Scope::new(MAIN).expect("a scope");
    NewEntry { scope, key: Key::new(key).expect("a key"), version: version() }
}

pub fn request(key: &str, restore_keys: &[&str]) -> LookupRequest {
    LookupRequest {
        exact: false,
        key: Key::new(key).expect("a key"),
        restore_keys: restore_keys.iter().map(|key| Key::new(*key).expect("a key")).collect(),
        version: version(),
        scopes: vec![Scope::new(MAIN).expect("a scope")],
    }
}

/// Bytes that repeat nowhere, so that swapped parts are seen.
pub fn payload(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(length);
    bytes
}

/// Saves bytes in chunks that fit no block.
pub async fn save(store: &GitHubStore, key: &str, bytes: &[u8]) -> Result<Commit, StoreError> {
    let mut writer = store.create(named(key)).await?;
    for chunk in bytes.chunks(50_001) {
        if let Err(error) = writer.write(Bytes::copy_from_slice(chunk)).await {
            writer.abort().await;
            return Err(error);
        }
    }
    writer.commit().await
}

/// Looks an entry up and reads it.
pub async fn restore(store: &GitHubStore, key: &str) -> Result<Option<Bytes>, StoreError> {
    match store.lookup(&request(key, &[])).await? {
        Some(entry) => store.get(&entry).await.map(Some),
        None => Ok(None),
    }
}

/// An error with its causes.
pub fn whole(error: &StoreError) -> String {
    let first: &dyn std::error::Error = error;
    let causes: Vec<String> =
        std::iter::successors(Some(first), |error| error.source()).map(ToString::to_string).collect();
    let text = causes.join(": ");
    capture::text("error", &format!("{text}\n{error:?}"));
    text
}

pub fn told() -> (Arc<Told>, GitHubOptions) {
    told_with(impatient())
}

pub fn told_with(options: GitHubOptions) -> (Arc<Told>, GitHubOptions) {
    let told = Arc::new(Told::default());
    let options = GitHubOptions { observer: Some(Arc::clone(&told) as Arc<dyn Observer>), ..options };
    (told, options)
}
