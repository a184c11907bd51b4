//! A store in a remote service conforms, and what only it can do wrong.

#![expect(clippy::disallowed_methods, reason = "the service in memory reads the clock itself")]

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};

use super::RemoteStore;
use super::failure::store_error;
use crate::store::catalog::Catalog as _;
use crate::store::contract::Clock;
use crate::store::error::{Access, StoreErrorKind};
use crate::store::testing::conformance;

fn clock() -> DateTime<Utc> {
    Utc::now()
}

fn tomorrow() -> DateTime<Utc> {
    Utc::now() + TimeDelta::hours(25)
}

#[tokio::test]
async fn a_store_in_a_service_conforms() {
    conformance::run_catalog(async || seen(&Arc::new(InMemory::new()), clock)).await;
}

#[tokio::test]
async fn a_service_keeps_repositories_apart() {
    conformance::run_divided(async || {
        let objects = Arc::new(InMemory::new());
        conformance::views()
            .map(|view| RemoteStore::new(Arc::clone(&objects) as Arc<dyn ObjectStore>, "memory", view, clock))
    })
    .await;
}

/// The store in this service, as one repository sees it.
fn seen(objects: &Arc<InMemory>, clock: Clock) -> RemoteStore {
    let [view, ..] = conformance::views();
    RemoteStore::new(Arc::clone(objects) as Arc<dyn ObjectStore>, "memory", view, clock)
}

#[tokio::test]
async fn uploads_are_removed_after_a_day() {
    let objects = Arc::new(InMemory::new());
    objects
        .put(&ObjectPath::from("uploads/dead"), PutPayload::from_static(b"dead"))
        .await
        .expect("an object");
    let today = seen(&objects, clock);
    let recovered = today.recover().await.expect("a recovery");
    assert_eq!((recovered.removed, recovered.kept), (0, 1));
    let later = seen(&objects, tomorrow);
    let recovered = later.recover().await.expect("a recovery");
    assert_eq!((recovered.removed, recovered.removed_bytes.0, recovered.kept), (1, 4, 0));
}

#[test]
fn failures_of_the_file_system_are_found_below_those_of_the_crate() {
    let error = |kind: std::io::ErrorKind| {
        let source = std::io::Error::new(kind, "said the system").into();
        let error = object_store::Error::Generic { store: "x", source };
        store_error("read", "/srv/ci/x", Access::Read, error).kind()
    };
    assert_eq!(error(std::io::ErrorKind::PermissionDenied), StoreErrorKind::Denied(Access::Read));
    assert_eq!(error(std::io::ErrorKind::StorageFull), StoreErrorKind::NoSpace);
    assert_eq!(error(std::io::ErrorKind::InvalidData), StoreErrorKind::Other);
}
