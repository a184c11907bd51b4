//! Credentials that expire within minutes or hours: each is exchanged when it is first needed, and anew before it expires.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use object_store::CredentialProvider;
use object_store::client::{HttpRequest, HttpService as _};
use serde::de::DeserializeOwned;

use super::super::http::{Renewal, Requests, ServiceRefusal};
use crate::domain::secret::Secret;
use crate::store::contract::Clock;
use crate::store::error::{Access, StoreErrorKind, causes, kind_of_cause};
use crate::transport::http::error::Cause;

/// How long before it expires a credential is exchanged anew, or half of its lifetime if that is shorter.
const EARLY: TimeDelta = TimeDelta::minutes(5);

/// How long a credential that still holds is used after it could not be exchanged anew, before that is tried again.
const PAUSE: TimeDelta = TimeDelta::seconds(20);

/// A credential as it was issued.
pub(super) struct Issued<C> {
    pub(super) credential: C,
    pub(super) expires_at: DateTime<Utc>,
    /// What must not appear in a log.
    pub(super) secrets: Vec<Secret>,
}

/// How a credential is issued.
#[async_trait]
pub(super) trait Exchange: Send + Sync + 'static {
    type Credential: Send + Sync + 'static;

    /// Issues a new one; whatever proves the identity is asked for again.
    async fn issue(&self, issuer: &Issuer) -> Result<Issued<Self::Credential>, RenewalError>;
}

/// What an exchange works with.
#[derive(Clone)]
pub(in crate::store::remote) struct Issuer {
    pub(in crate::store::remote) requests: Requests,
    pub(in crate::store::remote) clock: Clock,
    pub(in crate::store::remote) mask: Mask,
    pub(in crate::store::remote) expiry: Expiry,
}

/// Has the platform hide a secret in its log. Where it cannot, nothing is done: no secret is printed anyway.
#[derive(Clone, Default)]
pub(crate) struct Mask(Option<Arc<Hide>>);

type Hide = dyn Fn(&Secret) + Send + Sync;

impl Mask {
    pub(crate) fn new(mask: impl Fn(&Secret) + Send + Sync + 'static) -> Self {
        Mask(Some(Arc::new(mask)))
    }

    fn hide(&self, secret: &Secret) {
        if let Some(mask) = &self.0 {
            mask(secret);
        }
    }
}

/// When the credential that was issued last expires; `None` before the first.
#[derive(Clone, Default)]
pub(in crate::store::remote) struct Expiry(Arc<Mutex<Option<DateTime<Utc>>>>);

impl Expiry {
    pub(super) fn get(&self) -> Option<DateTime<Utc>> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, at: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }
}

/// A step of an exchange, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    /// `cannot …`.
    pub(super) action: &'static str,
    /// What helps where the step is refused.
    pub(super) cure: &'static str,
}

/// A credential could not be issued.
#[derive(Debug, thiserror::Error)]
#[error("cannot {}: {reason}", step.action)]
pub(in crate::store::remote) struct RenewalError {
    step: Step,
    reason: String,
    /// `None` if an answer or a file was not what it should be.
    kind: Option<StoreErrorKind>,
}

impl RenewalError {
    /// An answer or a file is not what it should be.
    pub(super) fn unusable(step: Step, reason: impl Into<String>) -> Self {
        RenewalError { step, reason: reason.into(), kind: None }
    }

    fn refused(step: Step, refusal: &ServiceRefusal) -> Self {
        let kind = match refusal.cause {
            // Issuers answer 400 to what they do not accept.
            Cause::Denied(_) | Cause::NotFound | Cause::Status(400..=499) => {
                StoreErrorKind::Denied(Access::Read)
            }
            ref cause => kind_of_cause(cause, Access::Read),
        };
        RenewalError { step, reason: refusal.to_string(), kind: Some(kind) }
    }

    /// The kind of the failure of an operation that needed this right.
    pub(in crate::store::remote) fn kind(&self, access: Access) -> StoreErrorKind {
        match self.kind {
            Some(StoreErrorKind::Denied(_)) | None => StoreErrorKind::Denied(access),
            Some(kind) => kind,
        }
    }

    /// What helps; `None` where the issuer did not answer.
    pub(in crate::store::remote) fn cure(&self) -> Option<String> {
        matches!(self.kind, Some(StoreErrorKind::Denied(_)) | None).then(|| self.step.cure.to_owned())
    }
}

