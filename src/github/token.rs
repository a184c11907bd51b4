//! The claims of a job's token. The signature is not verified: the claims only predict what the service will
//! allow, and grant nothing.

use chrono::{DateTime, Utc};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;

use crate::domain::scope::Scope;
use crate::domain::secret::Secret;

/// Prefix of the `scp` claim's scope for the results services, which include the cache.
const RESULTS: &str = "Actions.Results:";

/// Bits of `Permission` in the `ac` claim.
const READ: u64 = 1;
const WRITE: u64 = 2;

/// The claims of a job's token that concern caches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claims {
    /// The cache scopes that it grants access to, in lookup order; `None` without a valid `ac` claim.
    pub scopes: Option<Vec<ScopeRights>>,
    /// Whether it is valid for the results services.
    pub is_for_results: bool,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
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
    pub(crate) fn of(token: &Secret) -> Option<Self> {
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
pub(crate) fn testing_token(payload: &serde_json::Value) -> Secret {
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
