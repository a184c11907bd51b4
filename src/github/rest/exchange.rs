//! The HTTP layer below octocrab: sends requests through this crate's HTTP client, paced and counted, and retries
//! transient failures and rate limits until the deadline.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use http::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use octocrab::OctoBody;
use reqwest::Url;
use tower::Service;

use super::endpoint::join;
use super::error::ApiErrorKind;
use super::limits::{self, Limited};
use super::pace::{DELETE_POINTS, Pace, READ_POINTS, Throttle};
use crate::domain::clean::ApiCalls;
use crate::domain::secret::Secret;
use crate::transport::http::address;
use crate::transport::http::attempts::{Failures, retry_in};
use crate::transport::http::client::Client;
use crate::transport::http::error::Cause;
use crate::transport::http::retry::{RetryPolicy, Verdict, is_transient};

/// Maximum size of a response in bytes.
const MAX_RESPONSE: usize = 64 << 20;

/// The version of the API that this client uses.
const API_VERSION: &str = "2022-11-28";

/// Options of a client.
#[derive(Debug, Clone)]
pub struct RestOptions {
    /// The token: `GITHUB_TOKEN` or a personal access token.
    pub token: Secret,
    /// The rate of requests.
    pub pace: Pace,
    /// Retries of transient failures.
    pub retry: RetryPolicy,
    /// No request and no wait extends beyond this time.
    pub deadline: Instant,
}

/// Sends requests. Clones share counters and pace.
#[derive(Clone)]
pub(super) struct Exchange(Arc<Inner>);

struct Inner {
    client: Client,
    base: Url,
    options: RestOptions,
    gate: Throttle,
    state: Mutex<ExchangeState>,
}

#[derive(Default)]
struct ExchangeState {
    calls: ApiCalls,
    server_time: Option<DateTime<Utc>>,
}

impl Exchange {
    pub(super) fn new(client: Client, base: Url, options: RestOptions) -> Self {
        let gate = Throttle::new(options.pace);
        Exchange(Arc::new(Inner { client, base, options, gate, state: Mutex::default() }))
    }

    pub(super) fn calls(&self) -> ApiCalls {
        self.0.state().calls
    }

    /// The time of the server at its last response.
    pub(super) fn server_time(&self) -> Option<DateTime<Utc>> {
        self.0.state().server_time
    }
}

impl Service<Request<OctoBody>> for Exchange {
    type Response = Response<Full<Bytes>>;
    type Error = ApiErrorKind;
    type Future = BoxFuture<'static, Result<Self::Response, ApiErrorKind>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ApiErrorKind>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<OctoBody>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map_err(|error| ApiErrorKind::Malformed(error.to_string()))?;
            inner.send(&parts, &body.to_bytes()).await
        })
    }
}

/// The result of one attempt.
enum Reply {
    Answered(Response<Full<Bytes>>),
    Limited(Limited),
    Failed(ApiErrorKind, Verdict),
}

