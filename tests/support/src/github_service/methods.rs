//! The three methods of the service (actions/toolkit, `cache.proto`; GitHub, "Dependency caching reference").

use serde_json::{Value, json};

use super::http::{Answer, Request};
use super::signing::scopes_of;
use super::{CONTAINER, Kept, State};

const READ: u64 = 1;
const WRITE: u64 = 2;

impl State {
    pub(super) fn call(&self, method: &str, request: &Request) -> Answer {
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let Some(scopes) = bearer.and_then(scopes_of) else {
            return refusal(401, "unauthenticated", "invalid authentication credentials");
        };
        let with =
            |bit| scopes.iter().filter(move |(_, bits)| bits & bit != 0).map(|(scope, _)| scope.as_str());
        let Ok(body) = serde_json::from_slice::<Value>(&request.body) else {
            return refusal(400, "malformed", "the json request could not be decoded");
        };
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (key, version) = (text("key"), text("version"));
        if let Err(why) = check(&key, &version) {
            return refusal(400, "invalid_argument", why);
        }
        if method == "GetCacheEntryDownloadURL" {
            let readable: Vec<&str> = with(READ).collect();
            if readable.is_empty() {
                let said = "cache read denied: token has no readable scopes";
                return refusal(403, "permission_denied", said);
            }
            return self.look_up(&readable, &body, &key, &version);
        }
        let Some(scope) = with(WRITE).next() else {
            return refusal(403, "permission_denied", "cache write denied: token has no writable scopes");
        };
        match method {
            "CreateCacheEntry" => self.create(scope, key, version),
            "FinalizeCacheEntryUpload" => self.finalize(scope, &key, &version, &text("size_bytes")),
            _ => refusal(404, "bad_route", "no handler for path"),
        }
    }

    fn create(&self, scope: &str, key: String, version: String) -> Answer {
        let mut held = self.shelf.lock().expect("no panic while it is held");
        if held.entries.iter().any(|kept| kept.is(scope, &key, &version)) {
            let said = "cache entry with the same key, version, and scope already exists";
            return refusal(409, "already_exists", said);
        }
        held.count += 1;
        let id = held.count;
        let blob = format!("{CONTAINER}/{id:08x}");
        let url = self.signed_url(&blob, true);
        held.entries.push(Kept { id, scope: scope.to_owned(), key, version, blob, finalized: None });
        Answer::json(200, &json!({"ok": true, "signed_upload_url": url}))
    }

    fn finalize(&self, scope: &str, key: &str, version: &str, size: &str) -> Answer {
        let mut held = self.shelf.lock().expect("no panic while it is held");
        held.count += 1;
        let turn = held.count;
        let reserved =
            held.entries.iter_mut().find(|kept| kept.is(scope, key, version) && kept.finalized.is_none());
        let Some(kept) = reserved else {
            return refusal(404, "not_found", "cache entry not found");
        };
        match self.storage.facts(&kept.blob) {
            None => Answer::json(200, &json!({"ok": false, "message": "the upload was not found"})),
            Some(facts) if facts.size.to_string() != size => {
                let said = format!("the upload has {} bytes and not {size}", facts.size);
                Answer::json(200, &json!({"ok": false, "message": said}))
            }
            Some(_) => {
                kept.finalized = Some(turn);
                let id = kept.id;
                held.note_created(id, &self.storage);
                Answer::json(200, &json!({"ok": true, "entry_id": id.to_string()}))
            }
        }
    }

    /// Scope by scope: each key as a whole, then as a prefix; the newest wins.
    fn look_up(&self, scopes: &[&str], body: &Value, key: &str, version: &str) -> Answer {
        let restore_keys = body["restore_keys"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let keys: Vec<&str> = std::iter::once(key).chain(restore_keys).collect();
        if keys.len() > 10 {
            return refusal(400, "invalid_argument", "too many keys");
        }
        let mut held = self.shelf.lock().expect("no panic while it is held");
        let found = scopes.iter().find_map(|scope| {
            let there = || {
                let mine = |kept: &&Kept| kept.scope == **scope && kept.version == version;
                held.entries.iter().filter(mine).filter(|kept| kept.finalized.is_some())
            };
            keys.iter().find_map(|wanted| {
                there().find(|kept| kept.key == **wanted).or_else(|| {
                    there().filter(|kept| kept.key.starts_with(wanted)).max_by_key(|kept| kept.finalized)
                })
            })
        });
        let Some(kept) = found.cloned() else { return Answer::json(200, &json!({"ok": false})) };
        held.note_lookup(kept.id);
        let url = self.signed_url(&kept.blob, false);
        Answer::json(200, &json!({"ok": true, "signed_download_url": url, "matched_key": kept.key}))
    }
}

impl Kept {
    fn is(&self, scope: &str, key: &str, version: &str) -> bool {
        self.scope == scope && self.key == key && self.version == version
    }
}

fn check(key: &str, version: &str) -> Result<(), &'static str> {
    if key.is_empty() || key.chars().count() > 512 || key.contains(',') {
        Err("key is invalid")
    } else if version.len() != 64 {
        Err("version must be 64 characters")
    } else {
        Ok(())
    }
}

fn refusal(status: u16, code: &str, msg: &str) -> Answer {
    Answer::json(status, &json!({"code": code, "msg": msg}))
}
