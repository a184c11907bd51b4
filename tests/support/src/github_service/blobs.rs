//! Block blobs in memory: what the tests need that run without Node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use data_encoding::BASE64;
use md5::{Digest as _, Md5};

use super::http::{Answer, Request};
use super::signing::{now, opens};

/// What is known of a blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    pub size: u64,
    pub etag: String,
    pub last_modified: String,
}

#[derive(Clone)]
struct Blob {
    bytes: Arc<Vec<u8>>,
    etag: String,
    written: DateTime<Utc>,
}

#[derive(Default)]
struct Shelf {
    written: u64,
    /// Blocks by blob and id; a block list may name them again after it was taken.
    staged: HashMap<String, HashMap<String, Vec<u8>>>,
    blobs: HashMap<String, Blob>,
}

/// Blobs by `container/name`.
#[derive(Default)]
pub struct Blobs {
    shelf: Mutex<Shelf>,
}

impl Blobs {
    pub fn facts(&self, path: &str) -> Option<Facts> {
        self.shelf.lock().expect("no panic").blobs.get(path).map(facts)
    }

    pub fn remove(&self, path: &str) {
        self.shelf.lock().expect("no panic").blobs.remove(path);
    }

    /// Changes what a blob holds without a request.
    pub fn replace(&self, path: &str, bytes: &[u8]) {
        self.write(path, bytes.to_vec());
    }

    fn write(&self, path: &str, bytes: Vec<u8>) -> Facts {
        let mut held = self.shelf.lock().expect("no panic");
        held.written += 1;
        let etag = format!("\"0x{:X}\"", held.written);
        let blob = Blob { bytes: Arc::new(bytes), etag, written: now() };
        let written = facts(&blob);
        held.blobs.insert(path.to_owned(), blob);
        written
    }

    pub fn answer(&self, path: &str, request: &Request, at: DateTime<Utc>) -> Answer {
        let permission = if request.method == "PUT" { 'w' } else { 'r' };
        if !opens(path, &request.query, permission, at) {
            return error(403, "AuthenticationFailed");
        }
        match (request.method.as_str(), request.parameter("comp").as_deref()) {
            ("PUT", Some("block")) => self.put_block(path, request),
            ("PUT", Some("blocklist")) => self.put_block_list(path, request),
            ("PUT", None) if request.header("x-ms-blob-type") == Some("BlockBlob") => {
                created(&self.write(path, request.body.clone()))
            }
            ("GET" | "HEAD", None) => self.get(path, request),
            _ => error(400, "UnsupportedHttpVerb"),
        }
    }

    fn put_block(&self, path: &str, request: &Request) -> Answer {
        let Some(id) = request.parameter("blockid").filter(|id| BASE64.decode(id.as_bytes()).is_ok()) else {
            return error(400, "InvalidQueryParameterValue");
        };
        let digest = BASE64.encode(&Md5::digest(&request.body));
        if request.header("content-md5").is_some_and(|claimed| claimed != digest) {
            return error(400, "Md5Mismatch");
        }
        let mut held = self.shelf.lock().expect("no panic");
        let staged = held.staged.entry(path.to_owned()).or_default();
        if staged.keys().any(|other| other.len() != id.len()) {
            return error(400, "InvalidBlobOrBlock");
        }
        staged.insert(id, request.body.clone());
        Answer::of(201)
    }

    fn put_block_list(&self, path: &str, request: &Request) -> Answer {
        let list = String::from_utf8_lossy(&request.body).into_owned();
        let mut bytes = Vec::new();
        {
            let held = self.shelf.lock().expect("no panic");
            let staged = held.staged.get(path);
            for id in list.split("<Latest>").skip(1).filter_map(|rest| rest.split("</Latest>").next()) {
                match staged.and_then(|staged| staged.get(id)) {
                    Some(block) => bytes.extend_from_slice(block),
                    None => return error(400, "InvalidBlockList"),
                }
            }
        }
        created(&self.write(path, bytes))
    }

    fn get(&self, path: &str, request: &Request) -> Answer {
        let Some(blob) = self.shelf.lock().expect("no panic").blobs.get(path).cloned() else {
            return error(404, "BlobNotFound");
        };
        if request.header("if-match").is_some_and(|wanted| wanted != blob.etag) {
            return error(412, "ConditionNotMet");
        }
        let facts = facts(&blob);
        let total = blob.bytes.len();
        let described = |status| {
            Answer::of(status)
                .with("ETag", &facts.etag)
                .with("Last-Modified", &facts.last_modified)
                .with("Accept-Ranges", "bytes")
        };
        if request.method == "HEAD" {
            return Answer { length: Some(facts.size), ..described(200) };
        }
        let range = request.header("x-ms-range").or_else(|| request.header("range"));
        let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((first, last)) = range else { return described(200).and_body(blob.bytes.to_vec()) };
        let first: usize = first.parse().unwrap_or(usize::MAX);
        let last = last.parse().unwrap_or(usize::MAX).min(total.saturating_sub(1));
        match blob.bytes.get(first..=last) {
            Some(part) if !part.is_empty() => {
                described(206).with("Content-Range", format!("bytes {first}-{last}/{total}")).and_body(part)
            }
            _ => error(416, "InvalidRange"),
        }
    }
}

fn facts(blob: &Blob) -> Facts {
    Facts {
        size: blob.bytes.len() as u64,
        etag: blob.etag.clone(),
        last_modified: blob.written.format("%a, %d %b %Y %H:%M:%S GMT").to_string(),
    }
}

fn created(facts: &Facts) -> Answer {
    Answer::of(201).with("ETag", &facts.etag).with("Last-Modified", &facts.last_modified)
}

fn error(status: u16, code: &str) -> Answer {
    let body = format!("<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code></Error>");
    Answer::of(status).with("x-ms-error-code", code).with("Content-Type", "application/xml").and_body(body)
}
