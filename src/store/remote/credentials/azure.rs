//! Credentials for Azure Blob Storage.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use object_store::azure::{AzureCredentialProvider, MicrosoftAzure, MicrosoftAzureBuilder};
use reqwest::Url;

use super::super::http::{Renewal, Requests, no_retries};
use super::entra::{EntraExchange, PUBLIC_AUTHORITY, Proof};
use super::found::{FoundCredential, NoCredential};
use super::id_token::IdTokenSource;
use super::instance::{self, AzureInstance};
use super::renewal::{Issuer, Renewing};
use crate::domain::secret::Secret;
use crate::domain::shown::Shown;
use crate::platform::Env;

const LOOKED_FOR: &str = "AZURE_STORAGE_TOKEN, AZURE_STORAGE_KEY, AZURE_STORAGE_CONNECTION_STRING, AZURE_CLIENT_ID with \
                          AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_SECRET or GitHub's ID token, AZURE_STORAGE_SAS_TOKEN, \
                          AZURE_USE_AZURE_CLI=true, the service connection of a step of Azure Pipelines \
                          (AZURESUBSCRIPTION_SERVICE_CONNECTION_ID), and CACHEKEEP_INSTANCE_IDENTITY=true";

/// The audience of ID tokens that Microsoft Entra exchanges.
const AUDIENCE: &str = "api://AzureADTokenExchange";

/// How to open a storage account.
pub(in crate::store::remote) struct AzureAccess {
    /// The URL of the account's blob service.
    pub(in crate::store::remote) endpoint: String,
    pub(in crate::store::remote) account: String,
    credential: AzureCredential,
    source: &'static str,
}

enum AzureCredential {
    Token(Secret),
    Key(Secret),
    Exchanged(EntraExchange),
    Sas(Secret),
    Cli,
    Instance(AzureInstance),
}

/// Finds the credential for an account.
pub(in crate::store::remote) fn find(env: &Env, account: &str) -> Result<AzureAccess, NoCredential> {
    let connection = ConnectionString::parse(env.var("AZURE_STORAGE_CONNECTION_STRING").unwrap_or_default());
    let found = match credential(env, &connection) {
        Some(found) => Some(found),
        None => identity_of_job(env)?,
    };
    let (credential, source) = found.ok_or(NoCredential::absent("Azure Blob Storage", LOOKED_FOR))?;
    let named = match source {
        CONNECTION_STRING => connection.get("AccountName").map(|name| (CONNECTION_STRING, name)),
        _ => env.var("AZURE_STORAGE_ACCOUNT").map(|name| ("AZURE_STORAGE_ACCOUNT", name)),
    };
    if let Some((variable, named)) = named
        && named != account
        && matches!(credential, AzureCredential::Key(_) | AzureCredential::Sas(_))
    {
        return Err(NoCredential::unusable(format!(
            "the credential is for another account: {variable} names `{named}`, and the store is in `{account}`"
        )));
    }
    let endpoint = env.var("AZURE_STORAGE_SERVICE_ENDPOINT").or_else(|| connection.get("BlobEndpoint"));
    let suffix = connection.get("EndpointSuffix").unwrap_or("core.windows.net");
    let endpoint = endpoint.map_or_else(|| format!("https://{account}.blob.{suffix}"), str::to_owned);
    if Url::parse(&endpoint).is_err() {
        return Err(NoCredential::unusable("the address of the blob service is not a URL".to_owned()));
    }
    Ok(AzureAccess { endpoint, account: account.to_owned(), credential, source })
}

const CONNECTION_STRING: &str = "AZURE_STORAGE_CONNECTION_STRING";