impl Issuer {
    /// Sends a request of an exchange and returns the document that answers it.
    pub(super) async fn ask(&self, step: Step, request: HttpRequest) -> Result<Bytes, RenewalError> {
        let failed = |error: &(dyn std::error::Error + 'static)| match causes(error)
            .find_map(|cause| cause.downcast_ref::<ServiceRefusal>())
        {
            Some(refusal) => RenewalError::refused(step, refusal),
            None => RenewalError::unusable(step, error.to_string()),
        };
        let answer = self.requests.call(request).await.map_err(|error| failed(&error))?;
        let status = answer.status();
        if !status.is_success() {
            return Err(RenewalError::unusable(step, format!("HTTP {}", status.as_u16())));
        }
        answer.into_body().bytes().await.map_err(|error| failed(&error))
    }

    /// When what was issued now for this many seconds expires.
    pub(super) fn expires_in(&self, seconds: u64) -> DateTime<Utc> {
        let lifetime = i64::try_from(seconds).ok().and_then(TimeDelta::try_seconds);
        (self.clock)() + lifetime.unwrap_or(TimeDelta::days(1)).min(TimeDelta::days(1))
    }
}

/// A request of an exchange.
pub(super) fn request(
    step: Step,
    method: http::Method,
    url: &str,
    headers: &[(&str, &str)],
    body: String,
) -> Result<HttpRequest, RenewalError> {
    let mut request = http::Request::builder().method(method).uri(url).header("accept", "application/json");
    for (name, value) in headers {
        let mut value = http::HeaderValue::from_str(value).map_err(|_| {
            RenewalError::unusable(step, "a token contains characters that no header may have")
        })?;
        value.set_sensitive(*name == "authorization");
        request = request.header(*name, value);
    }
    // The text of the error may repeat the address, which may hold a token.
    request.body(body.into()).map_err(|_| RenewalError::unusable(step, "its address is not a URL"))
}

/// The token in an answer of JSON.
pub(super) fn token_in<T: DeserializeOwned>(step: Step, answer: &[u8]) -> Result<T, RenewalError> {
    // The text of a parser's error may repeat what it read.
    serde_json::from_slice(answer).map_err(|_| RenewalError::unusable(step, "the answer holds no token"))
}

/// What issues a credential, and keeps it until it is about to expire.
pub(super) struct Renewing<E: Exchange> {
    exchange: E,
    issuer: Issuer,
    // Held during an exchange: requests that need the credential at once wait for the one exchange.
    held: tokio::sync::Mutex<Option<HeldCredential<E::Credential>>>,
}

struct HeldCredential<C> {
    credential: Arc<C>,
    expires_at: DateTime<Utc>,
    /// From when on it is exchanged anew.
    renew_at: DateTime<Utc>,
    issued: Instant,
}

impl<E: Exchange> Renewing<E> {
    pub(super) fn new(exchange: E, issuer: Issuer) -> Self {
        Renewing { exchange, issuer, held: tokio::sync::Mutex::new(None) }
    }

    async fn current(&self) -> Result<Arc<E::Credential>, RenewalError> {
        let mut held = self.held.lock().await;
        let now = (self.issuer.clock)();
        if let Some(held) = held.as_ref().filter(|held| now < held.renew_at) {
            return Ok(Arc::clone(&held.credential));
        }
        match self.exchange.issue(&self.issuer).await {
            Ok(issued) => {
                issued.secrets.iter().for_each(|secret| self.issuer.mask.hide(secret));
                let lifetime = (issued.expires_at - now).max(TimeDelta::zero());
                let until = issued.expires_at.format("%T UTC");
                self.issuer.requests.details().tell(format_args!("a credential was issued until {until}"));
                self.issuer.expiry.set(issued.expires_at);
                let credential = Arc::new(issued.credential);
                *held = Some(HeldCredential {
                    credential: Arc::clone(&credential),
                    expires_at: issued.expires_at,
                    renew_at: issued.expires_at - EARLY.min(lifetime / 2),
                    issued: Instant::now(),
                });
                Ok(credential)
            }
            Err(error) => match held.as_mut().filter(|held| now < held.expires_at) {
                Some(held) => {
                    self.issuer.requests.details().tell(format_args!("the credential is used on: {error}"));
                    held.renew_at = held.expires_at.min(now + PAUSE);
                    Ok(Arc::clone(&held.credential))
                }
                None => Err(error),
            },
        }
    }
}

#[async_trait]
impl<E: Exchange> Renewal for Renewing<E> {
    async fn refused(&self, at: Instant) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|held| held.issued <= at) {
            *held = None;
        }
    }
}

#[async_trait]
impl<E: Exchange> CredentialProvider for Renewing<E> {
    type Credential = E::Credential;

    async fn get_credential(&self) -> object_store::Result<Arc<E::Credential>> {
        let failed = |error| object_store::Error::Generic { store: "credential", source: Box::new(error) };
        self.current().await.map_err(failed)
    }
}

impl<E: Exchange> fmt::Debug for Renewing<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewing")
    }
}
