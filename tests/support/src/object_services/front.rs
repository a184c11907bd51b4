//! A front before an object service: it passes requests on, and misbehaves where a test asks for it.

use std::io::{self, BufRead as _, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::github_service::http::{Answer, Fault, Request, Server, Service};

/// What a fault applies to: the method and a text in the path and query of a request.
#[derive(Debug, Clone, Copy)]
pub struct Matching(pub &'static str, pub &'static str);

/// A running front.
pub struct Front {
    server: Server,
    state: Arc<State>,
}

/// Decides about requests in place of the service behind a front.
pub trait Guard: Send + Sync + 'static {
    /// The request as the service behind is to see it, or the answer of a refusal.
    fn admit(&self, request: Request) -> Result<Request, Answer>;
}

struct State {
    behind: u16,
    guard: Option<Arc<dyn Guard>>,
    armed: Mutex<Vec<(Matching, Fault, usize)>>,
    seen: Mutex<Vec<String>>,
}

impl Front {
    /// A front before the service at this port.
    pub fn start(behind: u16) -> Self {
        Front::with(behind, None)
    }

    /// A front that admits only what a guard admits.
    pub fn guarded(behind: u16, guard: Arc<dyn Guard>) -> Self {
        Front::with(behind, Some(guard))
    }

    fn with(behind: u16, guard: Option<Arc<dyn Guard>>) -> Self {
        let state = Arc::new(State { behind, guard, armed: Mutex::default(), seen: Mutex::default() });
        Front { server: Server::start(Arc::clone(&state) as Arc<dyn Service>), state }
    }

    pub fn port(&self) -> u16 {
        self.server.port
    }

    /// Misbehaves in this way for the next `times` requests that match.
    pub fn arm(&self, matching: Matching, fault: Fault, times: usize) {
        self.state.armed.lock().expect("no panic").push((matching, fault, times));
    }

    /// Whether a fault is armed that no request met as often as it was asked for.
    pub fn is_armed(&self) -> bool {
        self.state.armed.lock().expect("no panic").iter().any(|(_, _, times)| *times > 0)
    }

    /// The method and path of every request, in order.
    pub fn seen(&self) -> Vec<String> {
        self.state.seen.lock().expect("no panic").clone()
    }
}

impl Service for State {
    fn fault(&self, method: &str, path: &str, query: &str) -> Fault {
        let target = format!("{path}?{query}");
        self.seen.lock().expect("no panic").push(format!("{method} {target}"));
        let mut armed = self.armed.lock().expect("no panic");
        let met = armed
            .iter_mut()
            .find(|(Matching(of, text), _, times)| *times > 0 && *of == method && target.contains(text));
        met.map_or(Fault::None, |(_, fault, times)| {
            *times -= 1;
            fault.clone()
        })
    }

    fn answer(&self, request: &Request) -> Answer {
        let answer = match &self.guard {
            Some(guard) => match guard.admit(request.clone()) {
                Ok(admitted) => pass_on(self.behind, &admitted),
                Err(refusal) => return refusal,
            },
            None => pass_on(self.behind, request),
        };
        answer.unwrap_or_else(|error| Answer::of(502).and_body(error.to_string()))
    }
}

/// Headers of answers that this program reads.
const PASSED: [&str; 8] = [
    "ETag",
    "Last-Modified",
    "Content-Range",
    "Content-Type",
    "x-ms-error-code",
    "x-ms-meta-cachekeepupload",
    "x-amz-meta-cachekeepupload",
    "x-goog-meta-cachekeepupload",
];

/// Sends a request to a service on this machine.
pub(super) fn pass_on(port: u16, request: &Request) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let mut head = format!("{} {}{query} HTTP/1.1\r\nConnection: close\r\n", request.method, request.path);
    for (name, value) in request.headers() {
        if !name.eq_ignore_ascii_case("connection") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&request.body)?;
    let mut stream = io::BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let header = |wanted: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(": "));
        fields
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.to_owned())
    };
    let length: Option<u64> = header("content-length").and_then(|length| length.parse().ok());
    let mut body = Vec::new();
    match length {
        _ if request.method == "HEAD" => {}
        Some(length) => {
            stream.take(length).read_to_end(&mut body)?;
        }
        None => {
            stream.read_to_end(&mut body)?;
        }
    }
    if header("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        body = joined(&body).ok_or(io::ErrorKind::InvalidData)?;
    }
    let mut answer = Answer::of(status.ok_or(io::ErrorKind::InvalidData)?).and_body(body);
    answer.length = length.filter(|_| request.method == "HEAD");
    for name in PASSED {
        if let Some(value) = header(name) {
            answer = answer.with(name, value);
        }
    }
    Ok(answer)
}

/// The chunks of a body as one (RFC 9112, 7.1).
fn joined(mut chunks: &[u8]) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    loop {
        let line = chunks.windows(2).position(|two| two == b"\r\n")?;
        let length = std::str::from_utf8(&chunks[..line]).ok()?.split(';').next()?;
        let length = usize::from_str_radix(length.trim(), 16).ok()?;
        if length == 0 {
            return Some(whole);
        }
        whole.extend_from_slice(chunks.get(line + 2..line + 2 + length)?);
        chunks = chunks.get(line + 4 + length..)?;
    }
}
