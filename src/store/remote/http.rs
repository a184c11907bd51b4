//! Requests to an object service, by this program's own HTTP client.
//!
//! The crate `object_store` and the uploads of this room share it: connections, timeouts, proxies, retries and what
//! `--verbose` reports are those of every other request. The crate's own retries and its limit of 30 seconds for a
//! whole request are not used. Every request may be sent again after its answer was lost; where that matters, its sender
//! finds out whether the first was obeyed.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, HOST, RANGE};
use http::request::Parts as Head;
use http_body_util::BodyExt as _;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, RetryConfig};
use reqwest::{Method, Response, Url};
use serde::Deserialize;

use crate::domain::event::Details;
use crate::store::error::causes;
use crate::transport::blocks::UNSUPPORTED;
use crate::transport::http::address;
use crate::transport::http::attempts::Attempts;
use crate::transport::http::client::{Client, ClientError, Timeouts};
use crate::transport::http::error::Cause;
use crate::transport::http::options::FetchOptions;
use crate::transport::http::sending::BodySender;

/// Upper bound for the error document of a service, in bytes.
const MAX_ERROR_DOCUMENT: usize = 64 << 10;

/// Statuses beside success that the crate and the uploads understand; all others are errors.
const UNDERSTOOD: [StatusCode; 5] = [
    StatusCode::NOT_MODIFIED,
    StatusCode::NOT_FOUND,
    StatusCode::CONFLICT,
    StatusCode::PRECONDITION_FAILED,
    StatusCode::RANGE_NOT_SATISFIABLE,
];

/// Codes of a 404 that is not about an object.
const NO_CONTAINER: [&str; 2] = ["NoSuchBucket", "ContainerNotFound"];

/// Codes for a body that does not have the digest that was sent with it; the last is Azurite's.
const DAMAGED: [&str; 5] =
    ["Crc64Mismatch", "Md5Mismatch", "BadDigest", "XAmzContentSHA256Mismatch", "InvalidOperation"];

/// Codes for a credential that has expired; Azure and Google answer 401 instead.
const EXPIRED: [&str; 2] = ["ExpiredToken", "TokenRefreshRequired"];

/// A credential that is issued anew before it expires.
#[async_trait::async_trait]
pub(super) trait Renewal: Send + Sync {
    /// Has the next request use a new credential: the service has refused one that a request got at this time.
    async fn refused(&self, at: Instant);
}

/// Why a request to a service failed for good.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {cause}{}", code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
pub(super) struct ServiceRefusal {
    /// The URL without its secrets.
    address: String,
    pub(super) cause: Cause,
    /// The service's own word for it; `None` if it gave none.
    pub(super) code: Option<String>,
}

/// For the clients of the crate: [`Requests`] repeats by itself.
pub(super) fn no_retries() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

impl ServiceRefusal {
    /// Whether the service may accept the request with a new credential.
    fn is_of_credential(&self) -> bool {
        let code = self.code.as_deref();
        matches!(self.cause, Cause::Denied(401)) || code.is_some_and(|code| EXPIRED.contains(&code))
    }
}

/// Makes requests. Cheap to clone.
#[derive(Clone)]
pub(super) struct Requests {
    reader: Client,
    sender: BodySender,
    options: FetchOptions,
    /// `None` for a credential that is never issued anew.
    renewal: Option<Arc<dyn Renewal>>,
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Requests")
    }
}

impl Requests {
    /// Requests with these limits, reported to `details`.
    pub(super) fn new(
        timeouts: Timeouts,
        options: FetchOptions,
        details: Details,
    ) -> Result<Self, ClientError> {
        let reader = Client::new(timeouts)?.with_details(details.clone());
        Ok(Requests { reader, sender: BodySender::new(timeouts, details)?, options, renewal: None })
    }

    /// The same for a credential that is issued anew.
    pub(super) fn renewing(self, renewal: Arc<dyn Renewal>) -> Self {
        Requests { renewal: Some(renewal), ..self }
    }

    /// The same for metadata addresses, which speak only `http`.
    pub(super) fn allowing_metadata_addresses(self) -> Self {
        let (reader, sender) =
            (self.reader.allowing_metadata_addresses(), self.sender.allowing_metadata_addresses());
        Requests { reader, sender, ..self }
    }

