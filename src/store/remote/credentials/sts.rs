//! Temporary keys of a role at AWS: `AssumeRoleWithWebIdentity`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use object_store::aws::AwsCredential;
use serde::Deserialize;

use super::form::form;
use super::id_token::IdTokenSource;
use super::renewal::{Exchange, Issued, Issuer, RenewalError, Step};
use crate::domain::secret::Secret;

const STEP: Step = Step {
    action: "exchange the ID token for keys of the role",
    cure: "let the trust policy of the role accept this job's subject with the audience of its token, and check AWS_ROLE_ARN",
};

/// The exchange for one role.
#[derive(Clone)]
pub(super) struct RoleExchange {
    /// The address of the security token service.
    pub(super) endpoint: String,
    pub(super) role: String,
    pub(super) session_name: String,
    pub(super) id_token: IdTokenSource,
}

#[derive(Deserialize)]
struct StsAnswer {
    #[serde(rename = "AssumeRoleWithWebIdentityResult")]
    result: Assumed,
}

#[derive(Deserialize)]
struct Assumed {
    #[serde(rename = "Credentials")]
    credentials: TemporaryKey,
}

/// A key as AWS writes it, in XML here and in JSON at the metadata addresses.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TemporaryKey {
    access_key_id: String,
    secret_access_key: String,
    #[serde(alias = "Token")]
    session_token: String,
    expiration: DateTime<Utc>,
}

impl From<TemporaryKey> for Issued<AwsCredential> {
    fn from(key: TemporaryKey) -> Self {
        let secrets = [&key.secret_access_key, &key.session_token].map(|secret| Secret::new(secret.clone()));
        Issued {
            secrets: secrets.into(),
            credential: AwsCredential {
                key_id: key.access_key_id,
                secret_key: key.secret_access_key,
                token: Some(key.session_token),
            },
            expires_at: key.expiration,
        }
    }
}

#[async_trait]
impl Exchange for RoleExchange {
    type Credential = AwsCredential;

    async fn issue(&self, issuer: &Issuer) -> Result<Issued<AwsCredential>, RenewalError> {
        let token = self.id_token.get(issuer).await?;
        let fields = [
            ("Action", "AssumeRoleWithWebIdentity".to_owned()),
            ("Version", "2011-06-15".to_owned()),
            ("RoleArn", self.role.clone()),
            ("RoleSessionName", self.session_name.clone()),
            ("WebIdentityToken", token.expose().to_owned()),
        ];
        let url = format!("{}/", self.endpoint.trim_end_matches('/'));
        let answer = issuer.ask(STEP, form(STEP, &url, &fields)?).await?;
        let answer: StsAnswer = quick_xml::de::from_reader(answer.as_ref())
            .map_err(|_| RenewalError::unusable(STEP, "the answer holds no keys"))?;
        Ok(answer.result.credentials.into())
    }
}