type Found = (AzureCredential, &'static str);

fn credential(env: &Env, connection: &ConnectionString<'_>) -> Option<Found> {
    let secret = |name: &str| env.var(name).map(Secret::new);
    if let Some(token) = secret("AZURE_STORAGE_TOKEN") {
        return Some((AzureCredential::Token(token), "AZURE_STORAGE_TOKEN"));
    }
    for name in ["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY"] {
        if let Some(key) = secret(name) {
            return Some((AzureCredential::Key(key), name));
        }
    }
    if let Some(key) = connection.get("AccountKey") {
        return Some((AzureCredential::Key(Secret::new(key)), CONNECTION_STRING));
    }
    if let Some(signature) = connection.get("SharedAccessSignature") {
        return Some((AzureCredential::Sas(Secret::new(signature)), CONNECTION_STRING));
    }
    if let Some(file) = env.path("AZURE_FEDERATED_TOKEN_FILE")
        && let Some(exchange) = exchange(env, Proof::IdToken(IdTokenSource::file(file, None)))
    {
        return Some((exchange, "AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE"));
    }
    if let Some(secret) = secret("AZURE_CLIENT_SECRET")
        && let Some(exchange) = exchange(env, Proof::ClientSecret(secret))
    {
        return Some((exchange, "AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET"));
    }
    for name in ["AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY"] {
        if let Some(signature) = secret(name) {
            return Some((AzureCredential::Sas(signature), name));
        }
    }
    env.flag("AZURE_USE_AZURE_CLI").then_some((AzureCredential::Cli, "`az`, because of AZURE_USE_AZURE_CLI"))
}

/// The exchange for the client and the tenant of the environment.
fn exchange(env: &Env, proof: Proof) -> Option<AzureCredential> {
    Some(exchange_of(env, env.var("AZURE_CLIENT_ID")?, env.var("AZURE_TENANT_ID")?, proof))
}

fn exchange_of(env: &Env, client: &str, tenant: &str, proof: Proof) -> AzureCredential {
    let authority = env.var("AZURE_AUTHORITY_HOST").unwrap_or(PUBLIC_AUTHORITY).to_owned();
    let (client, tenant) = (client.to_owned(), tenant.to_owned());
    AzureCredential::Exchanged(EntraExchange { authority, tenant, client, proof })
}

/// What the job is: a service connection of Azure Pipelines, a job of GitHub Actions, a machine.
fn identity_of_job(env: &Env) -> Result<Option<Found>, NoCredential> {
    if let Some(found) = service_connection(env)? {
        return Ok(Some(found));
    }
    if let Some(source) = IdTokenSource::github(env, AUDIENCE)
        && let Some(exchange) = exchange(env, Proof::IdToken(source))
    {
        return Ok(Some((
            exchange,
            "GitHub's ID token of this job, with AZURE_CLIENT_ID and AZURE_TENANT_ID",
        )));
    }
    Ok(AzureInstance::of(env).map(|instance| (AzureCredential::Instance(instance), instance::SOURCE)))
}

/// The service connection of a step of Azure Pipelines: as AzureCLI@2 exports it, or an input of a task.
fn service_connection(env: &Env) -> Result<Option<Found>, NoCredential> {
    const HINT: &str = "pass `SYSTEM_ACCESSTOKEN: $(System.AccessToken)` in `env` of the step";
    let exported = env.var("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID");
    let Some(connection) = exported.or_else(|| env.var("INPUT_AZURESUBSCRIPTION")) else { return Ok(None) };
    let parameter = |name: &str| {
        // The agent writes names of variables in upper case.
        [connection.to_owned(), connection.to_ascii_uppercase()]
            .iter()
            .find_map(|id| env.var(&format!("ENDPOINT_AUTH_PARAMETER_{id}_{name}")))
    };
    let client = env.var("AZURESUBSCRIPTION_CLIENT_ID").or_else(|| parameter("SERVICEPRINCIPALID"));
    let tenant = env.var("AZURESUBSCRIPTION_TENANT_ID").or_else(|| parameter("TENANTID"));
    let (Some(client), Some(tenant)) = (client, tenant) else {
        let text =
            format!("the service connection `{}` names no client and tenant", Shown::value(connection));
        return Err(NoCredential::unusable(text));
    };
    if let Some(secret) = parameter("SERVICEPRINCIPALKEY") {
        let proof = Proof::ClientSecret(Secret::new(secret));
        return Ok(Some((exchange_of(env, client, tenant, proof), "the secret of the service connection")));
    }
    let job = env.var("ENDPOINT_AUTH_PARAMETER_SYSTEMVSSCONNECTION_ACCESSTOKEN");
    let Some(token) = env.var("SYSTEM_ACCESSTOKEN").or(job) else {
        let text = "the service connection cannot be used: SYSTEM_ACCESSTOKEN is not set";
        return Err(NoCredential::unusable(text).with_hint(HINT));
    };
    let Some(url) = env.var("SYSTEM_OIDCREQUESTURI") else {
        let text = "the service connection cannot be used: SYSTEM_OIDCREQUESTURI is not set";
        return Err(NoCredential::unusable(text));
    };
    let proof = Proof::IdToken(IdTokenSource::azure_pipelines(url, token, connection));
    Ok(Some((exchange_of(env, client, tenant, proof), "the service connection of this step")))
}

impl AzureAccess {
    /// What issues the credential; `None` where it is not issued.
    pub(in crate::store::remote) fn issued(
        &self,
        issuer: Issuer,
    ) -> Option<(AzureCredentialProvider, Arc<dyn Renewal>)> {
        match &self.credential {
            AzureCredential::Exchanged(exchange) => {
                let renewing = Arc::new(Renewing::new(exchange.clone(), issuer));
                Some((Arc::clone(&renewing) as AzureCredentialProvider, renewing))
            }
            AzureCredential::Instance(instance) => {
                let renewing = Arc::new(Renewing::new(instance.clone(), issuer));
                Some((Arc::clone(&renewing) as AzureCredentialProvider, renewing))
            }
            _ => None,
        }
    }

    /// A client for a container, with the credential that is issued where one is.
    pub(in crate::store::remote) fn client(
        &self,
        container: &str,
        requests: &Requests,
        issued: Option<AzureCredentialProvider>,
    ) -> object_store::Result<MicrosoftAzure> {
        let builder = MicrosoftAzureBuilder::new()
            .with_account(&self.account)
            .with_container_name(container)
            .with_endpoint(self.endpoint.clone())
            .with_retry(no_retries())
            .with_http_connector(requests.clone());
        if let Some(issued) = issued {
            return builder.with_credentials(issued).build();
        }
        // The kind is forced: where the crate chooses, it may choose the metadata service.
        let builder = match &self.credential {
            AzureCredential::Token(token) => {
                builder.with_bearer_token_authorization(token.expose()).with_credential_type("bearer_token")
            }
            AzureCredential::Key(key) => {
                builder.with_access_key(key.expose()).with_credential_type("access_key")
            }
            AzureCredential::Sas(signature) => {
                let pairs = object_store::azure::split_sas(signature.expose())?;
                builder.with_sas_authorization(pairs).with_credential_type("sas_token")
            }
            AzureCredential::Cli => builder.with_credential_type("azure_cli"),
            // They are issued.
            AzureCredential::Exchanged(_) | AzureCredential::Instance(_) => builder,
        };
        builder.build()
    }

    pub(super) fn found(&self) -> FoundCredential {
        let expires_at = match &self.credential {
            AzureCredential::Sas(signature) => expiry_of(signature.expose()),
            _ => None,
        };
        let is_renewed =
            matches!(self.credential, AzureCredential::Exchanged(_) | AzureCredential::Instance(_));
        FoundCredential { source: self.source, expires_at, is_renewed, endpoint: self.endpoint.clone() }
    }
}

/// When a shared access signature expires: its field `se`.
fn expiry_of(signature: &str) -> Option<DateTime<Utc>> {
    let url = Url::parse(&format!("https://host/?{}", signature.trim_start_matches('?'))).ok()?;
    let (_, time) = url.query_pairs().find(|(name, _)| name == "se")?;
    DateTime::parse_from_rfc3339(&time).ok().map(|time| time.with_timezone(&Utc))
}

/// `AccountName=…;AccountKey=…`, as the portal and `az` give it.
struct ConnectionString<'a>(Vec<(&'a str, &'a str)>);

impl<'a> ConnectionString<'a> {
    fn parse(text: &'a str) -> Self {
        // Keys end in `=`, signatures contain it.
        ConnectionString(text.split(';').filter_map(|field| field.trim().split_once('=')).collect())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<FoundCredential, String> {
        let env = Env::of(variables.iter().copied());
        find(&env, "acme").map(|access| access.found()).map_err(|error| error.to_string())
    }

    #[test]
    fn credentials_are_found_in_the_order_of_the_cloud_s_own_tools() {
        let all = [
            ("AZURE_STORAGE_TOKEN", "t"),
            ("AZURE_STORAGE_KEY", "a2V5"),
            ("AZURE_STORAGE_CONNECTION_STRING", "AccountName=acme;AccountKey=a2V5=="),
            ("AZURE_CLIENT_ID", "c"),
            ("AZURE_TENANT_ID", "t"),
            ("AZURE_FEDERATED_TOKEN_FILE", "/f"),
            ("AZURE_CLIENT_SECRET", "s"),
            ("AZURE_STORAGE_SAS_TOKEN", "?sv=1&se=2026-12-01T10%3A00%3A00Z&sig=x"),
            ("AZURE_USE_AZURE_CLI", "true"),
        ];
        let sources: Vec<&str> =
            (0..all.len()).filter_map(|first| Some(found(&all[first..]).ok()?.source)).collect();
        assert_eq!(
            sources,
            [
                "AZURE_STORAGE_TOKEN",
                "AZURE_STORAGE_KEY",
                "AZURE_STORAGE_CONNECTION_STRING",
                "AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_FEDERATED_TOKEN_FILE",
                // An identity without its client is not used.
                "AZURE_STORAGE_SAS_TOKEN",
                "AZURE_STORAGE_SAS_TOKEN",
                "AZURE_STORAGE_SAS_TOKEN",
                "AZURE_STORAGE_SAS_TOKEN",
                "`az`, because of AZURE_USE_AZURE_CLI",
            ]
        );
        let secret =
            found(&[("AZURE_CLIENT_ID", "c"), ("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_SECRET", "s")]);
        assert_eq!(secret.expect("found").source, "AZURE_CLIENT_ID, AZURE_TENANT_ID and AZURE_CLIENT_SECRET");
        assert!(found(&[]).expect_err("none").contains("AZURE_STORAGE_CONNECTION_STRING"));
    }

    #[test]
    fn a_signature_says_when_it_expires_and_a_connection_string_where_the_service_is() {
        let signed =
            found(&[("AZURE_STORAGE_SAS_TOKEN", "?sv=1&se=2026-12-01T10%3A00%3A00Z&sig=x")]).expect("found");
        assert_eq!(signed.expires_at.map(|at| at.to_rfc3339()).as_deref(), Some("2026-12-01T10:00:00+00:00"));
        assert_eq!(signed.endpoint, "https://acme.blob.core.windows.net");
        let text = "AccountName=acme;AccountKey=a2V5==;BlobEndpoint=http://127.0.0.1:1/acme;";
        let china = "AccountName=acme;AccountKey=a2V5==;EndpointSuffix=core.chinacloudapi.cn";
        let abroad = found(&[("AZURE_STORAGE_CONNECTION_STRING", china)]).expect("found");
        assert_eq!(abroad.endpoint, "https://acme.blob.core.chinacloudapi.cn");
        let emulated = found(&[("AZURE_STORAGE_CONNECTION_STRING", text)]).expect("found");
        assert_eq!(emulated.endpoint, "http://127.0.0.1:1/acme");
    }

    #[test]
    fn a_key_of_another_account_is_not_used() {
        let other = found(&[("AZURE_STORAGE_ACCOUNT", "other"), ("AZURE_STORAGE_KEY", "a2V5")]);
        assert!(other.expect_err("refused").contains("AZURE_STORAGE_ACCOUNT names `other`"));
        let other = found(&[("AZURE_STORAGE_CONNECTION_STRING", "AccountName=other;AccountKey=a2V5")]);
        assert!(other.expect_err("refused").contains("AZURE_STORAGE_CONNECTION_STRING names `other`"));
        // A token is for a tenant, whatever account is the default of `az`.
        assert!(found(&[("AZURE_STORAGE_ACCOUNT", "other"), ("AZURE_STORAGE_TOKEN", "t")]).is_ok());
    }
}
