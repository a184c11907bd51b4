//! Fakes of what issues credentials to jobs and machines, on one port: ID tokens of GitHub and Azure Pipelines, their
//! exchange at Microsoft Entra, AWS and Google, and the metadata addresses of machines. The clock is the test's.
//!
//! Each rule names the document that it is from. ID tokens have no valid signature: the fake knows what it issued.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;

use super::front::Guard;
use super::real::{KEY, SECRET, Variables};
use super::{gcs, sigv4};
use crate::capture::secret;
use crate::github_service::http::{Answer, Fault, Request, Server, Service};
use crate::github_service::signing::{ACCOUNT, account_signature};

pub const CLIENT: &str = "6731de76-14a6-49ae-97bc-6eba6914391e";
pub const TENANT: &str = "a8990e1f-ff32-408a-9f8e-78d3b9139b95";
pub const CONNECTION: &str = "2b0f3a7e-5c11-4c52-9e0b-9f1c7d1a6e55";
pub const ROLE: &str = "arn:aws:iam::123456789012:role/caches";
pub const PROVIDER: &str = "projects/123/locations/global/workloadIdentityPools/ci/providers/github";
pub const SERVICE_ACCOUNT: &str = "caches@acme.iam.gserviceaccount.com";
const CLIENT_SECRET: &str = "hush~of-the-service-principal";
const REQUEST_TOKEN: &str = "request-token-of-the-job";
const ACCESS_TOKEN: &str = "access-token-of-the-job";
const SESSION: &str = "session-of-the-machine";

/// The cloud that a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    Azure,
    Aws,
    /// A token of the workload identity pool, with which accounts are impersonated.
    GooglePool,
    Google,
}

/// What a job proves its identity with.
#[derive(Debug, Clone, PartialEq, Eq)]
enum For {
    /// An ID token with this audience.
    Audience(String),
    Access(Cloud),
}

/// A token that was issued.
struct Issued {
    text: String,
    purpose: For,
    expires_at: DateTime<Utc>,
}

struct State {
    clock: fn() -> DateTime<Utc>,
    /// How long tokens of clouds live, in seconds.
    lifetime: AtomicI64,
    /// A part of the path of requests that are refused.
    refused: Mutex<Option<&'static str>>,
    issued: Mutex<Vec<Issued>>,
    asked: Mutex<Vec<String>>,
    admitted: Mutex<Vec<String>>,
}

/// A running fake.
pub struct Identity {
    server: Server,
    state: Arc<State>,
}

impl Identity {
    /// One that tells the time by this clock, and whose tokens live for ten minutes.
    pub fn start(clock: fn() -> DateTime<Utc>) -> Self {
        let state = Arc::new(State {
            clock,
            lifetime: AtomicI64::new(600),
            refused: Mutex::default(),
            issued: Mutex::default(),
            asked: Mutex::default(),
            admitted: Mutex::default(),
        });
        Identity { server: Server::start(Arc::clone(&state) as Arc<dyn Service>), state }
    }

    /// How long tokens of clouds live from now on.
    pub fn set_lifetime(&self, seconds: i64) {
        self.state.lifetime.store(seconds, Ordering::Relaxed);
    }

    /// Refuses requests with this in their path from now on, or with `None` none.
    pub fn refuse(&self, path: Option<&'static str>) {
        *self.state.refused.lock().expect("no panic") = path;
    }

    /// The method and the path of every request so far.
    pub fn asked(&self) -> Vec<String> {
        self.state.asked.lock().expect("no panic").clone()
    }

    /// The method and target of every request that its guards admitted so far.
    pub fn admitted(&self) -> Vec<String> {
        self.state.admitted.lock().expect("no panic").clone()
    }

    /// All tokens that were issued.
    pub fn tokens(&self) -> Vec<String> {
        self.state.issued.lock().expect("no panic").iter().map(|issued| issued.text.clone()).collect()
    }

    /// An ID token as another program would have written it to a file.
    pub fn id_token(&self, audience: &str) -> String {
        self.state.id_token(audience, 600)
    }