    /// Why a service refused the credential of a request, if a new one may be accepted.
    pub(super) fn refusal_of_credential(&self, error: &(dyn Error + 'static)) -> Option<String> {
        let refusal = causes(error).find_map(|cause| cause.downcast_ref::<ServiceRefusal>());
        let refusal = refusal.filter(|refusal| self.renewal.is_some() && refusal.is_of_credential());
        refusal.map(ToString::to_string)
    }

    /// Has the next request use a new credential. `at` is when the refused request got its own.
    pub(super) async fn renew_credential(&self, refusal: &str, at: Instant) {
        self.details().tell(format_args!("a new credential is issued: {refusal}"));
        if let Some(renewal) = &self.renewal {
            renewal.refused(at).await;
        }
    }

    /// What bounds each request.
    pub(super) fn options(&self) -> &FetchOptions {
        &self.options
    }

    /// Where details are reported.
    pub(super) fn details(&self) -> &Details {
        self.reader.details()
    }

    async fn send(
        &self,
        head: &Head,
        url: &Url,
        body: &Bytes,
    ) -> Result<HttpResponse, (Cause, Option<String>)> {
        let response = self.send_once(head, url, body).await.map_err(|cause| (cause, None))?;
        let status = response.status();
        if status.is_success() && head.headers.contains_key(RANGE) {
            return Ok(streamed(response, self.reader.timeouts(), url));
        }
        if head.method == Method::HEAD && (status.is_success() || UNDERSTOOD.contains(&status)) {
            // It has no body, but the length of one.
            return Ok(with_body(&response, Bytes::new()));
        }
        let (answer, document) = self.whole(response).await.map_err(|cause| (cause, None))?;
        let code = if status.is_success() { None } else { code_of(&answer, &document) };
        let no_container = code.as_deref().is_some_and(|code| NO_CONTAINER.contains(&code));
        // Its sender can do without the header.
        let is_unsupported = code.as_deref().is_some_and(|code| UNSUPPORTED.contains(&code));
        if status.is_success() || is_unsupported || (UNDERSTOOD.contains(&status) && !no_container) {
            let (head, ()) = answer.into_parts();
            return Ok(HttpResponse::from_parts(head, document.into()));
        }
        let cause = match code.as_deref() {
            Some(code) if DAMAGED.contains(&code) => {
                Cause::Interrupted { received: 0, reason: "the part arrived damaged".to_owned() }
            }
            _ => Cause::of_status(status, answer.headers(), self.options.clock),
        };
        Err((cause, code))
    }

    async fn send_once(&self, head: &Head, url: &Url, body: &Bytes) -> Result<Response, Cause> {
        let mut headers = head.headers.clone();
        // Both are the client's to set.
        headers.remove(CONTENT_LENGTH);
        headers.remove(HOST);
        if matches!(head.method, Method::PUT | Method::POST) {
            let request = self.sender.client().request(head.method.clone(), url)?.headers(headers);
            return self.sender.send(request, body.clone(), &self.options).await;
        }
        let timeouts = self.reader.timeouts();
        let request = self.reader.request(head.method.clone(), url)?.headers(headers).send();
        tokio::select! {
            answered = request => answered.map_err(|error| Cause::of_request(error, 0, timeouts.idle)),
            () = self.options.cancel.cancelled() => Err(Cause::Cancelled),
        }
    }

    /// An answer with its document: a list, an error, a token.
    async fn whole(&self, response: Response) -> Result<(http::Response<()>, Bytes), Cause> {
        let idle = self.reader.timeouts().idle;
        let answer = with_body(&response, ());
        let limit = if answer.status().is_success() { usize::MAX } else { MAX_ERROR_DOCUMENT };
        let (mut chunks, mut document) = (response.bytes_stream(), BytesMut::new());
        while document.len() < limit {
            let chunk =
                tokio::time::timeout(idle, chunks.try_next()).await.map_err(|_| Cause::Stalled(idle))?;
            let received = document.len() as u64;
            match chunk.map_err(|error| Cause::of_request(error, received, idle))? {
                Some(chunk) => document.extend_from_slice(&chunk),
                None => break,
            }
        }
        Ok((answer, document.freeze()))
    }
}

#[async_trait::async_trait]
impl HttpService for Requests {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let unusable = |error: String| HttpError::new_boxed(HttpErrorKind::Unknown, error.into());
        let url = Url::parse(&head.uri.to_string()).map_err(|error| unusable(error.to_string()))?;
        let body = body.collect().await?.to_bytes();
        let mut attempts = Attempts::new(&self.options, self.details());
        loop {
            let (cause, code) = match self.send(&head, &url, &body).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            if let Err(cause) = attempts.pause(cause, &url).await {
                let address = address::shown(&url);
                return Err(HttpError::new(HttpErrorKind::Unknown, ServiceRefusal { address, cause, code }));
            }
        }
    }
}

