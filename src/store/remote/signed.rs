//! Signed requests for the objects of a store, which the crate `object_store` does not make itself.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use object_store::aws::{AwsAuthorizer, AwsCredentialProvider};
use object_store::azure::{AzureAuthorizer, AzureCredentialProvider};
use object_store::client::{HttpError, HttpRequest, HttpService as _};
use object_store::gcp::GcpCredentialProvider;
use object_store::path::Path;
use reqwest::Method;

use crate::domain::event::Details;
use crate::store::error::{Access, StoreError, StoreErrorKind};

use super::failure::{http_error, store_error};
use super::http::Requests;

/// The name of the metadata in which an object carries the mark of its upload; one word, which every service takes.
pub(super) const MARK: &str = "cachekeepupload";

/// What signs a request. Credentials are asked for with each: they are renewed while an upload runs.
#[derive(Clone)]
pub(super) enum Authority {
    Azure { credentials: AzureCredentialProvider, account: String },
    Aws { credentials: AwsCredentialProvider, region: String },
    Google(GcpCredentialProvider),
}

/// Makes signed requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Signed(Arc<Container>);

struct Container {
    requests: Requests,
    authority: Authority,
    /// The URL of the container or bucket, without a slash at its end.
    url: String,
    /// What precedes the path of every object of the store.
    prefix: String,
    /// The location of the store, for messages.
    location: String,
}

/// An answer: its status, its headers and all of its body.
pub(super) type SignedResponse = http::Response<Bytes>;

impl Signed {
    /// Requests to the container with this URL.
    pub(super) fn new(
        requests: Requests,
        authority: Authority,
        url: &str,
        prefix: &str,
        location: &str,
    ) -> Self {
        let (url, prefix) = (url.trim_end_matches('/').to_owned(), prefix.to_owned());
        Signed(Arc::new(Container { requests, authority, url, prefix, location: location.to_owned() }))
    }

    /// An object, for messages.
    pub(super) fn place(&self, path: &Path) -> String {
        format!("{}/{path}", self.0.location)
    }

    /// The name of an object in its container, encoded as a part of a URL.
    pub(super) fn key(&self, path: &Path) -> String {
        let whole =
            if self.0.prefix.is_empty() { path.to_string() } else { format!("{}/{path}", self.0.prefix) };
        whole.split('/').map(encoded).collect::<Vec<_>>().join("/")
    }

    /// The prefix of the store's objects in their container.
    pub(super) fn prefix(&self) -> &str {
        &self.0.prefix
    }

    /// Where details are reported.
    pub(super) fn details(&self) -> &Details {
        self.0.requests.details()
    }

    /// The URL of an object, or with `None` of the container.
    pub(super) fn url(&self, path: Option<&Path>) -> String {
        match path {
            Some(path) => format!("{}/{}", self.0.url, self.key(path)),
            None => self.0.url.clone(),
        }
    }

    /// Signs and sends a request; `action` and `path` are for the message of an error. Statuses that have a meaning of
    /// their own are left to the caller.
    pub(super) async fn send(
        &self,
        action: &str,
        path: &Path,
        (method, url): (Method, String),
        headers: &[(&'static str, &str)],
        body: Bytes,
    ) -> Result<SignedResponse, StoreError> {
        let place = self.place(path);
        let failed = |error: HttpError| http_error(action, &place, Access::Write, &error);
        let unsent = |error: object_store::Error| store_error(action, &place, Access::Write, &error);
        let mut is_renewed = false;
        let answer = loop {
            let mut request = http::Request::builder().method(method.clone()).uri(&url);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            // Azure signs it.
            let request = request.header("content-length", body.len()).body(body.clone().into());
            let mut request: HttpRequest = request.map_err(|error| {
                StoreError::new(StoreErrorKind::Other, format!("cannot {action} {place}")).caused_by(error)
            })?;
            let begun = Instant::now();
            self.authorize(&mut request).await.map_err(unsent)?;
            let requests = &self.0.requests;
            let error = match requests.call(request).await {
                Ok(answer) => break answer,
                Err(error) => error,
            };
            // A clock of this machine that is late makes a credential seem valid for longer than it is.
            match requests.refusal_of_credential(&error).filter(|_| !is_renewed) {
                Some(refusal) => requests.renew_credential(&refusal, begun).await,
                None => return Err(failed(error)),
            }
            is_renewed = true;
        };
        let (head, body) = answer.into_parts();
        Ok(http::Response::from_parts(head, body.bytes().await.map_err(failed)?))
    }

    async fn authorize(&self, request: &mut HttpRequest) -> object_store::Result<()> {
        match &self.0.authority {
            Authority::Azure { credentials, account } => {
                AzureAuthorizer::new(&*credentials.get_credential().await?, account).try_authorize(request)
            }
            // It signs the SHA-256 of the body, which the service verifies.
            Authority::Aws { credentials, region } => {
                AwsAuthorizer::new(&*credentials.get_credential().await?, "s3", region)
                    .try_authorize(request, None)
            }
            Authority::Google(credentials) => {
                let token = format!("Bearer {}", credentials.get_credential().await?.bearer);
                let mut token = HeaderValue::from_str(&token)
                    .map_err(|error| object_store::Error::Generic { store: "GCS", source: error.into() })?;
                token.set_sensitive(true);
                request.headers_mut().insert(AUTHORIZATION, token);
                Ok(())
            }
        }
    }
}

/// Text as one part of a URL's path or query.
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// What a service answered where it should not have.
pub(super) fn unexpected(action: &str, place: &str, answer: &SignedResponse) -> StoreError {
    let message = format!("cannot {action} {place}: HTTP {}", answer.status().as_u16());
    StoreError::new(StoreErrorKind::Other, message)
}