    /// What admits requests with tokens of this fake to a service.
    pub fn guard(&self, cloud: Cloud) -> Arc<dyn Guard> {
        Arc::new(Admitting { state: Arc::clone(&self.state), cloud })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port)
    }

    /// The variables of a job of GitHub Actions with `id-token: write`.
    pub fn github(&self) -> Variables {
        secret("request token", REQUEST_TOKEN);
        vec![
            ("ACTIONS_ID_TOKEN_REQUEST_URL", format!("{}/github/idtoken?api-version=2.0", self.url())),
            ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN.to_owned()),
        ]
    }

    /// The variables of a step of AzureCLI@2.
    pub fn azure_cli_task(&self) -> Variables {
        secret("access token of a job", ACCESS_TOKEN);
        vec![
            ("SYSTEM_OIDCREQUESTURI", format!("{}/hubs/build/oidctoken", self.url())),
            ("SYSTEM_ACCESSTOKEN", ACCESS_TOKEN.to_owned()),
            ("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID", CONNECTION.to_owned()),
            ("AZURESUBSCRIPTION_CLIENT_ID", CLIENT.to_owned()),
            ("AZURESUBSCRIPTION_TENANT_ID", TENANT.to_owned()),
        ]
    }

    /// The variables of a task with a service connection as an input.
    pub fn task_input(&self) -> Variables {
        vec![
            ("SYSTEM_OIDCREQUESTURI", format!("{}/hubs/build/oidctoken", self.url())),
            ("ENDPOINT_AUTH_PARAMETER_SYSTEMVSSCONNECTION_ACCESSTOKEN", ACCESS_TOKEN.to_owned()),
            ("INPUT_AZURESUBSCRIPTION", CONNECTION.to_owned()),
            (
                "ENDPOINT_AUTH_PARAMETER_2B0F3A7E-5C11-4C52-9E0B-9F1C7D1A6E55_SERVICEPRINCIPALID",
                CLIENT.to_owned(),
            ),
            ("ENDPOINT_AUTH_PARAMETER_2B0F3A7E-5C11-4C52-9E0B-9F1C7D1A6E55_TENANTID", TENANT.to_owned()),
        ]
    }

    /// The client and the tenant of a workflow.
    pub fn azure_client(&self) -> Variables {
        vec![("AZURE_CLIENT_ID", CLIENT.to_owned()), ("AZURE_TENANT_ID", TENANT.to_owned())]
    }

    /// A service principal with a secret.
    pub fn client_secret(&self) -> Variables {
        secret("client secret", CLIENT_SECRET);
        [self.azure_client(), vec![("AZURE_CLIENT_SECRET", CLIENT_SECRET.to_owned())]].concat()
    }

    /// The provider and, where there is one, the account of a workflow for Google.
    pub fn google_provider(&self, account: Option<&str>) -> Variables {
        let mut variables = vec![("CACHEKEEP_GOOGLE_PROVIDER", PROVIDER.to_owned())];
        variables.extend(account.map(|account| ("CACHEKEEP_GOOGLE_SERVICE_ACCOUNT", account.to_owned())));
        variables
    }

    /// A file of the type `external_account` with this source of ID tokens (google.aip.dev/auth/4117).
    pub fn external_account(&self, source: &serde_json::Value) -> String {
        let account = json!({
            "type": "external_account",
            "audience": format!("//iam.googleapis.com/{PROVIDER}"),
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": format!("{}/v1/token", self.url()),
            "service_account_impersonation_url":
                format!("{}/v1/projects/-/serviceAccounts/{SERVICE_ACCOUNT}:generateAccessToken", self.url()),
            "credential_source": source,
        });
        account.to_string()
    }

    /// A source of ID tokens as google-github-actions/auth writes it.
    pub fn address_of_github(&self) -> serde_json::Value {
        let [(_, url), (_, token)] = self.github().try_into().expect("two variables");
        json!({
            "url": format!("{url}&audience=https%3A%2F%2Fiam.googleapis.com%2F{}", PROVIDER.replace('/', "%2F")),
            "headers": {"Authorization": format!("Bearer {token}")},
            "format": {"type": "json", "subject_token_field_name": "value"},
        })
    }

    /// The addresses at which a cloud issues credentials, and that of its store behind a front.
    pub fn addresses(&self, cloud: Cloud, front: u16) -> Variables {
        let (url, front) = (self.url(), format!("http://127.0.0.1:{front}"));
        match cloud {
            Cloud::Azure => vec![
                ("AZURE_AUTHORITY_HOST", url.clone()),
                ("AZURE_STORAGE_SERVICE_ENDPOINT", format!("{front}/{ACCOUNT}")),
                ("AZURE_POD_IDENTITY_AUTHORITY_HOST", url),
            ],
            Cloud::Aws => vec![
                ("AWS_ENDPOINT_URL_STS", url.clone()),
                ("AWS_ENDPOINT_URL_S3", front),
                ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url),
            ],
            Cloud::Google | Cloud::GooglePool => vec![
                ("CLOUDSDK_API_ENDPOINT_OVERRIDES_STS", url.clone()),
                ("CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS", url),
                ("STORAGE_EMULATOR_HOST", front),
                ("GCE_METADATA_HOST", format!("127.0.0.1:{}", self.server.port)),
            ],
        }
    }
}

