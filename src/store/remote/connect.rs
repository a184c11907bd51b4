//! Opens a store in an object service: the clients of the crate `object_store` and of the uploads, with one credential.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use object_store::ObjectStore;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::domain::event::{Details, Observer};
use crate::domain::object_location::ObjectLocation;
use crate::store::backend::Viewpoint;
use crate::store::contract::Clock;
use crate::store::error::{Access, StoreError, StoreErrorKind};
use crate::transport::http::client::Timeouts;
use crate::transport::http::options::FetchOptions;

use super::azure::AzureBlocks;
use super::credentials::renewal::Issuer;
use super::credentials::{Service, ServiceAccess};
use super::failure::store_error;
use super::gcs::GcsParts;
use super::http::{Renewal, Requests};
use super::objects::Remote;
use super::s3::S3Parts;
use super::signed::{Authority, Signed};
use super::upload::PartService;
use super::{BackendStore, RemoteStore};

/// How the store speaks to its service.
#[derive(Clone)]
pub struct RemoteOptions {
    /// Limits for the steps of one request.
    pub timeouts: Timeouts,
    /// Retries, clock and cancellation.
    pub fetch: FetchOptions,
    /// Where requests and retries are reported.
    pub details: Details,
}

impl RemoteOptions {
    /// The options of a job.
    pub(crate) fn for_job(
        cancel: CancellationToken,
        now: DateTime<Utc>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Self {
        RemoteOptions {
            timeouts: Timeouts::default(),
            fetch: FetchOptions::of_entries(cancel, now),
            details: observer.map_or_else(Details::none, Details::to),
        }
    }
}

/// The two clients of one service, and what makes their requests.
type Clients = (Arc<dyn ObjectStore>, Arc<dyn PartService>, Requests);

impl RemoteStore {
    /// Opens the store at a location. Sends nothing.
    pub fn connect(
        location: &ObjectLocation,
        access: &ServiceAccess,
        view: Viewpoint,
        clock: Clock,
        options: RemoteOptions,
    ) -> Result<Self, StoreError> {
        let place = location.to_string();
        let requests = Requests::new(options.timeouts, options.fetch, options.details).map_err(|error| {
            StoreError::new(StoreErrorKind::Other, format!("cannot open {place}")).caused_by(error)
        })?;
        let clients = clients(location, access, &requests, clock);
        let (objects, uploads, requests) =
            clients.map_err(|error| store_error("open", &place, Access::Read, &error))?;
        let prefix = Path::from(location.prefix.as_str());
        let objects = Arc::new(PrefixStore::new(objects, prefix)) as Arc<dyn ObjectStore>;
        let obeys_conditions = OnceCell::new();
        let remote = Remote { objects, uploads, requests, location: place, clock, obeys_conditions };
        Ok(BackendStore::over(remote, view))
    }
}

fn clients(
    location: &ObjectLocation,
    access: &ServiceAccess,
    requests: &Requests,
    clock: Clock,
) -> object_store::Result<Clients> {
    let container = &location.container;
    let signed = |requests: &Requests, authority, url: &str| {
        Signed::new(requests.clone(), authority, url, &location.prefix, &location.to_string())
    };
    let issuer = Issuer {
        requests: requests.clone().allowing_metadata_addresses(),
        clock,
        mask: access.mask.clone(),
        expiry: access.expiry.clone(),
    };
    match &access.service {
        Service::Azure(access) => {
            let (provider, requests) = renewing(access.issued(issuer), requests);
            let client = access.client(container, &requests, provider)?;
            let credentials = Arc::clone(client.credentials());
            let url = format!("{}/{container}", access.endpoint.trim_end_matches('/'));
            let authority = Authority::Azure { credentials, account: access.account.clone() };
            let uploads = AzureBlocks::new(signed(&requests, authority, &url));
            Ok((Arc::new(client), Arc::new(uploads), requests))
        }
        Service::Aws(access) => {
            let (provider, requests) = renewing(access.issued(issuer), requests);
            let client = access.client(container, &requests, provider)?;
            let credentials = Arc::clone(client.credentials());
            let authority = Authority::Aws { credentials, region: access.region.clone() };
            let uploads = S3Parts::new(signed(&requests, authority, &access.bucket_url));
            Ok((Arc::new(client), Arc::new(uploads), requests))
        }
        Service::Google(access) => {
            let (provider, requests) = renewing(access.issued(issuer), requests);
            let client = access.client(container, &requests, provider)?;
            let authority = Authority::Google(Arc::clone(client.credentials()));
            let url = format!("{}/{container}", access.endpoint);
            let uploads = GcsParts::new(signed(&requests, authority, &url), container);
            Ok((Arc::new(client), Arc::new(uploads), requests))
        }
    }
}

/// The provider of a credential that is issued, and requests that have it issued anew where a service refuses it.
fn renewing<P>(issued: Option<(P, Arc<dyn Renewal>)>, requests: &Requests) -> (Option<P>, Requests) {
    match issued {
        Some((provider, renewal)) => (Some(provider), requests.clone().renewing(renewal)),
        None => (None, requests.clone()),
    }
}
