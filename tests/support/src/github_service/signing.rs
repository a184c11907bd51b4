//! Signatures: tokens of jobs, and signed URLs as Azure makes them (Microsoft, "Create a service SAS").

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::http::parameter;
use crate::capture::secret;

/// The account that Azurite and every emulator before it has, and its key, which is public.
pub const ACCOUNT: &str = "devstoreaccount1";
pub const ACCOUNT_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const SERVICE_VERSION: &str = "2020-02-10";

/// The key that signs tokens; what it is does not matter.
const TOKEN_KEY: &[u8] = b"the fake service's key";

#[expect(clippy::disallowed_methods, reason = "signatures expire by the real clock")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// HMAC with SHA-256 (RFC 2104), of a key of at most one block.
pub(crate) fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut block = [0_u8; 64];
    block[..key.len().min(64)].copy_from_slice(&key[..key.len().min(64)]);
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().to_vec()
}

fn account_hmac(text: &str) -> String {
    let key = BASE64.decode(ACCOUNT_KEY.as_bytes()).expect("the key is Base64");
    BASE64.encode(&hmac(&key, text.as_bytes()))
}

fn query_value(text: &str) -> String {
    text.replace('%', "%25").replace('+', "%2B").replace('/', "%2F").replace('=', "%3D").replace(':', "%3A")
}

/// The query of a signed URL for one blob (`path` is `container/blob`), valid for this long from now.
pub fn blob_signature(path: &str, permissions: &str, valid: TimeDelta) -> String {
    let expiry = (now() + valid).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let signature = blob_hmac(path, permissions, &expiry);
    secret("signature", &signature);
    format!(
        "sv={SERVICE_VERSION}&se={}&sr=b&sp={permissions}&sig={}",
        query_value(&expiry),
        query_value(&signature)
    )
}

fn blob_hmac(path: &str, permissions: &str, expiry: &str) -> String {
    let resource = format!("/blob/{ACCOUNT}/{path}");
    let fields =
        [permissions, "", expiry, &resource, "", "", "", SERVICE_VERSION, "b", "", "", "", "", "", ""];
    account_hmac(&fields.join("\n"))
}

/// Whether a query is a valid signature for a blob and a permission at a time.
pub fn opens(path: &str, query: &str, permission: char, at: DateTime<Utc>) -> bool {
    let (Some(permissions), Some(expiry), Some(signature)) =
        (parameter(query, "sp"), parameter(query, "se"), parameter(query, "sig"))
    else {
        return false;
    };
    let alive = DateTime::parse_from_rfc3339(&expiry).is_ok_and(|expiry| expiry > at);
    alive && permissions.contains(permission) && signature == blob_hmac(path, &permissions, &expiry)
}

/// The query that lets the owner of the account do all with it.
pub fn account_signature() -> String {
    let expiry = (now() + TimeDelta::hours(6)).format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let (permissions, services, types) = ("rwdlacup", "b", "sco");
    let fields = [ACCOUNT, permissions, services, types, "", &expiry, "", "", SERVICE_VERSION, ""];
    let signature = account_hmac(&fields.join("\n"));
    secret("signature", &signature);
    format!(
        "sv={SERVICE_VERSION}&ss={services}&srt={types}&sp={permissions}&se={}&sig={}",
        query_value(&expiry),
        query_value(&signature)
    )
}

/// A job's token with these scopes and permission bits.
pub fn token(scopes: &[(&str, u8)]) -> String {
    let access: Vec<Value> =
        scopes.iter().map(|(scope, bits)| json!({"Scope": scope, "Permission": bits})).collect();
    let payload = json!({
        "ac": Value::Array(access).to_string(),
        "scp": "Actions.GenericRead:00000000 Actions.Results:run:job",
        "exp": (now() + TimeDelta::hours(6)).timestamp(),
    });
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(&payload));
    let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&hmac(TOKEN_KEY, signed.as_bytes())));
    secret("job-token", &token);
    token
}

/// The scopes and permission bits of a token that [`token`] made; none of any other.
pub fn scopes_of(token: &str) -> Option<Vec<(String, u64)>> {
    let (signed, signature) = token.rsplit_once('.')?;
    let expect = BASE64URL_NOPAD.encode(&hmac(TOKEN_KEY, signed.as_bytes()));
    let payload = BASE64URL_NOPAD.decode(signed.split_once('.')?.1.as_bytes()).ok()?;
    let payload: Value = serde_json::from_slice(&payload).ok()?;
    let access: Value = serde_json::from_str(payload["ac"].as_str()?).ok()?;
    let scope = |value: &Value| Some((value["Scope"].as_str()?.to_owned(), value["Permission"].as_u64()?));
    let scopes: Option<Vec<_>> = access.as_array()?.iter().map(scope).collect();
    scopes.filter(|_| signature == expect)
}