impl Service for State {
    fn fault(&self, _method: &str, path: &str, _query: &str) -> Fault {
        let refused = *self.refused.lock().expect("no panic");
        match refused.filter(|part| path.contains(part)) {
            Some(_) => Fault::Answer(403, Vec::new(), String::new()),
            None => Fault::None,
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        let target = format!("{} {}", request.method, request.path);
        self.asked.lock().expect("no panic").push(target.clone());
        let entra = format!("POST /{TENANT}/oauth2/v2.0/token");
        let account = format!("POST /v1/projects/-/serviceAccounts/{SERVICE_ACCOUNT}:generateAccessToken");
        match target.replace("%40", "@").as_str() {
            "GET /github/idtoken" => self.github_id_token(request),
            "POST /hubs/build/oidctoken" => self.pipelines_id_token(request),
            "POST /" => self.assume_role(request),
            "POST /v1/token" => self.exchange_at_google(request),
            "GET /metadata/identity/oauth2/token" => self.azure_instance(request),
            "PUT /latest/api/token" => aws_session(request),
            "GET /latest/meta-data/iam/security-credentials/" => aws_role(request),
            "GET /latest/meta-data/iam/security-credentials/caches" => self.aws_instance(request),
            "GET /container/credentials" => Answer::json(200, &self.key("Token")),
            "GET /computeMetadata/v1/instance/service-accounts/default/token" => {
                self.google_instance(request)
            }
            target if target == entra => self.exchange_at_entra(request),
            target if target == account => self.impersonate(request),
            _ => Answer::of(404),
        }
    }
}

fn is_bearer(request: &Request, token: &str) -> bool {
    request.header("authorization") == Some(&format!("Bearer {token}"))
}

impl State {
    fn issue(&self, text: String, purpose: For, seconds: i64) -> String {
        secret("issued token", &text);
        let expires_at = (self.clock)() + TimeDelta::seconds(seconds);
        self.issued.lock().expect("no panic").push(Issued { text: text.clone(), purpose, expires_at });
        text
    }

    fn id_token(&self, audience: &str, seconds: i64) -> String {
        let number = self.issued.lock().expect("no panic").len();
        let payload =
            json!({"iss": "https://issuer.example", "sub": "repo:acme/app", "aud": audience, "jti": number});
        let part = |value: &serde_json::Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
        let text = format!("{}.{}.c2lnbmF0dXJl", part(&json!({"alg": "RS256"})), part(&payload));
        self.issue(text, For::Audience(audience.to_owned()), seconds)
    }