impl Inner {
    fn state(&self) -> std::sync::MutexGuard<'_, ExchangeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(
        &self,
        parts: &http::request::Parts,
        body: &Bytes,
    ) -> Result<Response<Full<Bytes>>, ApiErrorKind> {
        let url = self.url(parts)?;
        let mut failures = Failures::default();
        loop {
            self.enter(&parts.method, &url).await?;
            let (wait, why) = match self.attempt(&parts.method, &url, &parts.headers, body).await {
                Reply::Answered(response) => return Ok(response),
                Reply::Limited(Limited { wait, is_primary }) => {
                    if wait >= self.remaining() {
                        return Err(ApiErrorKind::RateLimited { wait, is_primary });
                    }
                    self.state().calls.waited += wait;
                    (wait, "the rate limit is reached".to_owned())
                }
                Reply::Failed(kind, verdict) => {
                    let wait = failures.wait(&self.options.retry, verdict, Some(self.options.deadline));
                    let why = kind.to_string();
                    (wait.ok_or(kind)?, why)
                }
            };
            let address = address::shown(&url);
            let details = self.client.details();
            details.tell(format_args!("{}: {} {address}: {why}", retry_in(wait), parts.method));
            tokio::time::sleep(wait).await;
            self.state().calls.repeated += 1;
        }
    }

    /// The URL of a request; octocrab passes a path, or a full URL for `GraphQL`.
    fn url(&self, parts: &http::request::Parts) -> Result<Url, ApiErrorKind> {
        let text = parts.uri.to_string();
        match parts.uri.authority() {
            Some(_) => Url::parse(&text).map_err(|error| ApiErrorKind::Malformed(error.to_string())),
            None => Ok(join(&self.base, &text)),
        }
    }

    /// Waits for the slot of a request and counts it.
    async fn enter(&self, method: &Method, url: &Url) -> Result<(), ApiErrorKind> {
        let is_deletion = method == Method::DELETE;
        let points = if is_deletion { DELETE_POINTS } else { READ_POINTS };
        let wait = self.gate.enter(points, Instant::now());
        if wait >= self.remaining() {
            return Err(ApiErrorKind::Transport(Cause::Deadline));
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let calls = &mut self.state().calls;
        calls.requests += 1;
        calls.deletions += u64::from(is_deletion);
        calls.graphql += u64::from(url.path().ends_with("/graphql"));
        Ok(())
    }

    fn remaining(&self) -> Duration {
        self.options.deadline.saturating_duration_since(Instant::now())
    }

    async fn attempt(&self, method: &Method, url: &Url, headers: &HeaderMap, body: &Bytes) -> Reply {
        let failed = |cause: Cause| {
            let verdict = cause.verdict();
            Reply::Failed(ApiErrorKind::Transport(cause), verdict)
        };
        let exchanged =
            tokio::time::timeout(self.remaining(), self.exchange(method, url, headers, body)).await;
        let (status, headers, body) = match exchanged {
            Err(_) => return failed(Cause::Deadline),
            Ok(Err(cause)) => return failed(cause),
            Ok(Ok(answer)) => answer,
        };
        let date = limits::date(&headers);
        let now = {
            let mut state = self.state();
            state.server_time = date.or(state.server_time);
            state.server_time.unwrap_or(DateTime::UNIX_EPOCH)
        };
        if let Some(limited) = limits::limited(status, &headers, &String::from_utf8_lossy(&body), now) {
            return Reply::Limited(limited);
        }
        if is_transient(status.as_u16()) {
            let wait = headers.get("retry-after").and_then(|value| value.to_str().ok());
            let wait = wait.and_then(|value| crate::transport::http::retry::parse_retry_after(value, now));
            let said = super::error::line(&String::from_utf8_lossy(&body));
            let kind = ApiErrorKind::Refused { status: status.as_u16(), said };
            return Reply::Failed(kind, wait.map_or(Verdict::Retry, Verdict::RetryAfter));
        }
        let mut response = Response::new(Full::new(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Reply::Answered(response)
    }

    async fn exchange(
        &self,
        method: &Method,
        url: &Url,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<(http::StatusCode, HeaderMap, Bytes), Cause> {
        let idle = self.client.timeouts().idle;
        let mut headers = headers.clone();
        headers.insert(ACCEPT, HeaderValue::from_static("application/vnd.github+json"));
        headers.insert("x-github-api-version", HeaderValue::from_static(API_VERSION));
        let authorization = HeaderValue::from_str(&format!("Bearer {}", self.options.token.expose()));
        let mut authorization = authorization.map_err(|_| {
            Cause::Protocol("the token contains characters that are not allowed in a header".to_owned())
        })?;
        authorization.set_sensitive(true);
        headers.insert(AUTHORIZATION, authorization);
        let request = self.client.request(method.clone(), url)?.headers(headers).body(body.clone());
        let mut response = request.send().await.map_err(|error| Cause::of_request(error, 0, idle))?;
        let mut whole = BytesMut::new();
        loop {
            let chunk = response.chunk().await;
            match chunk.map_err(|error| Cause::of_request(error, whole.len() as u64, idle))? {
                Some(chunk) if whole.len() + chunk.len() > MAX_RESPONSE => {
                    return Err(Cause::Protocol(format!("more than {MAX_RESPONSE} bytes")));
                }
                Some(chunk) => whole.extend_from_slice(&chunk),
                None => break,
            }
        }
        Ok((response.status(), response.headers().clone(), whole.freeze()))
    }
}
