//! Credentials of a machine, from the metadata address of its cloud. Asked only where [`ALLOWED_BY`] says so: elsewhere
//! such an address is that of a stranger, or of none, which takes long to find out.

use async_trait::async_trait;
use http::Method;
use object_store::aws::AwsCredential;
use object_store::azure::AzureCredential;
use object_store::gcp::GcpCredential;
use serde::Deserialize;

use super::federation;
use super::renewal::{Exchange, Issued, Issuer, RenewalError, Step, request};
use super::sts::TemporaryKey;
use crate::domain::secret::Secret;
use crate::platform::Env;
use crate::store::remote::signed::encoded;

/// The variable that allows the metadata address to be asked.
pub(super) const ALLOWED_BY: &str = "CACHEKEEP_INSTANCE_IDENTITY";

/// How a credential that was found this way is named.
pub(super) const SOURCE: &str = "the machine's identity, because of CACHEKEEP_INSTANCE_IDENTITY";

const STEP: Step = Step {
    action: "get a credential from the metadata address of this machine",
    cure: "give the machine an identity, or unset CACHEKEEP_INSTANCE_IDENTITY",
};

async fn ask(
    issuer: &Issuer,
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
) -> Result<bytes::Bytes, RenewalError> {
    issuer.ask(STEP, request(STEP, method, url, headers, String::new())?).await
}

fn unusable() -> RenewalError {
    RenewalError::unusable(STEP, "the answer holds no credential")
}

/// The managed identity of a virtual machine at Azure.
#[derive(Clone)]
pub(super) struct AzureInstance {
    address: String,
    /// The client of one of several identities.
    client: Option<String>,
}

/// The access token, and the seconds that it lives as text.
#[derive(Deserialize)]
struct AzureToken {
    access_token: String,
    expires_in: String,
}

impl AzureInstance {
    pub(super) fn of(env: &Env) -> Option<Self> {
        let address = env.var("AZURE_POD_IDENTITY_AUTHORITY_HOST").unwrap_or("http://169.254.169.254");
        let client = env.var("AZURE_CLIENT_ID").map(str::to_owned);
        env.flag(ALLOWED_BY).then(|| AzureInstance { address: address.to_owned(), client })
    }
}

#[async_trait]
impl Exchange for AzureInstance {
    type Credential = AzureCredential;

    async fn issue(&self, issuer: &Issuer) -> Result<Issued<AzureCredential>, RenewalError> {
        let client = self.client.as_ref().map(|client| format!("&client_id={}", encoded(client)));
        let url = format!(
            "{}/metadata/identity/oauth2/token?api-version=2018-02-01&resource={}{}",
            self.address.trim_end_matches('/'),
            encoded("https://storage.azure.com/"),
            client.unwrap_or_default()
        );
        let answer = ask(issuer, Method::GET, &url, &[("metadata", "true")]).await?;
        let token: AzureToken = serde_json::from_slice(&answer).map_err(|_| unusable())?;
        let seconds = token.expires_in.parse().map_err(|_| unusable())?;
        Ok(Issued {
            secrets: vec![Secret::new(token.access_token.clone())],
            credential: AzureCredential::BearerToken(token.access_token),
            expires_at: issuer.expires_in(seconds),
        })
    }
}

/// The role of a virtual machine at AWS, or of a container there.
#[derive(Clone)]
pub(super) enum AwsInstance {
    Machine { address: String },
    Container { url: String, token: Option<Secret> },
}

impl AwsInstance {
    pub(super) fn of(env: &Env) -> Option<Self> {
        let container = || {
            let relative = env.var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
            let url = relative.map(|path| format!("http://169.254.170.2{path}"));
            let url = url.or_else(|| env.var("AWS_CONTAINER_CREDENTIALS_FULL_URI").map(str::to_owned))?;
            let token = env.var("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(Secret::new);
            Some(AwsInstance::Container { url, token })
        };
        let machine = || {
            let address = env.var("AWS_EC2_METADATA_SERVICE_ENDPOINT").unwrap_or("http://169.254.169.254");
            AwsInstance::Machine { address: address.trim_end_matches('/').to_owned() }
        };
        env.flag(ALLOWED_BY).then(|| container().unwrap_or_else(machine))
    }
}

#[async_trait]
impl Exchange for AwsInstance {
    type Credential = AwsCredential;

    async fn issue(&self, issuer: &Issuer) -> Result<Issued<AwsCredential>, RenewalError> {
        let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).map_err(|_| unusable());
        let answer = match self {
            AwsInstance::Container { url, token } => {
                let headers = token.as_ref().map(|token| ("authorization", token.expose()));
                ask(issuer, Method::GET, url, headers.as_slice()).await?
            }
            AwsInstance::Machine { address } => {
                let lifetime = [("x-aws-ec2-metadata-token-ttl-seconds", "300")];
                let sessions = format!("{address}/latest/api/token");
                let session = text(ask(issuer, Method::PUT, &sessions, &lifetime).await?)?;
                let headers = [("x-aws-ec2-metadata-token", session.as_str())];
                let roles = format!("{address}/latest/meta-data/iam/security-credentials/");
                let role = text(ask(issuer, Method::GET, &roles, &headers).await?)?;
                let role = role.lines().next().unwrap_or_default().trim();
                ask(issuer, Method::GET, &format!("{roles}{}", encoded(role)), &headers).await?
            }
        };
        let key: TemporaryKey = serde_json::from_slice(&answer).map_err(|_| unusable())?;
        Ok(key.into())
    }
}

/// The service account of a virtual machine at Google.
#[derive(Clone)]
pub(super) struct GoogleInstance {
    host: String,
}

#[derive(Deserialize)]
struct GoogleToken {
    access_token: String,
    expires_in: u64,
}

impl GoogleInstance {
    pub(super) fn of(env: &Env) -> Option<Self> {
        let host = env.var("GCE_METADATA_HOST").unwrap_or("metadata.google.internal");
        env.flag(ALLOWED_BY).then(|| GoogleInstance { host: host.to_owned() })
    }
}

#[async_trait]
impl Exchange for GoogleInstance {
    type Credential = GcpCredential;

    async fn issue(&self, issuer: &Issuer) -> Result<Issued<GcpCredential>, RenewalError> {
        let host = &self.host;
        let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
        let answer = ask(issuer, Method::GET, &url, &[("metadata-flavor", "Google")]).await?;
        let token: GoogleToken = serde_json::from_slice(&answer).map_err(|_| unusable())?;
        Ok(federation::issued(token.access_token, issuer.expires_in(token.expires_in)))
    }
}
