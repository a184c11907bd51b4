//! The suite of all stores, at each service. Their clocks count in seconds.

use cachekeep::domain::entry_filter::EntryFilter;
use std::time::Duration;

use cachekeep::store::testing::conformance;
use cachekeep::store::{Catalog as _, Store as _, StoreErrorKind};

use super::service::{Running, fresh_prefix, named, view};

const TICK: Duration = Duration::from_millis(1100);

async fn conforms(service: Running) {
    conformance::with_tick(TICK, async {
        conformance::run_catalog(async || service.store(&fresh_prefix(), view())).await;
        conformance::run_divided(async || {
            let prefix = fresh_prefix();
            conformance::views().map(|view| service.store(&prefix, view))
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_at_azurite_conforms() {
    if let Some(service) = Running::azurite() {
        conforms(service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_at_versitygw_conforms() {
    if let Some(service) = Running::versitygw() {
        conforms(service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_at_the_fake_of_google_conforms() {
    conforms(Running::gcs()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_ignores_conditions_is_not_written_to() {
    let Some(service) = Running::s3rver() else { return };
    let store = service.store("x", view());
    let error = store.create(named("k")).await.err().expect("it is refused");
    assert_eq!(error.kind(), StoreErrorKind::Unsupported);
    assert!(error.to_string().contains("overwrites an object"), "{error}");
    // Reading goes on.
    assert_eq!(store.list(&EntryFilter::default()).await.expect("a list"), []);
}
