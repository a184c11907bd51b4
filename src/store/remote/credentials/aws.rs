//! Credentials and the address of S3, or of a service with its interface.

use std::sync::Arc;

use object_store::aws::{AmazonS3, AmazonS3Builder, AwsCredentialProvider};
use reqwest::Url;

use super::super::http::{Renewal, Requests, no_retries};
use super::found::{FoundCredential, NoCredential};
use super::id_token::IdTokenSource;
use super::instance::{self, AwsInstance};
use super::renewal::{Issuer, Renewing};
use super::sts::RoleExchange;
use crate::domain::secret::Secret;
use crate::platform::Env;

const LOOKED_FOR: &str = "AWS_ACCESS_KEY_ID with AWS_SECRET_ACCESS_KEY, AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE or \
                          GitHub's ID token, and CACHEKEEP_INSTANCE_IDENTITY=true";

/// The audience of ID tokens that AWS exchanges.
const AUDIENCE: &str = "sts.amazonaws.com";

/// The variable that chooses how a bucket is addressed: `true` for `https://host/bucket`, `false` for
/// `https://bucket.host`.
const PATH_STYLE: &str = "CACHEKEEP_S3_PATH_STYLE";

/// How to open a bucket.
pub(in crate::store::remote) struct AwsAccess {
    /// The region that requests are signed for.
    pub(in crate::store::remote) region: String,
    /// The URL of the bucket.
    pub(in crate::store::remote) bucket_url: String,
    credential: AwsCredential,
    source: &'static str,
}

enum AwsCredential {
    Key { id: String, secret: Secret, session: Option<Secret> },
    Role(RoleExchange),
    Instance(AwsInstance),
}

/// Finds the credential and the address of a bucket.
pub(in crate::store::remote) fn find(env: &Env, bucket: &str) -> Result<AwsAccess, NoCredential> {
    let (credential, source) = credential(env)?;
    let endpoint = env.var("AWS_ENDPOINT_URL_S3").or_else(|| env.var("AWS_ENDPOINT_URL"));
    let region = match region_of(env) {
        Some(region) => region.to_owned(),
        // Services with the interface of S3 do not care, and this is what clients give them.
        None if endpoint.is_some() => "us-east-1".to_owned(),
        None => {
            let text =
                "the region of the bucket is not known: neither AWS_REGION nor AWS_DEFAULT_REGION is set";
            return Err(NoCredential::unusable(text.to_owned()));
        }
    };
    let bucket_url = match endpoint {
        None if env.flag(PATH_STYLE) => format!("https://s3.{region}.amazonaws.com/{bucket}"),
        None => format!("https://{bucket}.s3.{region}.amazonaws.com"),
        Some(endpoint) => {
            let url = Url::parse(endpoint).ok().filter(Url::has_host).ok_or_else(|| {
                NoCredential::unusable(
                    "the address in AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL is not a URL".to_owned(),
                )
            })?;
            address(&url, bucket, env.var(PATH_STYLE).is_none() || env.flag(PATH_STYLE))
        }
    };
    Ok(AwsAccess { region, bucket_url, credential, source })
}

/// The URL of a bucket at an endpoint.
fn address(endpoint: &Url, bucket: &str, path_style: bool) -> String {
    let mut url = endpoint.clone();
    if !path_style {
        let host = format!("{bucket}.{}", url.host_str().unwrap_or_default());
        // An address of digits has no names below it.
        if url.set_host(Some(&host)).is_ok() {
            return url.as_str().trim_end_matches('/').to_owned();
        }
    }
    format!("{}/{bucket}", url.as_str().trim_end_matches('/'))
}

fn credential(env: &Env) -> Result<(AwsCredential, &'static str), NoCredential> {
    match (env.var("AWS_ACCESS_KEY_ID"), env.var("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            let session = env.var("AWS_SESSION_TOKEN").map(Secret::new);
            let source = match session {
                Some(_) => "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
                None => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            };
            return Ok((
                AwsCredential::Key { id: id.to_owned(), secret: Secret::new(secret), session },
                source,
            ));
        }
        (None, None) => {}
        (Some(_), None) => {
            return Err(NoCredential::unusable(alone("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")));
        }
        (None, Some(_)) => {
            return Err(NoCredential::unusable(alone("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")));
        }
    }
    if let Some(role) = env.var("AWS_ROLE_ARN") {
        let file = env.path("AWS_WEB_IDENTITY_TOKEN_FILE").map(|file| IdTokenSource::file(file, None));
        let by_file = file.map(|file| (file, "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN"));
        let github = || {
            let source = IdTokenSource::github(env, AUDIENCE)?;
            Some((source, "GitHub's ID token of this job, with AWS_ROLE_ARN"))
        };
        if let Some((id_token, source)) = by_file.or_else(github) {
            return Ok((AwsCredential::Role(role_exchange(env, role, id_token)), source));
        }
    }
    match AwsInstance::of(env) {
        Some(instance) => Ok((AwsCredential::Instance(instance), instance::SOURCE)),
        None => Err(NoCredential::absent("S3", LOOKED_FOR)),
    }
}

