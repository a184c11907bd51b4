//! ID tokens, which prove to a cloud which job or machine this is. Each is asked for when it is exchanged.

use std::path::PathBuf;

use http::Method;
use serde_json::Value;

use super::renewal::{Issuer, RenewalError, Step, request};
use crate::domain::secret::Secret;
use crate::fs::read::read_regular;
use crate::platform::Env;
use crate::store::remote::signed::encoded;

/// Upper bound for a file with a token, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// The version of the interface of Azure Pipelines.
const PIPELINES_API: &str = "7.1";

const FILE: Step = Step {
    action: "read the ID token of this job",
    cure: "let what writes the file replace it before the token in it expires",
};

const GITHUB: Step = Step {
    action: "get an ID token of this job from GitHub",
    cure: "give the job `permissions: id-token: write`",
};

const PIPELINES: Step = Step {
    action: "get an ID token of the service connection from Azure Pipelines",
    cure: "pass `SYSTEM_ACCESSTOKEN: $(System.AccessToken)` in `env` of the step, and name the service connection in a step of this job",
};

const ADDRESS: Step = Step {
    action: "get an ID token from the address in the file of credentials",
    cure: "make the file anew in this job",
};

/// Where an ID token comes from.
#[derive(Clone)]
pub(super) struct IdTokenSource {
    step: Step,
    place: Place,
    /// The field of a JSON document that holds the token; `None` if it is the whole text.
    field: Option<String>,
}

#[derive(Clone)]
enum Place {
    File(PathBuf),
    Address { method: Method, url: String, headers: Vec<(String, Secret)> },
}

impl IdTokenSource {
    /// A file, which its writer replaces.
    pub(super) fn file(path: PathBuf, field: Option<String>) -> Self {
        IdTokenSource { step: FILE, place: Place::File(path), field }
    }

    /// An address that is asked with these headers.
    pub(super) fn address(url: String, headers: Vec<(String, Secret)>, field: Option<String>) -> Self {
        IdTokenSource { step: ADDRESS, place: Place::Address { method: Method::GET, url, headers }, field }
    }

    /// GitHub, for a job with `id-token: write`; `None` in any other.
    pub(super) fn github(env: &Env, audience: &str) -> Option<Self> {
        let url = env.var("ACTIONS_ID_TOKEN_REQUEST_URL")?;
        let token = env.var("ACTIONS_ID_TOKEN_REQUEST_TOKEN")?;
        let joint = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{joint}audience={}", encoded(audience));
        let place = Place::Address { method: Method::GET, url, headers: vec![bearer(token)] };
        Some(IdTokenSource { step: GITHUB, place, field: Some("value".to_owned()) })
    }

    /// Azure Pipelines, for a service connection with workload identity federation.
    pub(super) fn azure_pipelines(request_url: &str, token: &str, connection: &str) -> Self {
        let joint = if request_url.contains('?') { '&' } else { '?' };
        let connection = encoded(connection);
        let url = format!("{request_url}{joint}api-version={PIPELINES_API}&serviceConnectionId={connection}");
        // Without the second header the service answers a wrong token with a page where people sign in.
        let headers = vec![bearer(token), ("x-tfs-fedauthredirect".to_owned(), Secret::new("Suppress"))];
        let place = Place::Address { method: Method::POST, url, headers };
        IdTokenSource { step: PIPELINES, place, field: Some("oidcToken".to_owned()) }
    }

    /// Asks for the token.
    pub(super) async fn get(&self, issuer: &Issuer) -> Result<Secret, RenewalError> {
        let bytes = match &self.place {
            Place::File(path) => read_regular(path, MAX_FILE).map_err(|error| {
                RenewalError::unusable(self.step, format!("`{}`: {error}", path.display()))
            })?,
            Place::Address { method, url, headers } => {
                let mut headers: Vec<(&str, &str)> =
                    headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
                if method == Method::POST {
                    headers.push(("content-type", "application/json"));
                }
                let request = request(self.step, method.clone(), url, &headers, String::new())?;
                issuer.ask(self.step, request).await?.to_vec()
            }
        };
        self.token_in(&bytes)
            .ok_or_else(|| RenewalError::unusable(self.step, "what was given holds no token"))
    }

    fn token_in(&self, bytes: &[u8]) -> Option<Secret> {
        let text = match &self.field {
            Some(field) => serde_json::from_slice::<Value>(bytes).ok()?.get(field)?.as_str()?.to_owned(),
            None => String::from_utf8(bytes.to_vec()).ok()?,
        };
        let token = text.trim();
        let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Secret::new(token))
    }
}

fn bearer(token: &str) -> (String, Secret) {
    ("authorization".to_owned(), Secret::new(format!("Bearer {token}")))
}
