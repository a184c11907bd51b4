//! The ends of the pipe `tar | zstd | put` and back: a blob from standard input and to standard output, over one connection, without a
//! checksum. While a block is sent or received, the next is read or the last one written.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::sync_channel;

use data_encoding::BASE64;

/// Bytes of a block.
const BLOCK: usize = 8 << 20;

/// A signed URL on this machine.
struct Target {
    authority: String,
    target: String,
}

impl Target {
    fn of(url: &str) -> io::Result<Self> {
        let rest = url.strip_prefix("http://").and_then(|rest| rest.split_once('/'));
        let (authority, target) = rest.ok_or_else(|| io::Error::other("not a URL of this machine"))?;
        Ok(Target { authority: authority.to_owned(), target: format!("/{target}") })
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(&self.authority)?;
        stream.set_nodelay(true)?;
        Ok(BufReader::with_capacity(256 << 10, stream))
    }

    /// One request; returns its status and the length of the answer's body, which is not read yet.
    fn ask(
        &self,
        stream: &mut BufReader<TcpStream>,
        (method, query, headers): (&str, &str, &str),
        body: &[u8],
    ) -> io::Result<(u16, usize, usize)> {
        let joint = if query.is_empty() { "" } else { "&" };
        let head = format!(
            "{method} {}{joint}{query} HTTP/1.1\r\nHost: {}\r\nx-ms-version: 2020-02-10\r\nContent-Length: {}\r\n{headers}\r\n",
            self.target,
            self.authority,
            body.len()
        );
        stream.get_mut().write_all(head.as_bytes())?;
        stream.get_mut().write_all(body)?;
        let (mut status, mut length, mut total) = (0, 0, 0);
        for number in 0.. {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end().to_lowercase();
            if line.is_empty() {
                break;
            }
            if number == 0 {
                status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
            } else if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.parse().map_err(io::Error::other)?;
            } else if let Some((_, value)) =
                line.strip_prefix("content-range: ").and_then(|range| range.split_once('/'))
            {
                total = value.parse().map_err(io::Error::other)?;
            }
        }
        Ok((status, length, total))
    }
}

/// Sends standard input as a blob.
pub(crate) fn put(url: &str) -> io::Result<()> {
    let target = Target::of(url)?;
    let mut stream = target.connect()?;
    let (send, blocks) = sync_channel::<Vec<u8>>(1);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut input = io::stdin().lock();
            loop {
                let mut block = Vec::with_capacity(BLOCK);
                let read = (&mut input).take(BLOCK as u64).read_to_end(&mut block);
                if read.is_err() || block.is_empty() || send.send(block).is_err() {
                    return;
                }
            }
        });
        let mut list = String::from("<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
        for (number, block) in blocks.iter().enumerate() {
            let id = BASE64.encode(format!("{number:09}").as_bytes());
            created(&target, &mut stream, &format!("comp=block&blockid={id}"), &block)?;
            list.extend(["<Latest>", &id, "</Latest>"]);
        }
        list.push_str("</BlockList>");
        created(&target, &mut stream, "comp=blocklist", list.as_bytes())
    })
}

fn created(target: &Target, stream: &mut BufReader<TcpStream>, query: &str, body: &[u8]) -> io::Result<()> {
    let (status, length, _) = target.ask(stream, ("PUT", query, ""), body)?;
    io::copy(&mut stream.take(length as u64), &mut io::sink())?;
    if status == 201 { Ok(()) } else { Err(io::Error::other(format!("HTTP {status}"))) }
}

/// Writes a blob to standard output.
pub(crate) fn get(url: &str) -> io::Result<()> {
    let target = Target::of(url)?;
    let mut stream = target.connect()?;
    let (send, blocks) = sync_channel::<Vec<u8>>(1);
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            let mut output = io::stdout().lock();
            blocks.iter().try_for_each(|block| output.write_all(&block))?;
            output.flush()
        });
        let mut position = 0;
        loop {
            let range = format!("Range: bytes={position}-{}\r\n", position + BLOCK - 1);
            let (status, length, total) = target.ask(&mut stream, ("GET", "", &range), &[])?;
            if status != 206 {
                return Err(io::Error::other(format!("HTTP {status}")));
            }
            let mut block = vec![0; length];
            stream.read_exact(&mut block)?;
            position += length;
            if send.send(block).is_err() || position >= total {
                break;
            }
        }
        drop(send);
        writing.join().expect("it does not panic")
    })
}
