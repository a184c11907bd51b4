//! Signatures of requests to S3 (docs.aws.amazon.com, IAM "Create a signed AWS API request").

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::github_service::http::Request;
use crate::github_service::signing::{hmac, now};

const TOKEN: &str = "x-amz-security-token";

/// The parts of an `Authorization` header.
struct Authorization {
    /// The key's name, and the scope: date, region, service, end.
    credential: String,
    headers: Vec<String>,
    signature: String,
}

impl Authorization {
    fn of(request: &Request) -> Option<Self> {
        let text = request.header("authorization")?.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| text.split(',').find_map(|part| part.trim().strip_prefix(name));
        Some(Authorization {
            credential: field("Credential=")?.to_owned(),
            headers: field("SignedHeaders=")?.split(';').map(str::to_owned).collect(),
            signature: field("Signature=")?.to_owned(),
        })
    }

    /// The request with this header and the signature over it.
    fn sign(&self, request: Request, secret: &str) -> Option<Request> {
        let text = format!(
            "AWS4-HMAC-SHA256 Credential={}, SignedHeaders={}, Signature={}",
            self.credential,
            self.headers.join(";"),
            self.signature_of(&request, secret)?
        );
        Some(request.with_header("authorization", Some(&text)))
    }

    /// The signature of a request over these headers.
    fn signature_of(&self, request: &Request, secret: &str) -> Option<String> {
        let (_, scope) = self.credential.split_once('/')?;
        let mut pairs: Vec<String> =
            request.query.split('&').filter(|pair| !pair.is_empty()).map(with_value).collect();
        pairs.sort();
        let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, pairs.join("&"));
        for name in &self.headers {
            let _ = writeln!(canonical, "{name}:{}", request.header(name)?.trim());
        }
        let payload = request.header("x-amz-content-sha256")?;
        let _ = write!(canonical, "\n{}\n{payload}", self.headers.join(";"));
        let digest = data_encoding::HEXLOWER.encode(&Sha256::digest(canonical.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{digest}", request.header("x-amz-date")?);
        let key = scope
            .split('/')
            .fold(format!("AWS4{secret}").into_bytes(), |key, part| hmac(&key, part.as_bytes()));
        Some(data_encoding::HEXLOWER.encode(&hmac(&key, text.as_bytes())))
    }
}

fn with_value(pair: &str) -> String {
    if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") }
}

/// The request for a service at a port, signed with a key.
pub(super) fn signed(request: Request, port: u16, key: &str, secret: &str) -> Option<Request> {
    let time = now();
    let payload = data_encoding::HEXLOWER.encode(&Sha256::digest(&request.body));
    let length = request.body.len().to_string();
    let request = request
        .with_header("host", Some(&format!("127.0.0.1:{port}")))
        .with_header("content-length", Some(&length))
        .with_header("x-amz-content-sha256", Some(&payload))
        .with_header("x-amz-date", Some(&time.format("%Y%m%dT%H%M%SZ").to_string()));
    let authorization = Authorization {
        credential: format!("{key}/{}/us-east-1/s3/aws4_request", time.format("%Y%m%d")),
        headers: ["host", "x-amz-content-sha256", "x-amz-date"].map(str::to_owned).into(),
        signature: String::new(),
    };
    authorization.sign(request, secret)
}

/// The request signed without its session token, which must be covered by its signature; `None` if that is wrong.
pub(super) fn signed_without_token(request: Request, secret: &str) -> Option<Request> {
    let authorization = Authorization::of(&request)?;
    let is_right = authorization.signature_of(&request, secret).as_ref() == Some(&authorization.signature)
        && authorization.headers.iter().any(|name| name == TOKEN);
    if !is_right {
        return None;
    }
    let request = request.with_header(TOKEN, None);
    let headers: Vec<String> = authorization.headers.iter().filter(|name| *name != TOKEN).cloned().collect();
    let authorization = Authorization { headers, ..authorization };
    authorization.sign(request, secret)
}
