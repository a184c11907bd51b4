//! Tokens of Google Cloud by workload identity federation: an ID token is exchanged for a token of its pool, and where an
//! account is impersonated, that one for a token of the account.

use std::path::PathBuf;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use http::Method;
use object_store::gcp::GcpCredential;
use serde::Deserialize;
use serde_json::json;

use super::form::form;
use super::id_token::IdTokenSource;
use super::renewal::{Exchange, Issued, Issuer, RenewalError, Step, request, token_in};
use crate::domain::secret::Secret;

/// What a token of the pool may be used for; the roles of its identity narrow it.
const POOL_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// What a token of an account may be used for.
const STORE_SCOPE: &str = "https://www.googleapis.com/auth/devstorage.read_write";

/// The type of an ID token that is a JWT.
pub(super) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

const POOL: Step = Step {
    action: "exchange the ID token for a token of the workload identity pool",
    cure: "check the provider's name, its allowed audiences and its attribute condition",
};

const ACCOUNT: Step = Step {
    action: "exchange the token of the workload identity pool for one of the service account",
    cure: "give the job's principal the role `roles/iam.workloadIdentityUser` on the service account",
};

/// The exchange at one pool.
#[derive(Clone)]
pub(super) struct PoolExchange {
    /// The address that exchanges ID tokens.
    pub(super) token_url: String,
    /// The provider's name, as the audience of the exchange.
    pub(super) audience: String,
    pub(super) id_token_type: String,
    pub(super) id_token: IdTokenSource,
    /// The address that issues tokens of an account; `None` where the pool's own token is used.
    pub(super) impersonation_url: Option<String>,
}

#[derive(Deserialize)]
struct PoolToken {
    access_token: String,
    // It may be absent where the token lives as long as the ID token.
    expires_in: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountToken {
    access_token: String,
    expire_time: DateTime<Utc>,
}

#[async_trait]
impl Exchange for PoolExchange {
    type Credential = GcpCredential;

    async fn issue(&self, issuer: &Issuer) -> Result<Issued<GcpCredential>, RenewalError> {
        let scope = if self.impersonation_url.is_some() { POOL_SCOPE } else { STORE_SCOPE };
        let id_token = self.id_token.get(issuer).await?;
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
            ("audience", self.audience.clone()),
            ("scope", scope.to_owned()),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token".to_owned()),
            ("subject_token_type", self.id_token_type.clone()),
            ("subject_token", id_token.expose().to_owned()),
        ];
        let answer = issuer.ask(POOL, form(POOL, &self.token_url, &fields)?).await?;
        let token: PoolToken = token_in(POOL, &answer)?;
        match &self.impersonation_url {
            None => {
                let expires_at = issuer.expires_in(token.expires_in.unwrap_or(600));
                Ok(issued(token.access_token, expires_at))
            }
            Some(url) => impersonate(issuer, url, &Secret::new(token.access_token)).await,
        }
    }
}

async fn impersonate(
    issuer: &Issuer,
    url: &str,
    token: &Secret,
) -> Result<Issued<GcpCredential>, RenewalError> {
    let bearer = format!("Bearer {}", token.expose());
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let body = json!({ "scope": [STORE_SCOPE] }).to_string();
    let answer = issuer.ask(ACCOUNT, request(ACCOUNT, Method::POST, url, &headers, body)?).await?;
    let token: AccountToken = token_in(ACCOUNT, &answer)?;
    Ok(issued(token.access_token, token.expire_time))
}

/// A token of Google as a credential.
pub(super) fn issued(token: String, expires_at: DateTime<Utc>) -> Issued<GcpCredential> {
    Issued {
        secrets: vec![Secret::new(token.clone())],
        credential: GcpCredential { bearer: token },
        expires_at,
    }
}

/// A file of credentials of the type `external_account`.
#[derive(Deserialize)]
struct ExternalAccount {
    audience: String,
    subject_token_type: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
    credential_source: CredentialSource,
}

#[derive(Deserialize)]
struct CredentialSource {
    file: Option<PathBuf>,
    url: Option<String>,
    #[serde(default)]
    headers: std::collections::BTreeMap<String, String>,
    format: Option<CredentialFormat>,
}

#[derive(Deserialize)]
struct CredentialFormat {
    #[serde(rename = "type")]
    kind: String,
    subject_token_field_name: Option<String>,
}

impl PoolExchange {
    /// The exchange that a file of the type `external_account` describes. The error says what in it is not supported.
    pub(super) fn of_file(bytes: &[u8]) -> Result<Self, &'static str> {
        // The text of a parser's error may repeat what it read.
        let account: ExternalAccount =
            serde_json::from_slice(bytes).map_err(|_| "a field of its `external_account` is missing")?;
        let source = account.credential_source;
        let field = match source.format {
            Some(CredentialFormat { kind, subject_token_field_name: Some(field) }) if kind == "json" => {
                Some(field)
            }
            Some(CredentialFormat { kind, .. }) if kind == "json" => {
                return Err("its `format` names no `subject_token_field_name`");
            }
            _ => None,
        };
        let id_token = match (source.file, source.url) {
            (Some(file), _) => IdTokenSource::file(file, field),
            (None, Some(url)) => {
                let headers = source.headers.into_iter();
                let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), Secret::new(value)));
                IdTokenSource::address(url, headers.collect(), field)
            }
            (None, None) => {
                return Err(
                    "its ID tokens come from a program or from AWS; only `file` and `url` are supported",
                );
            }
        };
        Ok(PoolExchange {
            token_url: account.token_url,
            audience: account.audience,
            id_token_type: account.subject_token_type,
            id_token,
            impersonation_url: account.service_account_impersonation_url,
        })
    }
}
