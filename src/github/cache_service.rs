//! A client of GitHub's cache service v2: three Twirp methods, JSON over POST (actions/toolkit, `cache.proto`).

use std::time::Instant;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::{Deserialize, Serialize};

use crate::domain::key::Key;
use crate::domain::secret::Secret;
use crate::domain::version::Version;
use crate::transport::answer::answer;
use crate::transport::http::address;
use crate::transport::http::attempts::Attempts;
use crate::transport::http::client::Client;
use crate::transport::http::error::Cause;
use crate::transport::http::options::FetchOptions;

use super::error::{Right, ServiceError, ServiceErrorKind};
use super::redaction::redacted;

const PATH: &str = "/twirp/github.actions.results.api.v1.CacheService/";

/// Maximum size of a response in bytes: keys and signed URLs are short.
const MAX_RESPONSE: usize = 256 << 10;

/// A client of the cache service with the token of a job. Cheap to clone.
#[derive(Clone)]
pub struct CacheService {
    client: Client,
    service: Url,
    token: Secret,
    options: FetchOptions,
}

/// The result of reserving a key and version.
#[derive(Debug)]
pub enum Reservation {
    /// The key is reserved for this job, also if the URL that the archive is uploaded to is not valid.
    Reserved(Result<SignedUrl, ServiceError>),
    /// An entry or another reservation exists.
    Exists {
        /// The message of the service.
        said: String,
        /// Whether a response to the same request was lost before, so that the reservation may be this job's own.
        perhaps_our_own: bool,
    },
}

/// The download of an entry.
#[derive(Debug)]
pub(crate) struct Download {
    /// Its key.
    pub key: Key,
    /// The URL of its archive.
    pub url: SignedUrl,
}

/// A signed URL that grants temporary access to one blob.
#[derive(Clone)]
pub struct SignedUrl(Url);

impl SignedUrl {
    fn parse(text: &str) -> Result<Self, ServiceErrorKind> {
        let is_not_valid = |why: String| malformed(&format!("the signed URL is not valid: {why}"));
        let url = Url::parse(text).map_err(|error| is_not_valid(error.to_string()))?;
        address::check(&url).map_err(|refusal| is_not_valid(refusal.to_string()))?;
        Ok(SignedUrl(url))
    }

    /// The URL with its signature, for the code that sends requests to it.
    pub(crate) fn expose(self) -> Url {
        self.0
    }
}

impl std::fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SignedUrl").field(&address::shown(&self.0)).finish()
    }
}

/// The response to a request, and whether an earlier response to it was lost.
struct Answered<T> {
    answer: Result<T, Refused>,
    lost_before: bool,
}

/// An HTTP error status that is not retried.
struct Refused {
    status: StatusCode,
    refusal: RefusalMessage,
}

impl CacheService {
    /// A client of the service at this URL, whose path is ignored.
    pub fn new(client: Client, service: Url, token: Secret, options: FetchOptions) -> Self {
        CacheService { client, service, token, options }
    }

    /// The same client with another deadline for its requests.
    #[must_use]
    pub(crate) fn until(&self, deadline: Option<Instant>) -> Self {
        CacheService { options: FetchOptions { deadline, ..self.options.clone() }, ..self.clone() }
    }

    /// The URL of the service, without secrets.
    pub(crate) fn address(&self) -> String {
        address::shown(&self.service)
    }

    /// Reserves a key and version in the scope that the token writes. A reservation that is never finalized blocks the
    /// key for every job.
    pub async fn reserve(&self, key: &Key, version: &Version) -> Result<Reservation, ServiceError> {
        const METHOD: &str = "CreateCacheEntry";
        let request = CreateRequest { key: key.as_str(), version: version.as_str() };
        let Answered { answer, lost_before } = self.call::<_, CreateResponse>(METHOD, &request).await?;
        let exists = |said| Reservation::Exists { said, perhaps_our_own: lost_before };
        match answer {
            Ok(response) if response.ok && !response.signed_upload_url.is_empty() => {
                Ok(Reservation::Reserved(self.signed(&response.signed_upload_url)))
            }
            Ok(response) if response.ok => Err(self.failed(METHOD, malformed("no upload URL"))),
            Ok(response) if means_exists(&response.message) => Ok(exists(self.shown(&response.message))),
            // The service reports a conflict with an empty message.
            Ok(response) if response.message.trim().is_empty() => Ok(exists(String::new())),
            Ok(response) => Err(self.failed(METHOD, self.denial(&response.message, Right::Write, None))),
            Err(refused)
                if refused.status == StatusCode::CONFLICT || refused.refusal.code == "already_exists" =>
            {
                Ok(exists(self.shown(&refused.refusal.msg)))
            }
            Err(refused) => Err(self.failed(METHOD, self.refused(refused, Right::Write))),
        }
    }

