//! The REST API: caches of one repository.

use std::time::Instant;

use axum::http::{Method, Uri};
use chrono::SecondsFormat;
use serde_json::{Value, json};

use super::{Answer, Cache, REPOSITORY, World};

pub(super) fn answer(world: &mut World, method: &Method, uri: &Uri) -> Answer {
    let Some(below) = uri.path().strip_prefix(&format!("/repos/{REPOSITORY}")) else {
        return Answer::message(404, "Not Found");
    };
    match (method.as_str(), below) {
        ("GET", "") => {
            Answer::of(200, json!({ "full_name": REPOSITORY, "default_branch": world.default_branch }))
        }
        ("GET", "/actions/caches") if !world.may_read => refused("actions=read"),
        ("GET", "/actions/caches") => page(world, uri.query().unwrap_or_default()),
        ("GET", "/actions/cache/usage") => usage(world),
        ("GET", "/actions/cache/storage-limit") => match world.limit_gb {
            Some(limit) => Answer::of(200, json!({ "max_cache_size_gb": limit })),
            None => Answer::message(404, "Not Found"),
        },
        ("DELETE", path) => match path.strip_prefix("/actions/caches/").and_then(|id| id.parse().ok()) {
            Some(id) => delete(world, id),
            None => Answer::message(404, "Not Found"),
        },
        _ => Answer::message(404, "Not Found"),
    }
}

fn refused(permissions: &str) -> Answer {
    let headers = vec![("x-accepted-github-permissions", permissions.to_owned())];
    Answer { headers, ..Answer::message(403, "Resource not accessible by integration") }
}

fn delete(world: &mut World, id: u64) -> Answer {
    if !world.may_delete {
        return refused("actions=write");
    }
    if let Some((most, pause)) = world.burst {
        let (count, ends) = &mut world.row;
        if ends.is_some_and(|ends| Instant::now() >= ends) {
            (*count, *ends) = (0, None);
        }
        if *count >= most {
            ends.get_or_insert_with(|| Instant::now() + pause);
            world.refused += 1;
            let headers = vec![("retry-after", pause.as_secs().to_string())];
            let message = "You have exceeded a secondary rate limit. Please wait a few minutes.";
            return Answer { headers, ..Answer::message(403, message) };
        }
        *count += 1;
    }
    let before = world.caches.len();
    world.caches.retain(|cache| cache.id != id);
    if world.caches.len() < before { Answer::of(204, Value::Null) } else { Answer::message(404, "Not Found") }
}

fn usage(world: &World) -> Answer {
    let bytes: u64 = world.caches.iter().map(|cache| cache.size).sum();
    Answer::of(
        200,
        json!({
            "full_name": REPOSITORY,
            "active_caches_size_in_bytes": bytes,
            "active_caches_count": world.caches.len(),
        }),
    )
}

fn page(world: &World, query: &str) -> Answer {
    let value = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| decoded(value))
    };
    let number = |name: &str, or: usize| value(name).and_then(|text| text.parse().ok()).unwrap_or(or);
    let git_ref = value("ref");
    let key = value("key").unwrap_or_default();
    let mut caches: Vec<&Cache> = world
        .caches
        .iter()
        .filter(|cache| git_ref.as_ref().is_none_or(|git_ref| *git_ref == cache.git_ref))
        .filter(|cache| cache.key.starts_with(&key))
        .collect();
    match value("sort").as_deref() {
        Some("created_at") => caches.sort_by_key(|cache| (cache.created_at, cache.id)),
        Some("size_in_bytes") => caches.sort_by_key(|cache| (cache.size, cache.id)),
        _ => caches.sort_by_key(|cache| (cache.last_accessed_at, cache.id)),
    }
    if value("direction").as_deref() != Some("asc") {
        caches.reverse();
    }
    let per_page = number("per_page", 30).min(100);
    let page = number("page", 1).max(1);
    let items: Vec<Value> =
        caches.iter().skip((page - 1) * per_page).take(per_page).map(|cache| item(cache)).collect();
    Answer::of(200, json!({ "total_count": caches.len(), "actions_caches": items }))
}

fn item(cache: &Cache) -> Value {
    json!({
        "id": cache.id,
        "ref": cache.git_ref,
        "key": cache.key,
        "version": cache.version,
        "last_accessed_at": cache.last_accessed_at.to_rfc3339_opts(SecondsFormat::Nanos, true),
        "created_at": cache.created_at.to_rfc3339_opts(SecondsFormat::Nanos, true),
        "size_in_bytes": cache.size,
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap_or("0"), 16).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
