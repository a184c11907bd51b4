//! A small HTTP server on loopback that fails on request: each request for a path takes that path's next fault.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing.
    None,
    /// A status without the body, and headers such as `Retry-After`.
    Status(u16, Vec<(&'static str, String)>),
    /// The connection is reset after this many bytes of the body.
    ResetAt(usize),
    /// The connection is closed in good order after this many bytes of the body.
    CloseAt(usize),
    /// Nothing more after this many bytes of the body, and the connection stays.
    StallAt(usize),
    /// One byte at a time, this far apart.
    Trickle(Duration),
    /// `Content-Length` has this value, whatever the length of the body.
    ClaimLength(usize),
    /// The whole file is sent although a range was asked for.
    IgnoreRange,
    /// Other bytes under another version from now on.
    Replace(Vec<u8>),
}

/// A file that is served.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its `ETag`, with quotes.
    pub etag: Option<String>,
    /// What happens to the first requests; `always` happens to the rest.
    pub faults: VecDeque<Fault>,
    /// What happens to every request after those.
    pub always: Fault,
}

impl Resource {
    /// A file whose first requests fail like this.
    pub fn new(bytes: impl Into<Vec<u8>>, faults: impl IntoIterator<Item = Fault>) -> Self {
        Resource {
            bytes: bytes.into(),
            etag: Some("\"1\"".to_owned()),
            faults: faults.into_iter().collect(),
            always: Fault::None,
        }
    }

    /// A file whose every request fails like this.
    pub fn always(bytes: impl Into<Vec<u8>>, fault: Fault) -> Self {
        Resource { always: fault, ..Resource::new(bytes, []) }
    }

    /// The same without an `ETag`.
    pub fn without_version(self) -> Self {
        Resource { etag: None, ..self }
    }
}

#[derive(Debug, Default)]
struct State {
    resources: Mutex<HashMap<String, Resource>>,
    requests: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct FaultServer {
    port: u16,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

impl FaultServer {
    /// Starts without files: everything is 404.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = listener.local_addr().expect("a bound listener").port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let listening = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&shared);
                // A client that goes away in the middle is part of the test.
                std::thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        FaultServer { port, state, listener: Some(listening) }
    }

    /// Serves a file at a path that begins with `/`.
    pub fn put(&self, path: &str, resource: Resource) {
        lock(&self.state.resources).insert(path.to_owned(), resource);
    }

    /// The URL of a path that begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Requests so far: path, and the range asked for.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.state.requests).clone()
    }
}

impl Drop for FaultServer {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        // Wakes the listener, which then reads the flag and stops.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        // The port is closed once the thread has ended: clients are refused, and not dropped in the middle.
        let _ = self.listener.take().map(JoinHandle::join);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds the server's state")
}

fn serve(mut stream: TcpStream, state: &State) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let head = peek_head(&stream)?;
    let mut lines = head.lines();
    let path = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default().to_owned();
    let header = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    };
    let range = header("range");
    let first = range.as_ref().and_then(|text| text.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let shown = range.map(|range| format!(" {range}")).unwrap_or_default();
    lock(&state.requests).push(format!("{path}{shown}"));
    let bare = path.split('?').next().unwrap_or_default();
    let (resource, fault) = {
        let mut resources = lock(&state.resources);
        let Some(resource) = resources.get_mut(bare) else {
            drop(resources);
            return respond(&mut stream, 404, &[], b"no such file", &head);
        };
        let fault = resource.faults.pop_front().unwrap_or_else(|| resource.always.clone());
        if let Fault::Replace(bytes) = &fault {
            resource.bytes.clone_from(bytes);
            resource.etag = resource.etag.as_ref().map(|_| "\"2\"".to_owned());
        }
        (resource.clone(), fault)
    };
    if let Fault::Status(code, headers) = &fault {
        let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        return respond(&mut stream, *code, &headers, b"", &head);
    }
    let same = header("if-range").is_none_or(|version| Some(version) == resource.etag);
    let first: usize = first.filter(|_| same && !matches!(fault, Fault::IgnoreRange)).unwrap_or(0);
    let total = resource.bytes.len();
    let body = resource.bytes.get(first..).unwrap_or_default();
    let claimed = if let Fault::ClaimLength(claimed) = fault { claimed } else { body.len() };
    let start = if first > 0 {
        let range = format!("Content-Range: bytes {first}-{}/{total}\r\n", total.saturating_sub(1));
        format!("HTTP/1.1 206 Partial Content\r\n{range}")
    } else {
        "HTTP/1.1 200 OK\r\n".to_owned()
    };
    let etag = resource.etag.as_ref().map(|etag| format!("ETag: {etag}\r\n")).unwrap_or_default();
    write!(stream, "{start}{etag}Content-Length: {claimed}\r\nConnection: close\r\n\r\n")?;
    send_body(&mut stream, body, &fault, head.len(), state)
}

fn send_body(
    stream: &mut TcpStream,
    body: &[u8],
    fault: &Fault,
    head: usize,
    state: &State,
) -> io::Result<()> {
    let until = |end: usize| &body[..end.min(body.len())];
    match fault {
        Fault::ResetAt(end) => {
            stream.write_all(until(*end))?;
            stream.flush()?;
            std::thread::sleep(Duration::from_millis(50));
            // The request is still unread: closing now sends a reset.
            return Ok(());
        }
        Fault::CloseAt(end) => stream.write_all(until(*end))?,
        Fault::StallAt(end) => {
            stream.write_all(until(*end))?;
            while !state.stop.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Fault::Trickle(pause) => {
            for byte in body {
                stream.write_all(&[*byte])?;
                std::thread::sleep(*pause);
            }
        }
        _ => stream.write_all(body)?,
    }
    consume(stream, head)?;
    stream.shutdown(Shutdown::Write)
}

fn respond(stream: &mut TcpStream, code: u16, headers: &[String], body: &[u8], head: &str) -> io::Result<()> {
    write!(stream, "HTTP/1.1 {code} Injected\r\nContent-Length: {}\r\n", body.len())?;
    for header in headers {
        write!(stream, "{header}\r\n")?;
    }
    stream.write_all(b"Connection: close\r\n\r\n")?;
    stream.write_all(body)?;
    consume(stream, head.len())?;
    stream.shutdown(Shutdown::Write)
}

/// The request's head, left unread in the socket.
fn peek_head(stream: &TcpStream) -> io::Result<String> {
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = stream.peek(&mut buffer)?;
        if let Some(end) = buffer[..count].windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(String::from_utf8_lossy(&buffer[..end + 4]).into_owned());
        }
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn consume(stream: &mut TcpStream, head: usize) -> io::Result<()> {
    stream.read_exact(&mut vec![0; head])
}
