//! Block blobs in memory: what the tests need that run without Node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use crc_fast::{CrcAlgorithm, checksum};
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

/// Which checksums of blocks the storage knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checks {
    /// CRC-64 and MD5, as Azure does.
    #[default]
    Both,
    /// MD5; the header of CRC-64 is ignored.
    Md5,
    /// MD5; a request with the header of CRC-64 is refused, as Azurite 3.35 does.
    Md5Strictly,
    /// None: whatever arrives is stored.
    Nothing,
    /// Both, and what is stored afterwards begins with another byte.
    InVain,
}

#[derive(Clone)]
struct Blob {
    /// Its blocks, as they arrived: a list of them copies nothing.
    blocks: Vec<Arc<Vec<u8>>>,
    etag: String,
    written: DateTime<Utc>,
}

#[derive(Default)]
struct Shelf {
    written: u64,
    /// Blocks by blob and id; a block list may name them again after it was taken.
    staged: HashMap<String, HashMap<String, Arc<Vec<u8>>>>,
    blobs: HashMap<String, Blob>,
}

/// Blobs by `container/name`.
#[derive(Default)]
pub struct Blobs {
    checks: Mutex<Checks>,
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
        self.write(path, vec![Arc::new(bytes.to_vec())]);
    }

    /// Knows these checksums from now on.
    pub fn set_checks(&self, checks: Checks) {
        *self.checks.lock().expect("no panic") = checks;
    }

    fn write(&self, path: &str, blocks: Vec<Arc<Vec<u8>>>) -> Facts {
        let mut held = self.shelf.lock().expect("no panic");
        held.written += 1;
        let etag = format!("\"0x{:X}\"", held.written);
        let blob = Blob { blocks, etag, written: now() };
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
                created(&self.write(path, vec![Arc::new(request.body.clone())]))
            }
            ("GET" | "HEAD", None) => self.get(path, request),
            _ => error(400, "UnsupportedHttpVerb"),
        }
    }

    fn put_block(&self, path: &str, request: &Request) -> Answer {
        let Some(id) = request.parameter("blockid").filter(|id| BASE64.decode(id.as_bytes()).is_ok()) else {
            return error(400, "InvalidQueryParameterValue");
        };
        let repeated = match self.checked(request) {
            Ok(repeated) => repeated,
            Err(refusal) => return refusal,
        };
        let mut held = self.shelf.lock().expect("no panic");
        let staged = held.staged.entry(path.to_owned()).or_default();
        if staged.keys().any(|other| other.len() != id.len()) {
            return error(400, "InvalidBlobOrBlock");
        }
        let mut block = request.body.clone();
        if *self.checks.lock().expect("no panic") == Checks::InVain {
            block[0] ^= 1;
        }
        staged.insert(id, Arc::new(block));
        repeated.into_iter().fold(Answer::of(201), |answer, (name, value)| answer.with(name, value))
    }

    /// The checksum of what arrived, which the answer repeats if it was sent with it: CRC-64/NVME with the least significant byte
    /// first, and MD5. Another one is refused (learn.microsoft.com, `rest/api/storageservices/put-block`, "Request headers" and
    /// "Response headers"; the codes are those of the service's SDKs).
    fn checked(&self, request: &Request) -> Result<Option<(&'static str, String)>, Answer> {
        let checks = *self.checks.lock().expect("no panic");
        let crc = request.header("x-ms-content-crc64");
        let md5 = request.header("content-md5");
        if crc.is_some() && md5.is_some() {
            return Err(error(400, "InvalidInput"));
        }
        match (crc, md5, checks) {
            (Some(_), _, Checks::Md5Strictly) => Err(error(500, "FeatureNotSupported")),
            (Some(sent), _, Checks::Both | Checks::InVain) => {
                let crc = checksum(CrcAlgorithm::Crc64Nvme, &request.body);
                let arrived = BASE64.encode(&crc.to_le_bytes());
                if arrived != sent {
                    return Err(error(400, "Crc64Mismatch"));
                }
                Ok(Some(("x-ms-content-crc64", arrived)))
            }
            (_, Some(sent), Checks::Both | Checks::Md5 | Checks::Md5Strictly) => {
                let arrived = BASE64.encode(&Md5::digest(&request.body));
                if arrived != sent {
                    return Err(error(400, "Md5Mismatch"));
                }
                Ok(Some(("Content-MD5", arrived)))
            }
            _ => Ok(None),
        }
    }

    fn put_block_list(&self, path: &str, request: &Request) -> Answer {
        let list = String::from_utf8_lossy(&request.body).into_owned();
        let mut blocks = Vec::new();
        {
            let held = self.shelf.lock().expect("no panic");
            let staged = held.staged.get(path);
            for id in list.split("<Latest>").skip(1).filter_map(|rest| rest.split("</Latest>").next()) {
                match staged.and_then(|staged| staged.get(id)) {
                    Some(block) => blocks.push(Arc::clone(block)),
                    None => return error(400, "InvalidBlockList"),
                }
            }
        }
        created(&self.write(path, blocks))
    }

    fn get(&self, path: &str, request: &Request) -> Answer {
        let Some(blob) = self.shelf.lock().expect("no panic").blobs.get(path).cloned() else {
            return error(404, "BlobNotFound");
        };
        if request.header("if-match").is_some_and(|wanted| wanted != blob.etag) {
            return error(412, "ConditionNotMet");
        }
        let facts = facts(&blob);
        let total = blob.size();
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
        let Some((first, last)) = range else { return described(200).and_body(blob.part(0, total)) };
        let first: usize = first.parse().unwrap_or(usize::MAX);
        let last = last.parse().unwrap_or(usize::MAX).min(total.saturating_sub(1));
        if first > last || last >= total {
            return error(416, "InvalidRange");
        }
        let part = blob.part(first, last + 1);
        described(206).with("Content-Range", format!("bytes {first}-{last}/{total}")).and_body(part)
    }
}

impl Blob {
    fn size(&self) -> usize {
        self.blocks.iter().map(|block| block.len()).sum()
    }

    fn part(&self, first: usize, end: usize) -> Vec<u8> {
        let mut part = Vec::with_capacity(end - first);
        let mut position = 0;
        for block in &self.blocks {
            let next = position + block.len();
            let (from, to) = (first.clamp(position, next), end.clamp(position, next));
            part.extend_from_slice(&block[from - position..to - position]);
            position = next;
        }
        part
    }
}

fn facts(blob: &Blob) -> Facts {
    Facts {
        size: blob.size() as u64,
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