impl HttpConnector for Requests {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// A range, which is read as it comes; the client's idle timeout holds for each piece. Its reader resumes it.
fn streamed(response: Response, timeouts: Timeouts, url: &Url) -> HttpResponse {
    let address = address::shown(url);
    let answer = with_body(&response, ());
    let body = reqwest::Body::from(response).map_err(move |error| {
        let cause = Cause::of_request(error, 0, timeouts.idle);
        HttpError::new(
            HttpErrorKind::Interrupted,
            ServiceRefusal { address: address.clone(), cause, code: None },
        )
    });
    answer.map(|()| HttpResponseBody::new(body))
}

/// Status and headers of an answer, with another body.
fn with_body<B: Into<T>, T>(response: &Response, body: B) -> http::Response<T> {
    let mut answer = http::Response::new(body.into());
    *answer.status_mut() = response.status();
    *answer.headers_mut() = response.headers().clone();
    answer
}

/// The service's word for an error: `<Code>` of its document, or a header of Azure's. `None` unless it is one word.
fn code_of(answer: &http::Response<()>, document: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct ErrorDocument {
        #[serde(rename = "Code")]
        code: String,
    }
    /// The one of AWS's security token service.
    #[derive(Deserialize)]
    struct ErrorResponse {
        #[serde(rename = "Error")]
        error: ErrorDocument,
    }
    let header = answer.headers().get("x-ms-error-code").and_then(|code| code.to_str().ok());
    let code = match header {
        Some(code) => code.to_owned(),
        None => quick_xml::de::from_reader::<_, ErrorDocument>(document)
            .or_else(|_| quick_xml::de::from_reader::<_, ErrorResponse>(document).map(|found| found.error))
            .map_or_else(|_| issuer_code(document), |found| Some(found.code))?,
    };
    let is_word = (1..=64).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word.then_some(code)
}

/// The word of an issuer of tokens: `AADSTS…` of Microsoft Entra, `error` of OAuth 2.0 (RFC 6749, 5.2), `status` of
/// Google's interfaces.
fn issuer_code(document: &[u8]) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(document).ok()?;
    let text = |name: &str| document.get(name).and_then(serde_json::Value::as_str);
    let entra = text("error_description").filter(|text| text.starts_with("AADSTS"));
    let entra = entra.and_then(|text| text.split(':').next());
    let google = || document.get("error")?.get("status")?.as_str();
    entra.or_else(|| text("error")).or_else(google).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_has_its_own_word_for_an_error() {
        let check = |document: &str, expect: Option<&str>| {
            let code = code_of(&http::Response::new(()), document.as_bytes());
            assert_eq!(code.as_deref(), expect, "{document}");
        };
        check("<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", Some("NoSuchKey"));
        check(
            "<ErrorResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><Error><Type>Sender</Type>\
             <Code>ExpiredTokenException</Code></Error></ErrorResponse>",
            Some("ExpiredTokenException"),
        );
        let entra =
            r#"{"error": "invalid_client", "error_description": "AADSTS700024: Client assertion is not"}"#;
        check(entra, Some("AADSTS700024"));
        check(r#"{"error": "invalid_grant", "error_description": "The audience"}"#, Some("invalid_grant"));
        check(r#"{"error": {"code": 403, "status": "PERMISSION_DENIED"}}"#, Some("PERMISSION_DENIED"));
        check(r#"{"error": "two words"}"#, None);
        check("<html>", None);
    }
}
