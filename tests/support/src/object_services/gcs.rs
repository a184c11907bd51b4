//! A fake of Google Cloud Storage's XML API, as far as this program uses it.
//!
//! Each rule names the page of the service's documentation that it is from, below
//! `https://cloud.google.com/storage/docs/`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use data_encoding::BASE64;
use md5::{Digest as _, Md5};

use super::real::{BUCKET, Variables};
use crate::capture::secret;
use crate::github_service::http::{Answer, Fault, Request, Server, Service};
use crate::github_service::signing::now;

/// The token that every request must carry.
pub(super) const TOKEN: &str = "ya29.hush-of-the-fake";

/// Objects of one page of a list. The service has 1 000.
const PAGE: usize = 7;

/// A running fake with one bucket.
pub struct Gcs {
    server: Server,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, Upload>,
    generation: u64,
}

#[derive(Clone)]
struct Object {
    bytes: Vec<u8>,
    mark: Option<String>,
    generation: u64,
    at: DateTime<Utc>,
}

struct Upload {
    key: String,
    mark: Option<String>,
    parts: BTreeMap<usize, Vec<u8>>,
    at: DateTime<Utc>,
}

impl Gcs {
    /// Starts an empty one.
    pub fn start() -> Self {
        let state = Arc::new(State::default());
        Gcs { server: Server::start(Arc::clone(&state) as Arc<dyn Service>), state }
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// The variables of a step that uses it at this port.
    pub fn variables(port: u16) -> Variables {
        secret("access token of Google", TOKEN);
        vec![
            ("GOOGLE_OAUTH_ACCESS_TOKEN", TOKEN.to_owned()),
            ("STORAGE_EMULATOR_HOST", format!("http://127.0.0.1:{port}")),
        ]
    }

    /// The names of all objects, and the number of uploads in progress.
    pub fn kept(&self) -> (Vec<String>, usize) {
        let kept = self.state.kept();
        (kept.objects.keys().cloned().collect(), kept.uploads.len())
    }
}

impl State {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no panic")
    }
}

impl Service for State {
    fn fault(&self, _method: &str, _path: &str, _query: &str) -> Fault {
        Fault::None
    }

    fn answer(&self, request: &Request) -> Answer {
        // authentication: a bearer token, without which nothing is served.
        if request.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
            return refusal(401, "AuthenticationRequired");
        }
        let Some(key) = key_of(&request.path) else { return refusal(404, "NoSuchBucket") };
        let has = |name: &str| request.query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let mut kept = self.kept();
        match (request.method.as_str(), key.is_empty()) {
            ("GET", true) if has("uploads") => kept.list_uploads(request),
            ("GET", true) => kept.list(request),
            ("GET" | "HEAD", false) => kept.read(&key, request),
            ("POST", false) if has("uploads") => kept.begin(key, request),
            ("PUT", false) if has("uploadId") => kept.part(request),
            ("POST", false) if has("uploadId") => kept.complete(request),
            ("DELETE", false) if has("uploadId") => kept.abort(request),
            ("PUT", false) if request.header("x-goog-copy-source").is_some() => kept.copy(key, request),
            ("PUT", false) => kept.put(key, request),
            ("DELETE", false) => match kept.objects.remove(&key) {
                Some(_) => Answer::of(204),
                None => refusal(404, "NoSuchKey"),
            },
            _ => refusal(405, "MethodNotAllowed"),
        }
    }
}

impl Kept {
    fn store(&mut self, key: String, bytes: Vec<u8>, mark: Option<String>) -> String {
        self.generation += 1;
        let object = Object { bytes, mark, generation: self.generation, at: now() };
        let tag = object.tag();
        self.objects.insert(key, object);
        tag
    }

    /// xml-api/put-object-upload.
    fn put(&mut self, key: String, request: &Request) -> Answer {
        if self.is_refused(&key, request) {
            return refusal(412, "PreconditionFailed");
        }
        let tag = self.store(key, request.body.clone(), mark_of(request));
        Answer::of(200).with("ETag", tag)
    }

