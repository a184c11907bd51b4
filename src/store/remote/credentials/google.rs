//! Credentials for Google Cloud Storage.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::StaticCredentialProvider;
use object_store::gcp::{
    GcpCredential, GcpCredentialProvider, GoogleCloudStorage, GoogleCloudStorageBuilder,
};
use serde::Deserialize;

use super::super::http::{Renewal, Requests, no_retries};
use super::federation::{JWT, PoolExchange};
use super::found::{FoundCredential, NoCredential};
use super::id_token::IdTokenSource;
use super::instance::{self, GoogleInstance};
use super::renewal::{Issuer, Renewing};
use crate::domain::secret::Secret;
use crate::fs::read::read_regular;
use crate::platform::Env;
use crate::store::remote::signed::encoded;

const LOOKED_FOR: &str = "GOOGLE_OAUTH_ACCESS_TOKEN, CLOUDSDK_AUTH_ACCESS_TOKEN, GOOGLE_APPLICATION_CREDENTIALS, \
                          CACHEKEEP_GOOGLE_PROVIDER with GitHub's ID token, the file that `gcloud auth application-default \
                          login` writes, and CACHEKEEP_INSTANCE_IDENTITY=true";

/// The variable with the name of a provider of workload identities, `projects/…/providers/…`.
const PROVIDER: &str = "CACHEKEEP_GOOGLE_PROVIDER";

/// The variable with the address of the service account whose rights the job has.
const ACCOUNT: &str = "CACHEKEEP_GOOGLE_SERVICE_ACCOUNT";

/// Upper bound for a file of credentials, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// How to open a bucket.
pub(in crate::store::remote) struct GoogleAccess {
    /// The URL of the service, without a slash at its end.
    pub(in crate::store::remote) endpoint: String,
    credential: GoogleCredential,
    source: &'static str,
}

enum GoogleCredential {
    Token(Secret),
    File(PathBuf),
    Pool(PoolExchange),
    Instance(GoogleInstance),
}

/// Finds the credential.
pub(in crate::store::remote) fn find(env: &Env) -> Result<GoogleAccess, NoCredential> {
    // What Google's own clients read; an emulator wants no credential.
    let emulator = env.var("STORAGE_EMULATOR_HOST").map(|host| host.trim_end_matches('/').to_owned());
    let (credential, source) = match credential(env)? {
        Some(found) => found,
        None if emulator.is_some() => (GoogleCredential::Token(Secret::new("none")), "STORAGE_EMULATOR_HOST"),
        None => return Err(NoCredential::absent("Google Cloud Storage", LOOKED_FOR)),
    };
    let endpoint = emulator.unwrap_or_else(|| "https://storage.googleapis.com".to_owned());
    Ok(GoogleAccess { endpoint, credential, source })
}

fn credential(env: &Env) -> Result<Option<(GoogleCredential, &'static str)>, NoCredential> {
    for name in ["GOOGLE_OAUTH_ACCESS_TOKEN", "CLOUDSDK_AUTH_ACCESS_TOKEN"] {
        if let Some(token) = env.var(name) {
            return Ok(Some((GoogleCredential::Token(Secret::new(token)), name)));
        }
    }
    if let Some(file) = env.path("GOOGLE_APPLICATION_CREDENTIALS") {
        return Ok(Some((of_file(file)?, "GOOGLE_APPLICATION_CREDENTIALS")));
    }
    if let Some(exchange) = github(env)? {
        let source = "GitHub's ID token of this job, with CACHEKEEP_GOOGLE_PROVIDER";
        return Ok(Some((GoogleCredential::Pool(exchange), source)));
    }
    let well_known = env
        .path("APPDATA")
        .or_else(|| env.path("HOME").map(|home| home.join(".config")))
        .map(|base| base.join("gcloud/application_default_credentials.json"));
    if let Some(credential) = well_known.and_then(|file| of_file(file).ok()) {
        return Ok(Some((credential, "the application default credentials of `gcloud`")));
    }
    Ok(GoogleInstance::of(env).map(|instance| (GoogleCredential::Instance(instance), instance::SOURCE)))
}

/// The exchange of GitHub's ID token at the provider that is named; `None` where none is.
fn github(env: &Env) -> Result<Option<PoolExchange>, NoCredential> {
    let Some(provider) = env.var(PROVIDER) else { return Ok(None) };
    let name = provider.trim_start_matches("https:").trim_start_matches("//iam.googleapis.com/");
    let audience = format!("//iam.googleapis.com/{name}");
    let Some(id_token) = IdTokenSource::github(env, &format!("https:{audience}")) else {
        let text = format!("{PROVIDER} is set, and this job gets no ID token from GitHub");
        return Err(NoCredential::unusable(text).with_hint("give the job `permissions: id-token: write`"));
    };
    let host =
        |variable: &str, default: &str| env.var(variable).unwrap_or(default).trim_end_matches('/').to_owned();
    let sts = host("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", "https://sts.googleapis.com");
    let iam = host("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", "https://iamcredentials.googleapis.com");
    Ok(Some(PoolExchange {
        token_url: format!("{sts}/v1/token"),
        audience,
        id_token_type: JWT.to_owned(),
        id_token,
        impersonation_url: env.var(ACCOUNT).map(|account| {
            format!("{iam}/v1/projects/-/serviceAccounts/{}:generateAccessToken", encoded(account))
        }),
    }))
}

