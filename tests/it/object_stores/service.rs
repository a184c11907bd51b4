//! The services, and stores in them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cachekeep::domain::entry::LookupRequest;
use cachekeep::domain::key::Key;
use cachekeep::domain::object_location::{ObjectLocation, ObjectService};
use cachekeep::domain::scope::Scope;
use cachekeep::domain::version::Version;
use cachekeep::parts::{Clock, Env, FetchOptions, RetryPolicy, Timeouts};
use cachekeep::store::remote::credentials::ServiceAccess;
use cachekeep::store::{NewEntry, RemoteOptions, RemoteStore, Viewpoint};
use cachekeep_test_support::capture::secret;
use cachekeep_test_support::github_service::azurite::Azurite;
use cachekeep_test_support::github_service::signing::{ACCOUNT, ACCOUNT_KEY};
use cachekeep_test_support::object_services::real::{BUCKET, Variables};
use cachekeep_test_support::object_services::{Gcs, S3rver, Versitygw};
use cachekeep_test_support::skip;
use tokio_util::sync::CancellationToken;

/// A running service.
pub enum Running {
    Azurite(Azurite),
    Versitygw(Versitygw),
    S3rver(S3rver),
    Gcs(Gcs),
}

impl Running {
    pub fn azurite() -> Option<Self> {
        Azurite::start(BUCKET).map(Running::Azurite).map_err(|why| skip("a test with Azurite", &why)).ok()
    }

    pub fn versitygw() -> Option<Self> {
        Versitygw::start().map(Running::Versitygw).map_err(|why| skip("a test with versitygw", &why)).ok()
    }

    pub fn s3rver() -> Option<Self> {
        S3rver::start().map(Running::S3rver).map_err(|why| skip("a test with s3rver", &why)).ok()
    }

    pub fn gcs() -> Self {
        Running::Gcs(Gcs::start())
    }

    pub fn port(&self) -> u16 {
        match self {
            Running::Azurite(azurite) => azurite.port,
            Running::Versitygw(gateway) => gateway.port,
            Running::Gcs(gcs) => gcs.port(),
            Running::S3rver(_) => unreachable!("it has no front"),
        }
    }

    /// The variables of a step that uses it at a port: its own, or that of a front.
    pub fn variables_at(&self, port: u16) -> Variables {
        match self {
            Running::Azurite(_) => {
                secret("account key", ACCOUNT_KEY);
                let text = format!(
                    "AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
                );
                vec![("AZURE_STORAGE_CONNECTION_STRING", text)]
            }
            Running::Versitygw(_) => Versitygw::variables(port),
            Running::S3rver(service) => service.variables(),
            Running::Gcs(_) => Gcs::variables(port),
        }
    }

    pub fn variables(&self) -> Variables {
        match self {
            Running::S3rver(service) => service.variables(),
            _ => self.variables_at(self.port()),
        }
    }

    /// The location of a store with this prefix.
    pub fn location(&self, prefix: &str) -> ObjectLocation {
        let service = match self {
            Running::Azurite(_) => ObjectService::Azure { account: ACCOUNT.to_owned() },
            Running::Versitygw(_) | Running::S3rver(_) => ObjectService::S3,
            Running::Gcs(_) => ObjectService::Gcs,
        };
        ObjectLocation { service, container: BUCKET.to_owned(), prefix: prefix.to_owned() }
    }

    /// A store with this prefix, as seen from one repository, at a port: that of the service or of a front.
    pub fn store_at(&self, prefix: &str, view: Viewpoint, port: u16) -> RemoteStore {
        self.store_with_clock(prefix, view, port, chrono::Utc::now)
    }

    pub fn store_with_clock(
        &self,
        prefix: &str,
        view: Viewpoint,
        port: u16,
        clock: cachekeep::store::Clock,
    ) -> RemoteStore {
        let location = self.location(prefix);
        let variables = match self {
            Running::S3rver(_) => self.variables(),
            _ => self.variables_at(port),
        };
        store_of(&location, &variables, view, clock, impatient())
    }

    pub fn store(&self, prefix: &str, view: Viewpoint) -> RemoteStore {
        let port = if matches!(self, Running::S3rver(_)) { 0 } else { self.port() };
        self.store_at(prefix, view, port)
    }
}

/// A store that these variables open.
pub fn store_of(
    location: &ObjectLocation,
    variables: &Variables,
    view: Viewpoint,
    clock: cachekeep::store::Clock,
    options: RemoteOptions,
) -> RemoteStore {
    let env = Env::of(variables.iter().map(|(name, value)| (*name, value.as_str())));
    let access = ServiceAccess::find(location, &env).expect("a credential");
    RemoteStore::connect(location, &access, view, clock, options).expect("a store")
}

/// A prefix that no other store of this process has.
pub fn fresh_prefix() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("a/store.{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Four attempts 10 to 50 ms apart, 0.5 s without a byte.
pub fn impatient() -> RemoteOptions {
    RemoteOptions {
        timeouts: Timeouts { idle: Duration::from_millis(500), ..Timeouts::default() },
        fetch: FetchOptions {
            retry: RetryPolicy {
                attempts: 4,
                first_wait: Duration::from_millis(20),
                longest_wait: Duration::from_millis(50),
                longest_requested_wait: Duration::from_secs(2),
            },
            deadline: None,
            clock: Clock::starting_at(chrono::Utc::now()),
            accept: None,
            digest_is_checked: false,
            cancel: CancellationToken::new(),
        },
        details: cachekeep::domain::event::Details::none(),
    }
}

/// The same without a fault to wait for: 30 s without a byte, so that a busy machine repeats no request.
pub fn patient() -> RemoteOptions {
    RemoteOptions { timeouts: Timeouts::default(), ..impatient() }
}

/// The repository that most tests look from.
pub fn view() -> Viewpoint {
    let [view, ..] = cachekeep::store::testing::conformance::views();
    view
}

/// An entry of `main` with this key.
pub fn named(key: &str) -> NewEntry {
    NewEntry {
        scope: Scope::new("main").expect("a scope"),
        key: Key::new(key).expect("a key"),
        version: Version::of_roots(["a"]),
    }
}

/// A lookup of that entry.
pub fn request(key: &str) -> LookupRequest {
    let NewEntry { scope, key, version } = named(key);
    LookupRequest { exact: true, key, restore_keys: Vec::new(), version, scopes: vec![scope] }
}