    fn access_token(&self, cloud: Cloud) -> (String, i64) {
        let number = self.issued.lock().expect("no panic").len();
        let seconds = self.lifetime.load(Ordering::Relaxed);
        (self.issue(format!("hush.{cloud:?}.{number}"), For::Access(cloud), seconds), seconds)
    }

    /// `None` if the token was not issued for this; else whether it still holds.
    fn holds(&self, text: &str, purpose: &For) -> Option<bool> {
        let issued = self.issued.lock().expect("no panic");
        let found = issued.iter().find(|issued| issued.text == text && issued.purpose == *purpose)?;
        Some((self.clock)() < found.expires_at)
    }

    /// docs.github.com, "OpenID Connect reference": a GET with the job's bearer token; `audience` is that of the token,
    /// which lives for five minutes in the example there.
    fn github_id_token(&self, request: &Request) -> Answer {
        if !is_bearer(request, REQUEST_TOKEN) {
            return Answer::of(401);
        }
        let audience = request.parameter("audience").unwrap_or_else(|| "https://github.com/acme".to_owned());
        Answer::json(200, &json!({"value": self.id_token(&audience, 300)}))
    }

    /// learn.microsoft.com, REST "Oidctoken - Create": a POST with `serviceConnectionId`; the token lives for ten minutes
    /// (Azure/azure-cli#28708). Azure Pipelines sends browsers to a page of its own unless `X-TFS-FedAuthRedirect` is
    /// `Suppress` (azure-sdk, `AzurePipelinesCredential`).
    fn pipelines_id_token(&self, request: &Request) -> Answer {
        if !is_bearer(request, ACCESS_TOKEN) {
            return match request.header("x-tfs-fedauthredirect") {
                Some("Suppress") => Answer::of(401),
                _ => Answer::of(302).with("Location", "https://login.example/"),
            };
        }
        let version = request.parameter("api-version");
        let connection = request.parameter("serviceConnectionId");
        if version.as_deref() != Some("7.1") || connection.as_deref() != Some(CONNECTION) {
            return Answer::json(400, &json!({"message": "VssPropertyValidationException"}));
        }
        Answer::json(200, &json!({"oidcToken": self.id_token("api://AzureADTokenExchange", 600)}))
    }

    /// learn.microsoft.com, "OAuth 2.0 client credentials flow", cases 1 and 3, and "Microsoft Entra authentication and
    /// authorization error codes".
    fn exchange_at_entra(&self, request: &Request) -> Answer {
        let refused = |status: u16, error: &str, description: &str| {
            Answer::json(status, &json!({"error": error, "error_description": description}))
        };
        let field = |name: &str| request.field(name).unwrap_or_default();
        if field("grant_type") != "client_credentials" {
            return refused(400, "unsupported_grant_type", "AADSTS70003: the grant type is not supported");
        }
        if field("client_id") != CLIENT {
            return refused(400, "unauthorized_client", "AADSTS700016: Application was not found");
        }
        if field("scope") != "https://storage.azure.com/.default" {
            return refused(400, "invalid_scope", "AADSTS70011: the scope is not valid");
        }
        let jwt = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let proof = match (request.field("client_secret"), request.field("client_assertion")) {
            (Some(secret), None) if secret == CLIENT_SECRET => Ok(()),
            (None, Some(token)) if field("client_assertion_type") == jwt => {
                match self.holds(&token, &For::Audience("api://AzureADTokenExchange".to_owned())) {
                    Some(true) => Ok(()),
                    Some(false) => Err("AADSTS700024: Client assertion is not within its valid time range."),
                    None => Err("AADSTS700211: No matching federated identity record found"),
                }
            }
            _ => Err("AADSTS7000215: Invalid client secret provided."),
        };
        match proof {
            Ok(()) => {
                let (token, seconds) = self.access_token(Cloud::Azure);
                let answer = json!({"token_type": "Bearer", "expires_in": seconds, "access_token": token});
                Answer::json(200, &answer)
            }
            Err(why) => refused(401, "invalid_client", why),
        }
    }