/// The credential in a file, which must be of a known type.
fn of_file(file: PathBuf) -> Result<GoogleCredential, NoCredential> {
    #[derive(Deserialize)]
    struct CredentialFile {
        #[serde(rename = "type")]
        kind: String,
    }
    let unusable = |why: String| {
        NoCredential::unusable(format!(
            "cannot use GOOGLE_APPLICATION_CREDENTIALS, `{}`: {why}",
            file.display()
        ))
    };
    let bytes = read_regular(&file, MAX_FILE).map_err(|error| unusable(error.to_string()))?;
    // The text of a parser's error may repeat what it read.
    let parsed = serde_json::from_slice::<CredentialFile>(&bytes);
    match parsed.map_err(|_| unusable("it is not a file of credentials".to_owned()))?.kind.as_str() {
        "service_account" | "authorized_user" => Ok(GoogleCredential::File(file)),
        "external_account" => {
            let exchange = PoolExchange::of_file(&bytes).map_err(|why| unusable(why.to_owned()))?;
            Ok(GoogleCredential::Pool(exchange))
        }
        _ => Err(unusable(
            "it is neither a service account, an external account nor an authorized user".to_owned(),
        )),
    }
}

impl GoogleAccess {
    /// What issues the credential; `None` where the crate does, or where it is not issued.
    pub(in crate::store::remote) fn issued(
        &self,
        issuer: Issuer,
    ) -> Option<(GcpCredentialProvider, Arc<dyn Renewal>)> {
        match &self.credential {
            GoogleCredential::Token(_) | GoogleCredential::File(_) => None,
            GoogleCredential::Pool(exchange) => {
                let renewing = Arc::new(Renewing::new(exchange.clone(), issuer));
                Some((Arc::clone(&renewing) as GcpCredentialProvider, renewing))
            }
            GoogleCredential::Instance(instance) => {
                let renewing = Arc::new(Renewing::new(instance.clone(), issuer));
                Some((Arc::clone(&renewing) as GcpCredentialProvider, renewing))
            }
        }
    }

    /// A client for a bucket, with the credential that is issued where one is.
    pub(in crate::store::remote) fn client(
        &self,
        bucket: &str,
        requests: &Requests,
        issued: Option<GcpCredentialProvider>,
    ) -> object_store::Result<GoogleCloudStorage> {
        let builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(bucket)
            .with_base_url(&self.endpoint)
            .with_retry(no_retries())
            .with_http_connector(requests.clone());
        match (&self.credential, issued) {
            (GoogleCredential::Token(token), _) => {
                let bearer = token.expose().to_owned();
                builder.with_credentials(Arc::new(StaticCredentialProvider::new(GcpCredential { bearer })))
            }
            (GoogleCredential::File(file), _) => {
                builder.with_application_credentials(file.display().to_string())
            }
            (_, Some(issued)) => builder.with_credentials(issued),
            (GoogleCredential::Pool(_) | GoogleCredential::Instance(_), None) => builder,
        }
        .build()
    }

    pub(super) fn found(&self) -> FoundCredential {
        // The crate renews the tokens of a file.
        let is_renewed = !matches!(self.credential, GoogleCredential::Token(_));
        let endpoint = self.endpoint.clone();
        FoundCredential { source: self.source, expires_at: None, is_renewed, endpoint }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "the test writes a file of credentials")]

    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<FoundCredential, String> {
        find(&Env::of(variables.iter().copied()))
            .map(|access| access.found())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn tokens_come_before_files_and_what_is_missing_is_named() {
        let token =
            found(&[("GOOGLE_OAUTH_ACCESS_TOKEN", "t"), ("GOOGLE_APPLICATION_CREDENTIALS", "/absent")]);
        assert_eq!(token.expect("found").source, "GOOGLE_OAUTH_ACCESS_TOKEN");
        assert!(found(&[]).expect_err("none").contains("GOOGLE_APPLICATION_CREDENTIALS"));
        let emulator = found(&[("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1/")]).expect("found");
        assert_eq!(emulator.endpoint, "http://127.0.0.1:1");
    }

    #[test]
    fn a_file_says_what_it_is() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("credentials.json");
        let with = |text: &str| {
            std::fs::write(&file, text).expect("a file");
            found(&[("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().expect("a path"))])
        };
        assert!(with(r#"{"type": "authorized_user"}"#).is_ok());
        let external = with(r#"{"type": "external_account"}"#).expect_err("refused");
        assert!(external.contains("a field of its `external_account` is missing"), "{external}");
        let of = |source: &str| {
            with(&format!(
                r#"{{"type": "external_account", "audience": "//iam.googleapis.com/p", "subject_token_type": "{JWT}",
                     "token_url": "https://sts.googleapis.com/v1/token", "credential_source": {source}}}"#
            ))
        };
        assert!(of(r#"{"file": "/token"}"#).expect("found").is_renewed);
        assert!(of(r#"{"url": "https://h/", "headers": {"A": "b"}, "format": {"type": "text"}}"#).is_ok());
        let program = of(r#"{"executable": {"command": "/bin/x"}}"#).expect_err("refused");
        assert!(program.contains("only `file` and `url` are supported"), "{program}");
        let json = of(r#"{"file": "/token", "format": {"type": "json"}}"#).expect_err("refused");
        assert!(json.contains("subject_token_field_name"), "{json}");
        let damaged = with("hush").expect_err("refused");
        assert!(damaged.contains("not a file of credentials") && !damaged.contains("hush"), "{damaged}");
    }
}