    /// Makes a reserved entry visible after `size` bytes were uploaded. Returns its identifier.
    pub(crate) async fn finalize(
        &self,
        key: &Key,
        version: &Version,
        size: u64,
    ) -> Result<String, ServiceError> {
        const METHOD: &str = "FinalizeCacheEntryUpload";
        let request =
            FinalizeRequest { key: key.as_str(), version: version.as_str(), size_bytes: size.to_string() };
        let answered = self.call::<_, FinalizeResponse>(METHOD, &request).await?;
        match answered.answer {
            Ok(response) if response.ok => Ok(response.entry_id.0),
            Ok(response) => Err(self.failed(METHOD, self.denial(&response.message, Right::Write, None))),
            Err(refused) => Err(self.failed(METHOD, self.refused(refused, Right::Write))),
        }
    }

    /// Looks up an entry in the scopes that the token reads.
    pub(crate) async fn look_up(
        &self,
        key: &Key,
        restore_keys: &[Key],
        version: &Version,
    ) -> Result<Option<Download>, ServiceError> {
        const METHOD: &str = "GetCacheEntryDownloadURL";
        let request = LookupMessage {
            key: key.as_str(),
            restore_keys: restore_keys.iter().map(Key::as_str).collect(),
            version: version.as_str(),
        };
        match self.call::<_, LookupResponse>(METHOD, &request).await?.answer {
            Ok(response) if !response.ok => Ok(None),
            Ok(response) => {
                let matched = Key::new(response.matched_key)
                    .map_err(|error| self.failed(METHOD, malformed(&format!("matched key: {error}"))))?;
                if response.signed_download_url.is_empty() {
                    return Err(self.failed(METHOD, malformed("no download URL")));
                }
                Ok(Some(Download { key: matched, url: self.signed(&response.signed_download_url)? }))
            }
            Err(refused) if refused.refusal.code == "not_found" => Ok(None),
            Err(refused) => Err(self.failed(METHOD, self.refused(refused, Right::Read))),
        }
    }

    /// The URL of the entry with exactly this key.
    pub(crate) async fn find_exact(
        &self,
        key: &Key,
        version: &Version,
    ) -> Result<Option<SignedUrl>, ServiceError> {
        let found = self.look_up(key, &[], version).await?;
        // The service also matches the key as a prefix.
        Ok(found.filter(|found| found.key == *key).map(|found| found.url))
    }

    fn signed(&self, url: &str) -> Result<SignedUrl, ServiceError> {
        SignedUrl::parse(url).map_err(|kind| ServiceError { address: self.address(), kind })
    }

    fn failed(&self, method: &str, kind: ServiceErrorKind) -> ServiceError {
        let address = self.url_of(method).map_or_else(|_| self.address(), |url| address::shown(&url));
        ServiceError { address, kind }
    }

    fn shown(&self, said: &str) -> String {
        redacted(said, &self.token)
    }

    fn refused(&self, refused: Refused, right: Right) -> ServiceErrorKind {
        let RefusalMessage { code, msg } = refused.refusal;
        let said = if msg.is_empty() { format!("HTTP {} {code}", refused.status.as_u16()) } else { msg };
        self.denial(&said, right, Some(refused.status))
    }

    /// The kind of error that a refusal stands for; the service distinguishes reasons only by their text.
    fn denial(&self, said: &str, right: Right, status: Option<StatusCode>) -> ServiceErrorKind {
        let lower = said.to_lowercase();
        let says = |text: &str| lower.contains(text);
        let said = self.shown(said);
        if says("configured budget") || says("now read only") || says("insufficient usage") {
            ServiceErrorKind::BudgetExceeded(said)
        } else if says("cache write denied") {
            ServiceErrorKind::Denied { right: Right::Write, said }
        } else if says("cache read denied") {
            ServiceErrorKind::Denied { right: Right::Read, said }
        } else {
            match status {
                Some(StatusCode::UNAUTHORIZED) => ServiceErrorKind::Unauthorized { right, said },
                Some(StatusCode::FORBIDDEN) => ServiceErrorKind::Denied { right, said },
                _ => ServiceErrorKind::Refused(said),
            }
        }
    }

    fn url_of(&self, method: &str) -> Result<Url, Cause> {
        let path = format!("{PATH}{method}");
        self.service.join(&path).map_err(|error| Cause::Protocol(error.to_string()))
    }

