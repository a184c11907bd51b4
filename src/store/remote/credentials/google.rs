//! Credentials for Google Cloud Storage.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::StaticCredentialProvider;
use object_store::gcp::{GcpCredential, GoogleCloudStorage, GoogleCloudStorageBuilder};
use serde::Deserialize;

use super::super::http::{Requests, no_retries};
use super::found::{FoundCredential, NoCredential};
use crate::domain::secret::Secret;
use crate::fs::read::read_regular;
use crate::platform::Env;

const LOOKED_FOR: &str = "GOOGLE_OAUTH_ACCESS_TOKEN, CLOUDSDK_AUTH_ACCESS_TOKEN, GOOGLE_APPLICATION_CREDENTIALS, and the file \
                          that `gcloud auth application-default login` writes";

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
        check_file(&file)?;
        return Ok(Some((GoogleCredential::File(file), "GOOGLE_APPLICATION_CREDENTIALS")));
    }
    let well_known = env
        .path("APPDATA")
        .or_else(|| env.path("HOME").map(|home| home.join(".config")))
        .map(|base| base.join("gcloud/application_default_credentials.json"));
    Ok(well_known
        .filter(|file| check_file(file).is_ok())
        .map(|file| (GoogleCredential::File(file), "the application default credentials of `gcloud`")))
}

/// Fails unless a file holds credentials of a known type.
fn check_file(file: &Path) -> Result<(), NoCredential> {
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
    let bytes = read_regular(file, MAX_FILE).map_err(|error| unusable(error.to_string()))?;
    // The text of a parser's error may repeat what it read.
    let parsed = serde_json::from_slice::<CredentialFile>(&bytes);
    match parsed.map_err(|_| unusable("it is not a file of credentials".to_owned()))?.kind.as_str() {
        "service_account" | "authorized_user" => Ok(()),
        "external_account" => Err(unusable(
            "workload identity federation is not supported; exchange it for an access token first, such as with \
             `token_format: access_token` of google-github-actions/auth, and set GOOGLE_OAUTH_ACCESS_TOKEN"
                .to_owned(),
        )),
        _ => Err(unusable("it is neither a service account nor an authorized user".to_owned())),
    }
}

impl GoogleAccess {
    /// A client for a bucket.
    pub(in crate::store::remote) fn client(
        &self,
        bucket: &str,
        requests: &Requests,
    ) -> object_store::Result<GoogleCloudStorage> {
        let builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(bucket)
            .with_base_url(&self.endpoint)
            .with_retry(no_retries())
            .with_http_connector(requests.clone());
        match &self.credential {
            GoogleCredential::Token(token) => {
                let bearer = token.expose().to_owned();
                builder.with_credentials(Arc::new(StaticCredentialProvider::new(GcpCredential { bearer })))
            }
            GoogleCredential::File(file) => builder.with_application_credentials(file.display().to_string()),
        }
        .build()
    }

    pub(super) fn found(&self) -> FoundCredential {
        FoundCredential { source: self.source, expires_at: None, endpoint: self.endpoint.clone() }
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
        assert!(
            with(r#"{"type": "external_account"}"#)
                .expect_err("refused")
                .contains("GOOGLE_OAUTH_ACCESS_TOKEN")
        );
        let damaged = with("hush").expect_err("refused");
        assert!(damaged.contains("not a file of credentials") && !damaged.contains("hush"), "{damaged}");
    }
}
