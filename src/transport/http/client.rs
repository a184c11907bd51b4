//! The HTTP client: TLS by rustls with the system's certificates, proxies of the environment, timeouts.

use std::net::ToSocketAddrs as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Method, Url, redirect};
use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::address::{self, AddressError};
use crate::domain::event::Details;
use crate::threads::blocking::aside;

/// How long each step of a request may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timeouts {
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// Without a single byte: waiting for the answer, or between two pieces of its body.
    pub idle: Duration,
    /// The least speed of a body, in bytes a second, averaged over [`Timeouts::speed_window`]; 0 sets no limit.
    pub least_speed: u64,
    /// Over how much waiting the speed is averaged.
    pub speed_window: Duration,
}

impl Default for Timeouts {
    /// 10 s to connect, 30 s idle, 1 kB/s over 30 s: a server that does worse is broken, not slow.
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            least_speed: 1_000,
            speed_window: Duration::from_secs(30),
        }
    }
}

/// The TLS backend or the system's certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up HTTPS: {0}")]
pub struct ClientError(Box<dyn std::error::Error + Send + Sync>);

impl From<rustls::Error> for ClientError {
    fn from(error: rustls::Error) -> Self {
        ClientError(error.into())
    }
}

impl From<reqwest::Error> for ClientError {
    fn from(error: reqwest::Error) -> Self {
        ClientError(error.into())
    }
}

/// Makes requests. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    outward: reqwest::Client,
    loopback: reqwest::Client,
    timeouts: Timeouts,
    details: Details,
    /// Whether `http` is spoken to the metadata address of a machine.
    allows_metadata: bool,
}

impl crate::domain::hint::Hint for ClientError {}

impl Client {
    /// A client with these timeouts. `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` are honored, and
    /// the system's proxy settings on macOS and Windows; this machine is never asked through a proxy.
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the system's certificates on Linux.
    pub fn new(timeouts: Timeouts) -> Result<Self, ClientError> {
        let tls = tls()?;
        let outward = builder(timeouts, tls.clone()).build()?;
        let loopback = builder(timeouts, tls).no_proxy().build()?;
        Ok(Client { outward, loopback, timeouts, details: Details::none(), allows_metadata: false })
    }

    /// The same client, which reports its requests and retries.
    #[must_use]
    pub fn with_details(self, details: Details) -> Self {
        Client { details, ..self }
    }

    /// The same client, which also speaks `http` to the metadata address of the machine, and never through a proxy.
    #[must_use]
    pub(crate) fn allowing_metadata_addresses(self) -> Self {
        Client { allows_metadata: true, ..self }
    }

    /// Where details of the work with this client are reported.
    pub fn details(&self) -> &Details {
        &self.details
    }

    /// The timeouts that this client was made with.
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// A request, refused where the URL is ([`address::check`]). The total deadline is the caller's.
    pub fn request(&self, method: Method, url: &Url) -> Result<reqwest::RequestBuilder, AddressError> {
        let is_metadata = self.allows_metadata && address::is_metadata(url);
        if !is_metadata {
            address::check(url)?;
        }
        self.details.tell(format_args!("request: {method} {}", address::shown(url)));
        let is_direct = is_metadata || address::is_loopback(url);
        let client = if is_direct { &self.loopback } else { &self.outward };
        Ok(client.request(method, url.clone()))
    }
}

fn builder(timeouts: Timeouts, tls: ClientConfig) -> reqwest::ClientBuilder {
    let mut headers = HeaderMap::new();
    // Lengths, ranges and checksums are those of the file, not of a compressed transfer.
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("cachekeep/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .dns_resolver(Arc::new(SystemResolver))
        .connect_timeout(timeouts.connect)
        .read_timeout(timeouts.idle)
        .pool_idle_timeout(Duration::from_secs(30))
        .redirect(redirect::Policy::custom(|attempt| {
            match address::check_redirect(attempt.previous(), attempt.url()) {
                Ok(()) => attempt.follow(),
                Err(refusal) => attempt.error(refusal),
            }
        }))
}

/// The resolver of the system, which blocks. The one of reqwest needs a thread that the runtime may not have.
struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = aside("resolve", move || (name.as_str(), 0).to_socket_addrs()).await??;
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// TLS with the system's certificates, which are read once for all clients of the process: on Linux that takes as long as
/// starting the program.
fn tls() -> Result<ClientConfig, rustls::Error> {
    static READ: Mutex<Option<ClientConfig>> = Mutex::new(None);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(tls) = &*read {
        return Ok(tls.clone());
    }
    // An error means that the process has chosen a provider already, which serves as well.
    let _ = ring::default_provider().install_default();
    let mut tls = ClientConfig::builder().with_platform_verifier()?.with_no_client_auth();
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(read.insert(tls).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_to_where_bytes_could_be_changed_are_refused() {
        let client = Client::new(Timeouts::default()).expect("a client");
        let refused = |text: &str| client.request(Method::GET, &Url::parse(text).expect(text)).err();
        assert_eq!(refused("http://example.org/"), Some(AddressError::Insecure));
        assert_eq!(refused("ftp://example.org/"), Some(AddressError::Scheme));
        assert_eq!(refused("https://example.org/"), None);
        assert_eq!(refused("http://127.0.0.1:1/"), None);
        assert_eq!(refused("http://169.254.169.254/"), Some(AddressError::Insecure));
        let client = client.allowing_metadata_addresses();
        let refused = |text: &str| client.request(Method::GET, &Url::parse(text).expect(text)).err();
        assert_eq!(refused("http://169.254.169.254/"), None);
        assert_eq!(refused("http://metadata.google.internal/x"), None);
        assert_eq!(refused("http://example.org/"), Some(AddressError::Insecure));
    }
}
