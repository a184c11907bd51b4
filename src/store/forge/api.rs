//! Questions to a forge's REST API.

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

use super::ForgeError;
use crate::domain::secret::Secret;
use crate::transport::answer::answer;
use crate::transport::http::address;
use crate::transport::http::attempts::Attempts;
use crate::transport::http::client::Client;
use crate::transport::http::error::Cause;
use crate::transport::http::options::FetchOptions;

/// Upper bound for an answer, in bytes: a page of a hundred merge requests, each with its description.
const MAX_ANSWER: usize = 16 << 20;

/// A forge's API, with a token for it.
pub(crate) struct ForgeApi {
    pub(crate) client: Client,
    pub(crate) options: FetchOptions,
    /// What all paths begin with.
    pub(crate) base: Url,
    /// The header that has the token, and its value.
    pub(crate) token: (&'static str, Secret),
    /// What helps where the token is refused.
    pub(crate) cure: &'static str,
}

impl ForgeApi {
    /// Asks for the document at a path below the base. `None` if there is none.
    pub(super) async fn get(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Option<Value>, ForgeError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.query_pairs_mut().extend_pairs(query);
        let mut attempts = Attempts::new(&self.options, self.client.details());
        loop {
            let cause = match self.ask(&url).await {
                Ok((StatusCode::NOT_FOUND, _)) => return Ok(None),
                Ok((StatusCode::OK, body)) => match serde_json::from_slice(&body) {
                    Ok(document) => return Ok(Some(document)),
                    Err(_) => return Err(self.refused(&url, "the answer is not JSON")),
                },
                Ok((status, _)) => return Err(self.refused(&url, &format!("HTTP {}", status.as_u16()))),
                Err(cause) => cause,
            };
            // Azure DevOps answers a token that it does not accept with its page for signing in, and this status.
            if matches!(cause, Cause::Status(203)) {
                return Err(self.refused(&url, "the token is not accepted (HTTP 203)"));
            }
            attempts.pause(cause, &url).await.map_err(|cause| ForgeError {
                reason: format!("{}: {cause}", address::shown(&url)),
                cure: None,
            })?;
        }
    }

    async fn ask(&self, url: &Url) -> Result<(StatusCode, Vec<u8>), Cause> {
        let (name, token) = &self.token;
        let mut value = HeaderValue::from_str(token.expose()).map_err(|_| {
            Cause::Protocol("the token contains characters that no header may have".to_owned())
        })?;
        value.set_sensitive(true);
        let request = self.client.request(Method::GET, url)?;
        let request =
            request.header(*name, value).header(ACCEPT, HeaderValue::from_static("application/json"));
        answer(request, &self.options, self.client.timeouts(), MAX_ANSWER).await
    }

    fn refused(&self, url: &Url, why: &str) -> ForgeError {
        ForgeError { reason: format!("{}: {why}", address::shown(url)), cure: Some(self.cure.to_owned()) }
    }
}