fn role_exchange(env: &Env, role: &str, id_token: IdTokenSource) -> RoleExchange {
    let endpoint = env.var("AWS_ENDPOINT_URL_STS").or_else(|| env.var("AWS_ENDPOINT_URL"));
    let of_region = || match region_of(env) {
        Some(region) if region.starts_with("cn-") => format!("https://sts.{region}.amazonaws.com.cn"),
        Some(region) => format!("https://sts.{region}.amazonaws.com"),
        None => "https://sts.amazonaws.com".to_owned(),
    };
    RoleExchange {
        endpoint: endpoint.map_or_else(of_region, str::to_owned),
        role: role.to_owned(),
        session_name: env.var("AWS_ROLE_SESSION_NAME").unwrap_or("cachekeep").to_owned(),
        id_token,
    }
}

fn region_of(env: &Env) -> Option<&str> {
    env.var("AWS_REGION").or_else(|| env.var("AWS_DEFAULT_REGION"))
}

fn alone(set: &str, missing: &str) -> String {
    format!("{set} is set and {missing} is not")
}

impl AwsAccess {
    /// What issues the credential; `None` where it is not issued.
    pub(in crate::store::remote) fn issued(
        &self,
        issuer: Issuer,
    ) -> Option<(AwsCredentialProvider, Arc<dyn Renewal>)> {
        match &self.credential {
            AwsCredential::Key { .. } => None,
            AwsCredential::Role(exchange) => {
                let renewing = Arc::new(Renewing::new(exchange.clone(), issuer));
                Some((Arc::clone(&renewing) as AwsCredentialProvider, renewing))
            }
            AwsCredential::Instance(instance) => {
                let renewing = Arc::new(Renewing::new(instance.clone(), issuer));
                Some((Arc::clone(&renewing) as AwsCredentialProvider, renewing))
            }
        }
    }

    /// A client for the bucket, with the credential that is issued where one is.
    pub(in crate::store::remote) fn client(
        &self,
        bucket: &str,
        requests: &Requests,
        issued: Option<AwsCredentialProvider>,
    ) -> object_store::Result<AmazonS3> {
        let builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&self.region)
            // The URL contains the bucket in either style.
            .with_endpoint(&self.bucket_url)
            .with_virtual_hosted_style_request(true)
            .with_retry(no_retries())
            // Not every service with the interface of S3 has bulk deletion.
            .with_disable_bulk_delete(true)
            .with_http_connector(requests.clone());
        let builder = match (&self.credential, issued) {
            (AwsCredential::Key { id, secret, session }, _) => {
                let builder = builder.with_access_key_id(id).with_secret_access_key(secret.expose());
                match session {
                    Some(token) => builder.with_token(token.expose()),
                    None => builder,
                }
            }
            (_, Some(issued)) => builder.with_credentials(issued),
            (AwsCredential::Role(_) | AwsCredential::Instance(_), None) => builder,
        };
        builder.build()
    }

    pub(super) fn found(&self) -> FoundCredential {
        let is_renewed = !matches!(self.credential, AwsCredential::Key { .. });
        let endpoint = self.bucket_url.clone();
        FoundCredential { source: self.source, expires_at: None, is_renewed, endpoint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(variables: &[(&str, &str)]) -> Result<AwsAccess, String> {
        find(&Env::of(variables.iter().copied()), "bucket").map_err(|error| error.to_string())
    }

    const KEY: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "i"), ("AWS_SECRET_ACCESS_KEY", "s")];

    #[test]
    fn a_bucket_is_addressed_as_its_service_wants_it() {
        let check = |more: &[(&str, &str)], expect: &str| {
            let found = found(&[&KEY, more].concat()).expect("found");
            assert_eq!(found.bucket_url, expect);
        };
        let region = ("AWS_REGION", "eu-west-1");
        check(&[region], "https://bucket.s3.eu-west-1.amazonaws.com");
        check(&[("AWS_DEFAULT_REGION", "us-west-2")], "https://bucket.s3.us-west-2.amazonaws.com");
        check(&[region, (PATH_STYLE, "true")], "https://s3.eu-west-1.amazonaws.com/bucket");
        check(&[("AWS_ENDPOINT_URL", "https://minio.example/")], "https://minio.example/bucket");
        let other = ("AWS_ENDPOINT_URL_S3", "https://r2.example");
        check(&[("AWS_ENDPOINT_URL", "https://minio.example"), other], "https://r2.example/bucket");
        check(&[other, (PATH_STYLE, "false")], "https://bucket.r2.example");
    }

    #[test]
    fn what_is_missing_is_named() {
        let why = |variables: &[(&str, &str)]| found(variables).err().expect("nothing usable");
        assert!(why(&[]).contains("AWS_WEB_IDENTITY_TOKEN_FILE"));
        assert_eq!(why(&KEY[..1]), "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not");
        assert!(why(&KEY).contains("AWS_REGION"));
        let identity =
            [("AWS_WEB_IDENTITY_TOKEN_FILE", "/f"), ("AWS_ROLE_ARN", "arn"), ("AWS_REGION", "eu-west-1")];
        assert_eq!(found(&identity).expect("found").source, "AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN");
    }
}