    /// docs.aws.amazon.com, STS "AssumeRoleWithWebIdentity": its parameters, the answer, the errors. The key is
    /// that of versitygw, which knows no session tokens: the front checks the signature with it and signs without it.
    fn assume_role(&self, request: &Request) -> Answer {
        let refused = |status: u16, code: &str| {
            Answer::of(status).and_body(format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                 <Code>{code}</Code><Message>it is refused</Message></Error></ErrorResponse>"
            ))
        };
        let field = |name: &str| request.field(name).unwrap_or_default();
        let session_name = field("RoleSessionName");
        if field("Action") != "AssumeRoleWithWebIdentity" || field("Version") != "2011-06-15" {
            return refused(400, "InvalidAction");
        }
        if session_name.len() < 2 || session_name.contains(['/', ' ']) {
            return refused(400, "ValidationError");
        }
        match self.holds(&field("WebIdentityToken"), &For::Audience("sts.amazonaws.com".to_owned())) {
            _ if field("RoleArn") != ROLE => refused(403, "AccessDenied"),
            None => refused(400, "InvalidIdentityToken"),
            Some(false) => refused(400, "ExpiredTokenException"),
            Some(true) => {
                let (token, seconds) = self.access_token(Cloud::Aws);
                let expiration = self.at(seconds);
                Answer::of(200).and_body(format!(
                    "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
                     <AssumeRoleWithWebIdentityResult><Audience>sts.amazonaws.com</Audience><Credentials>\
                     <AccessKeyId>{KEY}</AccessKeyId><SecretAccessKey>{SECRET}</SecretAccessKey>\
                     <SessionToken>{token}</SessionToken><Expiration>{expiration}</Expiration></Credentials>\
                     </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
                ))
            }
        }
    }