    /// Calls a method, with retries according to the policy.
    async fn call<Q: Serialize + Sync, A: for<'de> Deserialize<'de>>(
        &self,
        method: &str,
        request: &Q,
    ) -> Result<Answered<A>, ServiceError> {
        let of_transport = |cause| match cause {
            Cause::RateLimited(wait) => ServiceErrorKind::RateLimited(wait),
            cause => ServiceErrorKind::Transport(cause),
        };
        let url = self.url_of(method).map_err(|cause| self.failed(method, of_transport(cause)))?;
        let body = serde_json::to_vec(request)
            .map_err(|error| self.failed(method, ServiceErrorKind::Malformed(error.to_string())))?;
        let mut attempts = Attempts::new(&self.options, self.client.details());
        let mut lost_before = false;
        loop {
            match self.call_once(&url, &body).await {
                Ok((status, bytes)) if status.is_success() => match serde_json::from_slice(&bytes) {
                    Ok(answer) => return Ok(Answered { answer: Ok(answer), lost_before }),
                    // A truncated response counts as lost and is retried; the parse error is reported if it persists.
                    Err(error) => {
                        lost_before = true;
                        let cause =
                            Cause::Interrupted { received: bytes.len() as u64, reason: String::new() };
                        if attempts.pause(cause, &url).await.is_err() {
                            return Err(self.failed(method, malformed(&error.to_string())));
                        }
                    }
                },
                Ok((status, bytes)) => {
                    let refusal = serde_json::from_slice(&bytes).unwrap_or_default();
                    return Ok(Answered { answer: Err(Refused { status, refusal }), lost_before });
                }
                Err(cause) => {
                    // After any other failure the service may have processed the request.
                    lost_before |=
                        !matches!(cause, Cause::RateLimited(_) | Cause::Connect(_) | Cause::Address(_));
                    attempts
                        .pause(cause, &url)
                        .await
                        .map_err(|cause| self.failed(method, of_transport(cause)))?;
                }
            }
        }
    }

    async fn call_once(&self, url: &Url, body: &[u8]) -> Result<(StatusCode, Vec<u8>), Cause> {
        let timeouts = self.client.timeouts();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.token.expose())).map_err(|_| {
            Cause::Protocol("the job's token contains characters that are not allowed in a header".to_owned())
        })?;
        bearer.set_sensitive(true);
        let request = self
            .client
            .request(Method::POST, url)?
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(body.to_vec());
        answer(request, &self.options, timeouts, MAX_RESPONSE).await
    }
}

fn malformed(what: &str) -> ServiceErrorKind {
    ServiceErrorKind::Malformed(what.to_owned())
}

fn means_exists(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("already exist") || message.contains("already_exists")
}

// Requests and responses: Protobuf's JSON encoding, with fields in snake case and 64-bit integers as strings.

#[derive(Serialize)]
struct CreateRequest<'a> {
    key: &'a str,
    version: &'a str,
}

#[derive(Deserialize)]
struct CreateResponse {
    #[serde(default, deserialize_with = "or_default")]
    ok: bool,
    #[serde(default, alias = "signedUploadUrl", deserialize_with = "or_default")]
    signed_upload_url: String,
    #[serde(default, deserialize_with = "or_default")]
    message: String,
}

#[derive(Serialize)]
struct FinalizeRequest<'a> {
    key: &'a str,
    version: &'a str,
    size_bytes: String,
}

#[derive(Deserialize)]
struct FinalizeResponse {
    #[serde(default, deserialize_with = "or_default")]
    ok: bool,
    #[serde(default, alias = "entryId")]
    entry_id: Number,
    #[serde(default, deserialize_with = "or_default")]
    message: String,
}

/// A 64-bit integer: a string in Protobuf's JSON encoding, but a number is accepted as well.
#[derive(Default)]
struct Number(String);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Number(text)),
            serde_json::Value::Number(number) => Ok(Number(number.to_string())),
            serde_json::Value::Null => Ok(Number::default()),
            other => Err(serde::de::Error::custom(format!("{other} is not a number"))),
        }
    }
}

/// In Protobuf's JSON encoding, null stands for the default value.
fn or_default<'de, T: Default + Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Serialize)]
struct LookupMessage<'a> {
    key: &'a str,
    restore_keys: Vec<&'a str>,
    version: &'a str,
}

#[derive(Deserialize)]
struct LookupResponse {
    #[serde(default, deserialize_with = "or_default")]
    ok: bool,
    #[serde(default, alias = "signedDownloadUrl", deserialize_with = "or_default")]
    signed_download_url: String,
    #[serde(default, alias = "matchedKey", deserialize_with = "or_default")]
    matched_key: String,
}

/// A Twirp error.
#[derive(Deserialize, Default)]
struct RefusalMessage {
    #[serde(default)]
    code: String,
    #[serde(default)]
    msg: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_decoded_as_protobuf_allows_them() {
        let check = |text: &str, expect: (bool, &str, &str)| {
            let answer: FinalizeResponse = serde_json::from_str(text).expect(text);
            assert_eq!((answer.ok, answer.entry_id.0.as_str(), answer.message.as_str()), expect, "{text}");
        };
        check(r#"{"ok":true,"entry_id":"7","message":""}"#, (true, "7", ""));
        check(r#"{"ok":true,"entryId":7,"later":{}}"#, (true, "7", ""));
        check(r#"{"ok":null,"entry_id":null,"message":null}"#, (false, "", ""));
        check("{}", (false, "", ""));
        assert!(serde_json::from_str::<FinalizeResponse>(r#"{"entry_id":[]}"#).is_err());
    }
}
