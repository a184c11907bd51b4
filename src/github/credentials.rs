//! Credentials for the cache service, from the environment of a job.
//!
//! The runner passes `ACTIONS_RUNTIME_TOKEN` and `ACTIONS_RESULTS_URL` only to JavaScript and container actions. A
//! `run:` step gets `ACTIONS_ID_TOKEN_REQUEST_TOKEN` if the job has `id-token: write`, which currently is the same
//! token (actions/runner, `ScriptHandler.cs`). That is not documented, so it is used only if its claims grant access
//! to the cache service.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::BASE64URL_NOPAD;
use reqwest::Url;
use serde::Deserialize;

use crate::domain::hint::Hint;
use crate::domain::scope::Scope;
use crate::domain::secret::Secret;
use crate::platform::Env;
use crate::transport::http::address::{self, AddressError};

use super::error::Right;

const RUNTIME_TOKEN: &str = "ACTIONS_RUNTIME_TOKEN";
const REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";
const RESULTS_URL: &str = "ACTIONS_RESULTS_URL";
const SERVER_URL: &str = "GITHUB_SERVER_URL";
const CACHE_MODE: &str = "ACTIONS_CACHE_MODE";

/// The cache service of github.com.
const PUBLIC_SERVICE: &str = "https://results-receiver.actions.githubusercontent.com/";
const PUBLIC_SERVER: &str = "https://github.com";

/// Clock skew that is tolerated before a token counts as expired.
const CLOCK_TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// Prefix of the `scp` claim's scope for the results services, which include the cache.
const RESULTS: &str = "Actions.Results:";

/// Bits of `Permission` in the `ac` claim.
const READ: u64 = 1;
const WRITE: u64 = 2;

