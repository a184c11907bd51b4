//! Just enough of HTTP/1.1 to misbehave in every way: one thread a connection, and faults on the way in and
//! on the way out.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing.
    None,
    /// This answer instead of the right one; the request changes nothing.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The connection is reset after this many bytes of the request's body; the request changes nothing.
    ResetRequestAt(usize),
    /// Nothing is read after this many bytes of the request's body, and the connection stays.
    StallRequestAt(usize),
    /// The request is done, and the connection closes instead of an answer.
    LoseAnswer,
    /// A byte of the request's body changes on its way.
    Damage,
    /// This bit of the request's body changes on its way, counted from its start again where the body is shorter.
    Flip(usize),
    /// The connection is reset after this many bytes of the right answer's body.
    ResetAt(usize),
    /// The connection is closed in good order after this many bytes of the right answer's body.
    CloseAt(usize),
    /// Nothing more after this many bytes of the right answer's body, and the connection stays.
    StallAt(usize),
    /// The right answer's body, one byte at a time, this far apart.
    Trickle(Duration),
    /// The right answer's body with this many bytes cut off, and a length to match.
    Shorten(usize),
}

/// A request that was read.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// The path without the query.
    pub path: String,
    pub query: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers.
    pub fn new(method: &str, path: &str, query: &str, body: impl Into<Vec<u8>>) -> Self {
        Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The same request with this header, or with `None` without it.
    pub fn with_header(mut self, name: &str, value: Option<&str>) -> Self {
        self.headers.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self
    }

    /// The same request with more in its query.
    pub fn with_query(self, more: &str) -> Self {
        let joint = if self.query.is_empty() { "" } else { "&" };
        Request { query: format!("{}{joint}{more}", self.query), ..self }
    }

    /// A field of a form in the body, decoded.
    pub fn field(&self, name: &str) -> Option<String> {
        parameter(std::str::from_utf8(&self.body).ok()?, name)
    }

    /// All headers, in order.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }

    /// A parameter of the query, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        parameter(&self.query, name)
    }
}

/// A parameter of a query, decoded.
pub fn parameter(query: &str, name: &str) -> Option<String> {
    query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| percent_decoded(value))
    })
}

fn percent_decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%').then(|| tail.get(..2)).flatten();
        match code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &tail[2..]).1,
            None => (bytes.push(*first), rest = tail).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The right answer to a request.
#[derive(Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// The value of `Content-Length` for a response without a body (`HEAD`).
    pub length: Option<u64>,
}

impl Answer {
    pub fn of(status: u16) -> Self {
        Answer { status, ..Answer::default() }
    }

    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Answer::of(status).with("Content-Type", "application/json").and_body(body.to_string())
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn and_body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// What serves requests: `fault` is asked first, with the method, path and query.
pub trait Service: Send + Sync + 'static {
    fn fault(&self, method: &str, path: &str, query: &str) -> Fault;
    fn answer(&self, request: &Request) -> Answer;
}

/// A listener that ends when dropped.
pub struct Server {
    pub port: u16,
    stop: Arc<AtomicBool>,
}

