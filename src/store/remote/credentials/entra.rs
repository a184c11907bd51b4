//! Tokens of Microsoft Entra for Azure Storage: the client-credentials exchange, with an ID token or a secret as proof.

use async_trait::async_trait;
use object_store::azure::AzureCredential;
use serde::Deserialize;

use super::form::form;
use super::id_token::IdTokenSource;
use super::renewal::{Exchange, Issued, Issuer, RenewalError, Step, token_in};
use crate::domain::secret::Secret;
use crate::store::remote::signed::encoded;

/// The authority of the public cloud.
pub(super) const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";

/// What the token opens, in every cloud.
const SCOPE: &str = "https://storage.azure.com/.default";

const BY_ID_TOKEN: Step = Step {
    action: "exchange the ID token for a token of Microsoft Entra",
    cure: "give the identity a federated credential with the issuer, subject and audience of this job, and check its client and tenant",
};

const BY_SECRET: Step = Step {
    action: "exchange the client secret for a token of Microsoft Entra",
    cure: "check the client, its tenant, and whether the secret has expired",
};

/// The exchange of one identity.
#[derive(Clone)]
pub(super) struct EntraExchange {
    pub(super) authority: String,
    pub(super) tenant: String,
    pub(super) client: String,
    pub(super) proof: Proof,
}

/// What proves the identity.
#[derive(Clone)]
pub(super) enum Proof {
    IdToken(IdTokenSource),
    ClientSecret(Secret),
}

#[derive(Deserialize)]
struct EntraToken {
    access_token: String,
    expires_in: u64,
}

#[async_trait]
impl Exchange for EntraExchange {
    type Credential = AzureCredential;

    async fn issue(&self, issuer: &Issuer) -> Result<Issued<AzureCredential>, RenewalError> {
        let (step, proof) = match &self.proof {
            Proof::IdToken(source) => {
                let token = source.get(issuer).await?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                (BY_ID_TOKEN, vec![("client_assertion_type", kind.to_owned()), assertion(&token)])
            }
            Proof::ClientSecret(secret) => (BY_SECRET, vec![("client_secret", secret.expose().to_owned())]),
        };
        let mut fields = vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", self.client.clone()),
            ("scope", SCOPE.to_owned()),
        ];
        fields.extend(proof);
        let authority = self.authority.trim_end_matches('/');
        let url = format!("{authority}/{}/oauth2/v2.0/token", encoded(&self.tenant));
        let token: EntraToken = token_in(step, &issuer.ask(step, form(step, &url, &fields)?).await?)?;
        Ok(Issued {
            secrets: vec![Secret::new(token.access_token.clone())],
            credential: AzureCredential::BearerToken(token.access_token),
            expires_at: issuer.expires_in(token.expires_in),
        })
    }
}

fn assertion(token: &Secret) -> (&'static str, String) {
    ("client_assertion", token.expose().to_owned())
}
