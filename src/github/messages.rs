//! Requests and responses of the cache service: Protobuf's JSON encoding, with fields in snake case and 64-bit
//! integers as strings.

use serde::{Deserialize, Serialize};

#[derive(Serialize)]
pub(super) struct CreateRequest<'a> {
    pub(super) key: &'a str,
    pub(super) version: &'a str,
}

#[derive(Deserialize)]
pub(super) struct CreateResponse {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ok: bool,
    #[serde(default, alias = "signedUploadUrl", deserialize_with = "or_default")]
    pub(super) signed_upload_url: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) message: String,
}

#[derive(Serialize)]
pub(super) struct FinalizeRequest<'a> {
    pub(super) key: &'a str,
    pub(super) version: &'a str,
    pub(super) size_bytes: String,
}

#[derive(Deserialize)]
pub(super) struct FinalizeResponse {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ok: bool,
    #[serde(default, alias = "entryId")]
    pub(super) entry_id: Number,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) message: String,
}

/// A 64-bit integer: a string in Protobuf's JSON encoding, but a number is accepted as well.
#[derive(Default)]
pub(super) struct Number(pub(super) String);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Number(text)),
            serde_json::Value::Number(number) => Ok(Number(number.to_string())),
            serde_json::Value::Null => Ok(Number::default()),
            other => Err(serde::de::Error::custom(format!("{other} is not a number"))),
        }
    }
}

/// In Protobuf's JSON encoding, null stands for the default value.
fn or_default<'de, T: Default + Deserialize<'de>, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Serialize)]
pub(super) struct LookupMessage<'a> {
    pub(super) key: &'a str,
    pub(super) restore_keys: Vec<&'a str>,
    pub(super) version: &'a str,
}

#[derive(Deserialize)]
pub(super) struct LookupResponse {
    #[serde(default, deserialize_with = "or_default")]
    pub(super) ok: bool,
    #[serde(default, alias = "signedDownloadUrl", deserialize_with = "or_default")]
    pub(super) signed_download_url: String,
    #[serde(default, alias = "matchedKey", deserialize_with = "or_default")]
    pub(super) matched_key: String,
}

/// A Twirp error.
#[derive(Deserialize, Default)]
pub(super) struct RefusalMessage {
    #[serde(default)]
    pub(super) code: String,
    #[serde(default)]
    pub(super) msg: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_are_decoded_as_protobuf_allows_them() {
        let check = |text: &str, expect: (bool, &str, &str)| {
            let answer: FinalizeResponse = serde_json::from_str(text).expect(text);
            assert_eq!((answer.ok, answer.entry_id.0.as_str(), answer.message.as_str()), expect, "{text}");
        };
        check(r#"{"ok":true,"entry_id":"7","message":""}"#, (true, "7", ""));
        check(r#"{"ok":true,"entryId":7,"later":{}}"#, (true, "7", ""));
        check(r#"{"ok":null,"entry_id":null,"message":null}"#, (false, "", ""));
        check("{}", (false, "", ""));
        assert!(serde_json::from_str::<FinalizeResponse>(r#"{"entry_id":[]}"#).is_err());
    }
}