/// The environment variable that the token came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenSource {
    /// `ACTIONS_RUNTIME_TOKEN`.
    Runtime,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`, because the job has `id-token: write`.
    IdTokenRequest,
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TokenSource::Runtime => RUNTIME_TOKEN,
            TokenSource::IdTokenRequest => REQUEST_TOKEN,
        })
    }
}

/// The value of `ACTIONS_CACHE_MODE`: how the workflow allows caches to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    /// Neither restored nor saved.
    None,
    /// Restored only.
    Read,
    /// Restored and saved.
    Write,
    /// Saved only.
    WriteOnly,
}

impl CacheMode {
    /// Parses the mode; unknown values are ignored, as in actions/cache.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text.trim().to_ascii_lowercase().as_str() {
            "none" => CacheMode::None,
            "read" => CacheMode::Read,
            "write" => CacheMode::Write,
            "write-only" => CacheMode::WriteOnly,
            _ => return None,
        })
    }

    /// Whether the mode allows this.
    pub fn allows(self, right: Right) -> bool {
        match right {
            Right::Read => matches!(self, CacheMode::Read | CacheMode::Write),
            Right::Write => matches!(self, CacheMode::Write | CacheMode::WriteOnly),
        }
    }
}

impl fmt::Display for CacheMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CacheMode::None => "none",
            CacheMode::Read => "read",
            CacheMode::Write => "write",
            CacheMode::WriteOnly => "write-only",
        })
    }
}

/// Why this job has no direct access to the cache service.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoCredentials {
    /// No variable holds a token.
    #[error(
        "this step has no token for the cache service: neither {RUNTIME_TOKEN} nor {REQUEST_TOKEN} is set"
    )]
    NoToken,
    /// The token for ID tokens does not grant access to the cache service.
    #[error("{REQUEST_TOKEN} does not grant access to the cache service: {0}")]
    WrongAudience(&'static str),
    /// The token has expired.
    #[error("the token in {source_name} expired at {at}")]
    Expired {
        /// The variable with the token.
        source_name: TokenSource,
        /// When it expired.
        at: DateTime<Utc>,
    },
    /// The server is not github.com, and no variable contains the URL of the service.
    #[error("the cache service of {server} is not known: {RESULTS_URL} is not set")]
    NoService {
        /// The server, or a description of its absence.
        server: String,
    },
    /// The URL of the service is malformed.
    #[error("{RESULTS_URL} is not a URL: {0}")]
    NotAUrl(String),
    /// The token would be sent to the service without encryption.
    #[error("{RESULTS_URL} is refused: {0}")]
    Address(#[from] AddressError),
}

impl Hint for NoCredentials {
    fn hint(&self) -> Option<String> {
        Some(match self {
            NoCredentials::NoToken => {
                "give the job `permissions: id-token: write`; pull requests from forks cannot have it and fall back to \
                actions/cache"
            }
            NoCredentials::WrongAudience(_) | NoCredentials::NoService { .. } => {
                "actions/cache is used instead; to avoid that, export ACTIONS_RUNTIME_TOKEN and \
                ACTIONS_RESULTS_URL from a JavaScript action"
            }
            NoCredentials::Expired { .. } => "the token expires with its job; check the machine's clock",
            NoCredentials::NotAUrl(_) | NoCredentials::Address(_) => "set it to an https URL, or unset it",
        }
        .to_owned())
    }
}

/// Credentials of a job for the cache service.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The token.
    pub token: Secret,
    /// Which variable it came from.
    pub source: TokenSource,
    /// The URL of the service; its path is ignored.
    pub service: Url,
    /// The scopes that the token grants access to, in lookup order; `None` if it does not list them.
    pub scopes: Option<Vec<ScopeRights>>,
    /// The cache mode of the workflow, if set.
    pub mode: Option<CacheMode>,
    /// When the token expires.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Credentials {
    /// Finds the token and the service in the environment.
    pub fn from_env(env: &Env, now: DateTime<Utc>) -> Result<Self, NoCredentials> {
        let (source, token, claims) = find_token(env)?;
        let expires_at = claims.as_ref().and_then(|claims| claims.expires_at);
        if let Some(at) = expires_at
            && at + CLOCK_TOLERANCE < now
        {
            return Err(NoCredentials::Expired { source_name: source, at });
        }
        Ok(Credentials {
            token,
            source,
            service: find_service(env)?,
            scopes: claims.and_then(|claims| claims.scopes),
            mode: env.var(CACHE_MODE).and_then(CacheMode::parse),
            expires_at,
        })
    }

    /// The scopes for which the token has a permission, in lookup order; `None` if it does not list them.
    pub fn scopes_with(&self, right: Right) -> Option<Vec<Scope>> {
        let scopes = self.scopes.as_ref()?.iter();
        let having = scopes.filter(|rights| match right {
            Right::Read => rights.read,
            Right::Write => rights.write,
        });
        Some(having.map(|rights| rights.scope.clone()).collect())
    }

    /// Why the job may not do this, if that is known without a request: from `ACTIONS_CACHE_MODE`, or because its token has the right in no
    /// scope.
    pub fn refusal(&self, right: Right) -> Option<String> {
        let verb = match right {
            Right::Read => "restored",
            Right::Write => "saved",
        };
        if let Some(mode) = self.mode.filter(|mode| !mode.allows(right)) {
            return Some(format!("{CACHE_MODE} is `{mode}`: caches are not {verb} in this job"));
        }
        let none = self.scopes_with(right).is_some_and(|scopes| scopes.is_empty());
        none.then(|| format!("the job's token does not allow caches to be {verb} in any scope"))
    }
}

/// All tokens in the environment of the job, usable or not, for masking.
pub(crate) fn tokens(env: &Env) -> Vec<Secret> {
    [RUNTIME_TOKEN, REQUEST_TOKEN].into_iter().filter_map(|name| env.var(name)).map(Secret::new).collect()
}

fn find_token(env: &Env) -> Result<(TokenSource, Secret, Option<Claims>), NoCredentials> {
    if let Some(token) = env.var(RUNTIME_TOKEN).map(Secret::new) {
        let claims = Claims::of(&token);
        return Ok((TokenSource::Runtime, token, claims));
    }
    let token = env.var(REQUEST_TOKEN).map(Secret::new).ok_or(NoCredentials::NoToken)?;
    let claims = Claims::of(&token).ok_or(NoCredentials::WrongAudience("it is not a JSON web token"))?;
    if claims.scopes.is_none() {
        return Err(NoCredentials::WrongAudience("it has no cache scopes (claim `ac`)"));
    }
    if !claims.is_for_results {
        return Err(NoCredentials::WrongAudience("it is not valid for `Actions.Results` (claim `scp`)"));
    }
    Ok((TokenSource::IdTokenRequest, token, Some(claims)))
}

fn find_service(env: &Env) -> Result<Url, NoCredentials> {
    let text = match env.var(RESULTS_URL) {
        Some(text) => text,
        None => match env.var(SERVER_URL) {
            Some(server) if server.trim_end_matches('/').eq_ignore_ascii_case(PUBLIC_SERVER) => {
                PUBLIC_SERVICE
            }
            server => {
                let server = server.unwrap_or("this machine (no GITHUB_SERVER_URL)").to_owned();
                return Err(NoCredentials::NoService { server });
            }
        },
    };
    let url = Url::parse(text).map_err(|error| NoCredentials::NotAUrl(error.to_string()))?;
    address::check(&url)?;
    Ok(url)
}

/// The claims of a job's token that concern caches. Its signature is not verified: they only predict what the service will allow, and
/// grant nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claims {
    /// The cache scopes that it grants access to, in lookup order; `None` without a valid `ac` claim.
    scopes: Option<Vec<ScopeRights>>,
    /// Whether it is valid for the results services.
    is_for_results: bool,
    /// When it expires.
    expires_at: Option<DateTime<Utc>>,
}

/// The permissions of a token in one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeRights {
    /// The scope.
    pub scope: Scope,
    /// Whether it may read entries.
    pub read: bool,
    /// Whether it may create entries.
    pub write: bool,
}

#[derive(Deserialize)]
struct TokenPayload {
    #[serde(default)]
    ac: Option<String>,
    #[serde(default)]
    scp: Option<String>,
    #[serde(default)]
    exp: Option<i64>,
}

#[derive(Deserialize)]
struct AccessControl {
    #[serde(rename = "Scope")]
    scope: String,
    #[serde(rename = "Permission")]
    permission: u64,
}

impl Claims {
    /// Decodes the claims of a JSON web token; `None` if it is not one.
    fn of(token: &Secret) -> Option<Self> {
        let mut parts = token.expose().split('.');
        let (Some(_header), Some(payload), Some(_signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        let bytes = BASE64URL_NOPAD.decode(payload.trim_end_matches('=').as_bytes()).ok()?;
        let payload: TokenPayload = serde_json::from_slice(&bytes).ok()?;
        Some(Claims {
            scopes: payload.ac.as_deref().and_then(scopes),
            is_for_results: payload
                .scp
                .is_some_and(|scp| scp.split(' ').any(|scope| scope.starts_with(RESULTS))),
            expires_at: payload.exp.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
        })
    }
}

/// The scopes of an `ac` claim; `None` if it is malformed or contains an invalid ref.
fn scopes(claim: &str) -> Option<Vec<ScopeRights>> {
    let controls: Vec<AccessControl> = serde_json::from_str(claim).ok()?;
    let rights = |control: AccessControl| {
        Some(ScopeRights {
            scope: Scope::new(&control.scope)?,
            read: control.permission & READ != 0,
            write: control.permission & WRITE != 0,
        })
    };
    controls.into_iter().map(rights).collect()
}

#[cfg(test)]
fn testing_token(payload: &serde_json::Value) -> Secret {
    let part = |text: String| BASE64URL_NOPAD.encode(text.as_bytes());
    Secret::new(format!(
        "{}.{}.c2lnbmF0dXJl",
        part(r#"{"alg":"RS256"}"#.to_owned()),
        part(payload.to_string())
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const MAIN: &str = r#"[{"Scope":"refs/heads/main","Permission":3}]"#;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).expect("a time")
    }

    fn job_token() -> Secret {
        testing_token(&json!({"ac": MAIN, "scp": "Actions.Results:r:j", "exp": 1_700_003_600}))
    }

    fn from(variables: &[(&str, &str)]) -> Result<Credentials, NoCredentials> {
        Credentials::from_env(&Env::of(variables.iter().copied()), now())
    }

    #[test]
    fn a_step_with_id_token_permission_uses_the_token_of_the_job() {
        let credentials = from(&[(REQUEST_TOKEN, job_token().expose()), (SERVER_URL, "https://github.com")])
            .expect("usable");
        assert_eq!(credentials.source, TokenSource::IdTokenRequest);
        assert_eq!(credentials.service.as_str(), PUBLIC_SERVICE);
        let main = Scope::new("main").expect("a scope");
        assert_eq!(credentials.scopes_with(Right::Write), Some(vec![main]));
        assert!(!format!("{credentials:?}").contains(job_token().expose()), "the token is not shown");
    }

    #[test]
    fn the_runtime_token_has_precedence_and_need_not_list_its_scopes() {
        let credentials = from(&[
            (RUNTIME_TOKEN, "opaque"),
            (REQUEST_TOKEN, job_token().expose()),
            (RESULTS_URL, "http://127.0.0.1:1/"),
        ])
        .expect("usable");
        assert_eq!((credentials.source, credentials.scopes.clone()), (TokenSource::Runtime, None));
        assert_eq!(credentials.refusal(Right::Write), None);
    }

    #[test]
    fn a_token_for_another_audience_is_not_used() {
        let check = |payload, expect: &str| {
            let token = testing_token(&payload);
            let error = from(&[(REQUEST_TOKEN, token.expose()), (SERVER_URL, "https://github.com")]).err();
            let error = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(expect), "{error}");
            assert!(!error.contains(token.expose()));
        };
        check(json!({"scp": "Actions.Results:r:j"}), "claim `ac`");
        check(json!({"ac": MAIN, "scp": "Actions.IdTokens"}), "claim `scp`");
        let expired = json!({"ac": MAIN, "scp": "Actions.Results:r:j", "exp": 1_699_990_000});
        check(expired, "expired at 2023-11-14 19:26:40 UTC");
        assert_eq!(
            from(&[(REQUEST_TOKEN, "opaque")]).err(),
            Some(NoCredentials::WrongAudience("it is not a JSON web token"))
        );
    }

    #[test]
    fn a_job_without_token_or_service_says_why() {
        assert_eq!(from(&[]).err(), Some(NoCredentials::NoToken));
        let token = job_token();
        let check = |variables: &[(&str, &str)], expect: &str| {
            let mut all = vec![(RUNTIME_TOKEN, token.expose())];
            all.extend(variables);
            let error = from(&all).expect_err("not usable");
            assert!(error.to_string().contains(expect), "{error}");
            assert!(error.hint().is_some());
        };
        check(&[(SERVER_URL, "https://ghe.example.org")], "https://ghe.example.org is not known");
        check(&[], "this machine");
        check(&[(RESULTS_URL, "nonsense")], "is not a URL");
        check(&[(RESULTS_URL, "http://results.example.org/")], "refused: http is only for this machine");
    }

    #[test]
    fn the_mode_and_the_tokens_scopes_refuse_before_any_work() {
        let refused = |ac: &str, mode: &str, right| {
            let token = testing_token(&json!({"ac": ac, "scp": "Actions.Results:r:j"}));
            let variables =
                [(RUNTIME_TOKEN, token.expose()), (RESULTS_URL, "http://127.0.0.1:1/"), (CACHE_MODE, mode)];
            from(&variables).expect("usable").refusal(right)
        };
        let reader = r#"[{"Scope":"refs/heads/main","Permission":1}]"#;
        assert_eq!(refused(MAIN, "", Right::Write), None);
        assert_eq!(refused(MAIN, "sideways", Right::Write), None);
        assert_eq!(refused(MAIN, "WRITE", Right::Read), None);
        assert_eq!(refused(reader, "write", Right::Read), None);
        assert!(refused(reader, "write", Right::Write).expect("refused").contains("in any scope"));
        assert!(refused(MAIN, "read", Right::Write).expect("refused").contains("`read`"));
        assert!(refused(MAIN, "write-only", Right::Read).expect("refused").contains("`write-only`"));
        assert!(refused(MAIN, "none", Right::Read).is_some());
    }

    #[test]
    fn a_token_lists_its_scopes_and_permissions() {
        let token = testing_token(&json!({
            "ac": r#"[{"Scope":"refs/pull/7/merge","Permission":3},{"Scope":"refs/heads/main","Permission":1}]"#,
            "scp": "Actions.GenericRead:x Actions.Results:run:job",
            "exp": 1_700_000_000,
        }));
        let claims = Claims::of(&token).expect("a token");
        let rights =
            |name: &str, read, write| ScopeRights { scope: Scope::new(name).expect("a scope"), read, write };
        assert_eq!(
            claims.scopes,
            Some(vec![rights("refs/pull/7/merge", true, true), rights("refs/heads/main", true, false)])
        );
        assert!(claims.is_for_results);
        assert_eq!(claims.expires_at.map(|at| at.timestamp()), Some(1_700_000_000));
    }

    #[test]
    fn missing_claims_are_unknown() {
        let claims = |payload| Claims::of(&testing_token(&payload)).expect("a token");
        assert_eq!(claims(json!({})), Claims { scopes: None, is_for_results: false, expires_at: None });
        assert_eq!(claims(json!({"ac": "[]"})).scopes, Some(Vec::new()));
        assert_eq!(claims(json!({"ac": "nonsense"})).scopes, None);
        assert_eq!(claims(json!({"ac": r#"[{"Scope":"","Permission":3}]"#})).scopes, None);
        assert!(!claims(json!({"scp": "Not.Actions.Results:x"})).is_for_results);
    }

    #[test]
    fn other_texts_are_not_tokens() {
        for text in ["", "ghs_abcdef", "a.b", "a.b.c", "a.e30", "a.e30.b.c", "e30.bm8.e30"] {
            assert_eq!(Claims::of(&Secret::new(text)), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_token_makes_it_panic(text in "\\PC*", payload in "\\PC*") {
            let _ = Claims::of(&Secret::new(text));
            let encoded = BASE64URL_NOPAD.encode(payload.as_bytes());
            let _ = Claims::of(&Secret::new(format!("a.{encoded}.b")));
        }
    }
}