    /// xml-api/reference-headers#xgoogifgenerationmatch: with 0 the request succeeds only if the object does not exist.
    fn is_refused(&self, key: &str, request: &Request) -> bool {
        match request.header("x-goog-if-generation-match") {
            None => false,
            Some(wanted) => {
                let found = self.objects.get(key).map_or(0, |object| object.generation);
                wanted.parse() != Ok(found)
            }
        }
    }

    /// xml-api/put-object-copy: metadata comes along; the source is `bucket/object`.
    fn copy(&mut self, key: String, request: &Request) -> Answer {
        if self.is_refused(&key, request) {
            return refusal(412, "PreconditionFailed");
        }
        let source = request.header("x-goog-copy-source").and_then(|source| key_of(&format!("/{source}")));
        let Some(source) = source.and_then(|source| self.objects.get(&source)).cloned() else {
            return refusal(404, "NoSuchKey");
        };
        let tag = self.store(key, source.bytes, source.mark);
        Answer::of(200).and_body(format!("<CopyObjectResult><ETag>{tag}</ETag></CopyObjectResult>"))
    }

    /// xml-api/post-object-multipart. Metadata is given here, and preconditions are refused.
    fn begin(&mut self, key: String, request: &Request) -> Answer {
        if request.header("x-goog-if-generation-match").is_some() || request.header("if-none-match").is_some()
        {
            return refusal(400, "InvalidArgument");
        }
        self.generation += 1;
        let id = format!("VXBsb2Fk+{}/=", self.generation);
        let upload = Upload { key, mark: mark_of(request), parts: BTreeMap::new(), at: now() };
        self.uploads.insert(id.clone(), upload);
        let text = format!(
            "<?xml version='1.0' encoding='UTF-8'?><InitiateMultipartUploadResult \
             xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><Bucket>{BUCKET}</Bucket><UploadId>{id}</UploadId>\
             </InitiateMultipartUploadResult>"
        );
        Answer::of(200).and_body(text)
    }

    /// xml-api/put-object-multipart; xml-api/reference-headers#contentmd5: a body of another digest is refused.
    fn part(&mut self, request: &Request) -> Answer {
        let digest = BASE64.encode(&Md5::digest(&request.body));
        if request.header("content-md5").is_some_and(|wanted| wanted != digest) {
            return refusal(400, "BadDigest");
        }
        let number = request.parameter("partNumber").and_then(|number| number.parse().ok());
        let upload = request.parameter("uploadId").and_then(|id| self.uploads.get_mut(&id));
        let (Some(number), Some(upload)) = (number, upload) else { return refusal(404, "NoSuchUpload") };
        upload.parts.insert(number, request.body.clone());
        Answer::of(200).with("ETag", format!("\"{digest}\""))
    }

    /// xml-api/post-object-complete: parts but the last have at least 5 MiB, and an object is replaced.
    fn complete(&mut self, request: &Request) -> Answer {
        let id = request.parameter("uploadId").unwrap_or_default();
        let Some(upload) = self.uploads.get(&id) else { return refusal(404, "NoSuchUpload") };
        let listed = String::from_utf8_lossy(&request.body).matches("<PartNumber>").count();
        if listed == 0 || listed != upload.parts.len() {
            return refusal(400, "InvalidPart");
        }
        if upload.parts.values().rev().skip(1).any(|part| part.len() < 5 << 20) {
            return refusal(400, "EntityTooSmall");
        }
        let Some(upload) = self.uploads.remove(&id) else { return refusal(404, "NoSuchUpload") };
        let bytes = upload.parts.into_values().flatten().collect();
        let tag = self.store(upload.key, bytes, upload.mark).replace('"', "&quot;");
        Answer::of(200).and_body(format!(
            "<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
        ))
    }

    /// xml-api/delete-multipart.
    fn abort(&mut self, request: &Request) -> Answer {
        match request.parameter("uploadId").and_then(|id| self.uploads.remove(&id)) {
            Some(_) => Answer::of(204),
            None => refusal(404, "NoSuchUpload"),
        }
    }