impl Server {
    pub fn start(service: Arc<dyn Service>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = listener.local_addr().expect("a bound listener").port();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (service, stopped) = (Arc::clone(&service), Arc::clone(&stopped));
                // A client that goes away in the middle is part of the test.
                std::thread::spawn(move || drop(serve(stream, &*service, &stopped)));
            }
        });
        Server { port, stop }
    }

    /// Accepts nothing from now on, and answers nothing.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the listener, which then reads the flag and stops.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn serve(mut stream: TcpStream, service: &dyn Service, stop: &AtomicBool) -> io::Result<()> {
    stream.set_nodelay(true)?;
    while !stop.load(Ordering::Relaxed) {
        let (length, mut request) = peek_head(&stream)?;
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let fault = service.fault(&request.method, &request.path, &request.query);
        let expected: usize =
            request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        // What stays unread turns the close into a reset.
        let resets = match fault {
            Fault::ResetAt(_) => Some(expected),
            Fault::ResetRequestAt(end) | Fault::StallRequestAt(end) => Some(end.min(expected)),
            _ => None,
        };
        if let Fault::ResetRequestAt(end) | Fault::StallRequestAt(end) = fault {
            stream.read_exact(&mut vec![0; length + end.min(expected.saturating_sub(1))])?;
            if matches!(fault, Fault::StallRequestAt(_)) {
                hold(stop);
            }
            std::thread::sleep(Duration::from_millis(20));
            return Ok(());
        }
        if resets.is_none() {
            stream.read_exact(&mut vec![0; length])?;
            request.body = vec![0; expected];
            stream.read_exact(&mut request.body)?;
        }
        if let Fault::Answer(status, headers, body) = fault {
            let answer = Answer { status, headers, body: body.into_bytes(), length: None };
            send(&mut stream, &answer, &request.method, &Fault::None, stop)?;
            continue;
        }
        if matches!(fault, Fault::Damage)
            && let Some(byte) = request.body.first_mut()
        {
            *byte ^= 1;
        }
        if let Fault::Flip(bit) = fault
            && !request.body.is_empty()
        {
            let bit = bit % (request.body.len() * 8);
            request.body[bit / 8] ^= 1 << (bit % 8);
        }
        let answer = service.answer(&request);
        if matches!(fault, Fault::LoseAnswer) {
            return Ok(());
        }
        if !send(&mut stream, &answer, &request.method, &fault, stop)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Sends an answer; returns whether the connection is still good.
fn send(
    stream: &mut TcpStream,
    answer: &Answer,
    method: &str,
    fault: &Fault,
    stop: &AtomicBool,
) -> io::Result<bool> {
    let mut body = answer.body.as_slice();
    if let Fault::Shorten(by) = fault {
        body = &body[..body.len().saturating_sub(*by)];
    }
    let length = answer.length.unwrap_or(body.len() as u64);
    let mut head = Vec::new();
    write!(head, "HTTP/1.1 {} Injected\r\nContent-Length: {length}\r\n", answer.status)?;
    for (name, value) in &answer.headers {
        write!(head, "{name}: {value}\r\n")?;
    }
    head.extend_from_slice(b"\r\n");
    stream.write_all(&head)?;
    if method == "HEAD" {
        return Ok(true);
    }
    let until = |end: usize| &body[..end.min(body.len())];
    match fault {
        Fault::ResetAt(end) | Fault::CloseAt(end) => {
            stream.write_all(until(*end))?;
            stream.flush()?;
            // What arrived whole leaves a connection that the client uses again: to close that one would be
            // a fault that the test did not ask for.
            if matches!(fault, Fault::CloseAt(_)) && *end >= body.len() {
                return Ok(true);
            }
            std::thread::sleep(Duration::from_millis(20));
            return Ok(false);
        }
        Fault::StallAt(end) => {
            stream.write_all(until(*end))?;
            hold(stop);
            return Ok(false);
        }
        Fault::Trickle(pause) => {
            for byte in body {
                stream.write_all(&[*byte])?;
                std::thread::sleep(*pause);
            }
        }
        _ => stream.write_all(body)?,
    }
    Ok(true)
}

fn hold(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The request's head, left unread in the socket, and its length.
fn peek_head(stream: &TcpStream) -> io::Result<(usize, Request)> {
    let mut buffer = vec![0; 32 * 1024];
    let end = loop {
        let count = stream.peek(&mut buffer)?;
        if let Some(end) = buffer[..count].windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if !buffer[0].is_ascii_uppercase() {
            // The client speaks TLS.
            (&mut &*stream).write_all(b"HTTP/1.1 400 Injected\r\n\r\n")?;
            return Err(ErrorKind::InvalidData.into());
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let text = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = text.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines.filter_map(|line| line.split_once(": "));
    let request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: Vec::new(),
    };
    Ok((end, request))
}

/// One request to another server on loopback, for its status and headers.
pub fn ask(method: &str, port: u16, target: &str) -> io::Result<(u16, Vec<(String, String)>)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    let head = format!(
        "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx-ms-version: 2020-02-10\r\n\
         Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    let mut text = Vec::new();
    stream.read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let headers = lines.take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Ok((status.ok_or(ErrorKind::InvalidData)?, headers))
}