    fn at(&self, seconds: i64) -> String {
        ((self.clock)() + TimeDelta::seconds(seconds)).format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// cloud.google.com, STS "Method: token", and RFC 8693, 2: form or JSON, the provider as audience, which the ID
    /// token also has unless the provider lists others.
    fn exchange_at_google(&self, request: &Request) -> Answer {
        let refused = |code: &str| Answer::json(400, &json!({"error": code, "error_description": "refused"}));
        let field = |name: &str| request.field(name).unwrap_or_default();
        let is_exchange = field("grant_type") == "urn:ietf:params:oauth:grant-type:token-exchange"
            && field("requested_token_type") == "urn:ietf:params:oauth:token-type:access_token"
            && field("subject_token_type") == "urn:ietf:params:oauth:token-type:jwt";
        if !is_exchange {
            return refused("invalid_request");
        }
        if field("audience") != format!("//iam.googleapis.com/{PROVIDER}") {
            return refused("invalid_target");
        }
        let audience = For::Audience(format!("https://iam.googleapis.com/{PROVIDER}"));
        if self.holds(&field("subject_token"), &audience) != Some(true) {
            return refused("invalid_grant");
        }
        let cloud = match field("scope").as_str() {
            "https://www.googleapis.com/auth/cloud-platform" => Cloud::GooglePool,
            _ => Cloud::Google,
        };
        let (token, seconds) = self.access_token(cloud);
        let answer = json!({
            "access_token": token, "expires_in": seconds, "token_type": "Bearer",
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        });
        Answer::json(200, &answer)
    }

    /// cloud.google.com, IAM Service Account Credentials "generateAccessToken".
    fn impersonate(&self, request: &Request) -> Answer {
        let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let held = token.and_then(|token| self.holds(token, &For::Access(Cloud::GooglePool)));
        let scopes: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if held != Some(true) || !scopes["scope"].is_array() {
            let error = json!({"error": {"code": 403, "status": "PERMISSION_DENIED"}});
            return Answer::json(403, &error);
        }
        let (token, seconds) = self.access_token(Cloud::Google);
        Answer::json(200, &json!({"accessToken": token, "expireTime": self.at(seconds)}))
    }

    /// learn.microsoft.com, "How to use managed identities to acquire an access token": the header `Metadata`, numbers as
    /// text.
    fn azure_instance(&self, request: &Request) -> Answer {
        let resource = request.parameter("resource");
        if request.header("metadata") != Some("true")
            || resource.as_deref() != Some("https://storage.azure.com/")
        {
            return Answer::json(400, &json!({"error": "invalid_request"}));
        }
        let (token, seconds) = self.access_token(Cloud::Azure);
        let answer =
            json!({"access_token": token, "expires_in": seconds.to_string(), "token_type": "Bearer"});
        Answer::json(200, &answer)
    }

    fn key(&self, session_token: &str) -> serde_json::Value {
        let (token, seconds) = self.access_token(Cloud::Aws);
        json!({
            "AccessKeyId": KEY, "SecretAccessKey": SECRET, session_token: token, "Expiration": self.at(seconds),
        })
    }

    /// docs.aws.amazon.com, EC2 "Retrieve security credentials from instance metadata".
    fn aws_instance(&self, request: &Request) -> Answer {
        match request.header("x-aws-ec2-metadata-token") {
            Some(SESSION) => Answer::json(200, &self.key("Token")),
            _ => Answer::of(401),
        }
    }

    /// cloud.google.com, Compute Engine "Authenticate workloads using service accounts": the header `Metadata-Flavor`.
    fn google_instance(&self, request: &Request) -> Answer {
        if request.header("metadata-flavor") != Some("Google") {
            return Answer::of(403);
        }
        let (token, seconds) = self.access_token(Cloud::Google);
        let answer = json!({"access_token": token, "expires_in": seconds, "token_type": "Bearer"});
        Answer::json(200, &answer)
    }
}

/// docs.aws.amazon.com, EC2 "Use the Instance Metadata Service": a PUT with the lifetime begins a session.
fn aws_session(request: &Request) -> Answer {
    let seconds = request.header("x-aws-ec2-metadata-token-ttl-seconds").and_then(|text| text.parse().ok());
    match seconds {
        Some(1..=21_600_u32) => Answer::of(200).and_body(SESSION),
        _ => Answer::of(400),
    }
}

fn aws_role(request: &Request) -> Answer {
    match request.header("x-aws-ec2-metadata-token") {
        Some(SESSION) => Answer::of(200).and_body("caches"),
        _ => Answer::of(401),
    }
}

/// Admits requests with tokens of the fake to a service that knows only credentials of its own.
struct Admitting {
    state: Arc<State>,
    cloud: Cloud,
}

impl Guard for Admitting {
    fn admit(&self, request: Request) -> Result<Request, Answer> {
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let token = match self.cloud {
            Cloud::Aws => request.header("x-amz-security-token"),
            _ => bearer,
        };
        let holds = token.and_then(|token| self.state.holds(token, &For::Access(self.cloud)));
        if holds == Some(true) {
            let target = format!("{} {}?{}", request.method, request.path, request.query);
            self.state.admitted.lock().expect("no panic").push(target);
        }
        match (self.cloud, holds == Some(true)) {
            // learn.microsoft.com, "Authorize with Microsoft Entra ID".
            (Cloud::Azure, false) => {
                Err(Answer::of(401).with("x-ms-error-code", "InvalidAuthenticationInfo"))
            }
            // docs.aws.amazon.com, S3 "Error responses": the status is 400.
            (Cloud::Aws, false) => Err(Answer::of(400).and_body("<Error><Code>ExpiredToken</Code></Error>")),
            (Cloud::Google | Cloud::GooglePool, false) => Err(Answer::of(401)),
            (Cloud::Azure, true) => {
                Ok(request.with_header("authorization", None).with_query(&account_signature()))
            }
            (Cloud::Aws, true) => sigv4::signed_without_token(request, SECRET).ok_or_else(|| Answer::of(403)),
            (Cloud::Google | Cloud::GooglePool, true) => {
                Ok(request.with_header("authorization", Some(&format!("Bearer {}", gcs::TOKEN))))
            }
        }
    }
}
