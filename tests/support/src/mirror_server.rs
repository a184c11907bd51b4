//! A mirror on loopback: serves a directory in one manner, and counts the requests.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// How a mirror behaves, whatever is asked of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Manner {
    /// It has what is in its directory.
    Good,
    /// The same, limited to this many bytes a second for all connections together.
    Slow(u64),
    /// It takes connections, sends the head and then nothing.
    Stalling,
    /// 429 with `Retry-After: 1`.
    Limiting,
    /// 200 with an error page.
    Html,
    /// 200 with the right length and half of the bytes.
    Truncating,
    /// 200 with as many other bytes.
    Wrong,
    /// 401 unless the request has this `Authorization`.
    Guarded(String),
}

struct State {
    directory: PathBuf,
    manner: Manner,
    extra: Mutex<HashMap<String, Vec<u8>>>,
    requests: AtomicU64,
    delivered: AtomicU64,
    /// When the slow one may send again.
    free_at: Mutex<Instant>,
    stop: AtomicBool,
}

/// A running mirror; it stops when dropped.
pub struct MirrorServer {
    port: u16,
    state: Arc<State>,
}

impl MirrorServer {
    /// Serves a directory.
    pub fn start(directory: impl Into<PathBuf>, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let port = listener.local_addr().expect("a bound listener").port();
        let state = Arc::new(State {
            directory: directory.into(),
            manner,
            extra: Mutex::default(),
            requests: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            free_at: Mutex::new(Instant::now()),
            stop: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                let state = Arc::clone(&shared);
                // A client that goes away in the middle is part of the test.
                thread::spawn(move || drop(state.serve(&stream)));
            }
        });
        MirrorServer { port, state }
    }

    /// A port without a listener.
    pub fn dead_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        listener.local_addr().expect("a bound listener").port()
    }

    /// Serves this as well; the path begins with `/` and has its query.
    pub fn put(&self, target: &str, bytes: impl Into<Vec<u8>>) {
        self.state.extra.lock().expect("no panic").insert(target.to_owned(), bytes.into());
    }

    /// The URL of a path that begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Its host and port.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The template of its objects.
    pub fn template(&self) -> String {
        self.url("/{ALGO}/{hash}")
    }

    /// How often it was asked.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// How many files it sent to their end, of whatever bytes.
    pub fn delivered(&self) -> u64 {
        self.state.delivered.load(Ordering::Relaxed)
    }
}

impl Drop for MirrorServer {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Relaxed);
        // Wakes the listener, which then reads the flag and stops.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

impl State {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        let mut authorization = None;
        for line in lines {
            let line = line?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("authorization")
            {
                authorization = Some(value.to_owned());
            }
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        let target = request.split(' ').nth(1).unwrap_or_default();
        self.respond(stream, target, authorization.as_deref())?;
        stream.shutdown(Shutdown::Write)
    }

    fn respond(&self, mut stream: &TcpStream, target: &str, authorization: Option<&str>) -> io::Result<()> {
        match &self.manner {
            Manner::Limiting => {
                return stream
                    .write_all(b"HTTP/1.1 429 Slow Down\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
            Manner::Guarded(wanted) if authorization != Some(wanted) => {
                return stream.write_all(
                    b"HTTP/1.1 401 Who Are You\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
            Manner::Html => return self.send(stream, b"<html><body>We are sorry.</body></html>"),
            _ => {}
        }
        let extra = self.extra.lock().expect("no panic").get(target).cloned();
        if let Some(bytes) = extra {
            return self.send(stream, &bytes);
        }
        let path = target.split('?').next().unwrap_or_default().trim_start_matches('/');
        match File::open(self.directory.join(path)) {
            Ok(file) if file.metadata()?.is_file() && !target.contains("format=") => {
                self.send_file(stream, file)
            }
            _ => stream.write_all(b"HTTP/1.1 404 Not Here\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
        }
    }

    fn send(&self, mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len())?;
        stream.write_all(bytes)?;
        self.delivered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn send_file(&self, mut stream: &TcpStream, mut file: File) -> io::Result<()> {
        let length = file.metadata()?.len();
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
        if self.manner == Manner::Stalling {
            while !self.stop.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(50));
            }
            return Ok(());
        }
        let mut left = if self.manner == Manner::Truncating { length / 2 } else { length };
        let mut buffer = vec![0; 64 << 10];
        while left > 0 {
            let piece = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            file.read_exact(&mut buffer[..piece])?;
            if self.manner == Manner::Wrong {
                buffer[0] ^= 1;
            }
            if let Manner::Slow(rate) = self.manner {
                self.wait_for(piece as u64, rate);
            }
            stream.write_all(&buffer[..piece])?;
            left -= piece as u64;
        }
        self.delivered.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until all that was promised before is sent, at this rate.
    fn wait_for(&self, bytes: u64, rate: u64) {
        let until = {
            let mut free_at = self.free_at.lock().expect("no panic");
            let start = (*free_at).max(Instant::now());
            *free_at = start + Duration::from_micros(bytes * 1_000_000 / rate);
            *free_at
        };
        thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}