    /// xml-api/get-object-download and head-object: `If-Match`, and one range.
    fn read(&self, key: &str, request: &Request) -> Answer {
        let Some(object) = self.objects.get(key) else { return refusal(404, "NoSuchKey") };
        if request.header("if-match").is_some_and(|wanted| wanted != object.tag()) {
            return refusal(412, "PreconditionFailed");
        }
        let size = object.bytes.len();
        let mut answer = Answer::of(200)
            .with("ETag", object.tag())
            .with("Last-Modified", object.at.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
            .with("x-goog-generation", object.generation.to_string());
        if let Some(mark) = &object.mark {
            answer = answer.with("x-goog-meta-cachekeepupload", mark.clone());
        }
        if request.method == "HEAD" {
            return Answer { length: Some(size as u64), ..answer };
        }
        let range = request.header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((first, last)) = range else { return answer.and_body(object.bytes.clone()) };
        let first = first.parse().unwrap_or(0);
        let end = last.parse().map_or(size, |last: usize| (last + 1).min(size));
        if first >= size {
            return refusal(416, "InvalidRange");
        }
        let part = object.bytes[first..end].to_vec();
        let range = format!("bytes {first}-{}/{size}", end - 1);
        Answer { status: 206, ..answer.with("Content-Range", range) }.and_body(part)
    }

    /// xml-api/get-bucket-list, version 2: pages of names in order, times with milliseconds.
    fn list(&self, request: &Request) -> Answer {
        let prefix = request.parameter("prefix").unwrap_or_default();
        let after = request.parameter("continuation-token").unwrap_or_default();
        let found = self.objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after);
        let page: Vec<_> = found.take(PAGE + 1).collect();
        let mut text = format!("<ListBucketResult><IsTruncated>{}</IsTruncated>", page.len() > PAGE);
        for (key, object) in page.iter().take(PAGE) {
            let (at, tag) = (object.at.format("%Y-%m-%dT%H:%M:%S%.3fZ"), object.tag());
            let _ = write!(
                text,
                "<Contents><Key>{key}</Key><LastModified>{at}</LastModified><ETag>{tag}</ETag><Size>{}</Size></Contents>",
                object.bytes.len()
            );
        }
        if let Some((key, _)) = page.get(PAGE - 1).filter(|_| page.len() > PAGE) {
            let _ = write!(text, "<NextContinuationToken>{key}</NextContinuationToken>");
        }
        Answer::of(200).and_body(text + "</ListBucketResult>")
    }

    /// xml-api/get-bucket-uploads.
    fn list_uploads(&self, request: &Request) -> Answer {
        let prefix = request.parameter("prefix").unwrap_or_default();
        let mut text = "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>".to_owned();
        for (id, upload) in self.uploads.iter().filter(|(_, upload)| upload.key.starts_with(&prefix)) {
            let (key, at) = (&upload.key, upload.at.format("%Y-%m-%dT%H:%M:%S%.3fZ"));
            let _ = write!(
                text,
                "<Upload><Key>{key}</Key><UploadId>{id}</UploadId><Initiated>{at}</Initiated></Upload>"
            );
        }
        Answer::of(200).and_body(text + "</ListMultipartUploadsResult>")
    }
}

impl Object {
    fn tag(&self) -> String {
        format!("\"{:016x}\"", self.generation)
    }
}

fn mark_of(request: &Request) -> Option<String> {
    request.header("x-goog-meta-cachekeepupload").map(str::to_owned)
}

/// The object of a path below the bucket; nothing for the bucket itself, `None` for another bucket.
fn key_of(path: &str) -> Option<String> {
    let rest = path.strip_prefix('/')?.strip_prefix(BUCKET)?;
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    crate::github_service::http::parameter(&format!("k={rest}"), "k")
}

fn refusal(status: u16, code: &str) -> Answer {
    Answer::of(status)
        .and_body(format!("<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code></Error>"))
}
