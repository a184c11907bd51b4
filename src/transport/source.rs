//! Sources: what a configuration names to be read, a file or a URL, opened as one blocking stream.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, future, stream};
use reqwest::Url;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::download::Download;
use super::http::address::{self, AddressError};
use super::http::client::Client;
use super::http::error::{Cause, FetchError};
use super::http::options::FetchOptions;
use super::pipe::{self, PipeReader};
use crate::fs::open::{self, Links};
use crate::threads::executor::Executor;

/// Where bytes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A local file.
    File(PathBuf),
    /// A URL: `https:`, or `http:` on this machine.
    Http(Url),
}

/// Why a text is not a source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceError {
    /// The text is empty.
    #[error("a source is empty")]
    Empty,
    /// A path that is absolute or leads out of the workspace.
    #[error("`{0}` is not a path below the workspace; write `file:///…` for another place")]
    Outside(String),
    /// Not a URL that names a file here.
    #[error("`{0}` does not name a file of this machine; write `file:///path`")]
    NotLocal(String),
    /// Looks like a URL and is not one. The text is not shown beyond its scheme: it may hold credentials.
    #[error("not a URL (`{scheme}:…`): {reason}")]
    Malformed {
        /// What it begins with.
        scheme: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A URL that may not be fetched.
    #[error("{address}: {reason}")]
    Address {
        /// The URL without its secrets.
        address: String,
        /// Why not.
        reason: AddressError,
    },
}

impl crate::domain::hint::Hint for SourceError {}

impl Source {
    /// Reads `file:///…`, `https://…`, `http://…` on this machine, or a path below the workspace.
    pub(crate) fn parse(text: &str, workspace: &Path) -> Result<Self, SourceError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(SourceError::Empty);
        }
        let Some(scheme) = scheme(text) else {
            let path = Path::new(text);
            let inside =
                path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            return if inside {
                Ok(Source::File(workspace.join(path)))
            } else {
                Err(SourceError::Outside(text.to_owned()))
            };
        };
        let url = Url::parse(text).map_err(|error| SourceError::Malformed {
            scheme: scheme.to_owned(),
            reason: error.to_string(),
        })?;
        if url.scheme() == "file" {
            let absolute = text.get(scheme.len() + 1..).is_some_and(|rest| rest.starts_with('/'));
            // A host would be another machine, which Windows sends the user's credentials to.
            return match url.to_file_path() {
                Ok(path) if absolute && !url.has_host() => Ok(Source::File(path)),
                _ => Err(SourceError::NotLocal(text.to_owned())),
            };
        }
        match address::check(&url) {
            Ok(()) => Ok(Source::Http(url)),
            Err(reason) => Err(SourceError::Address { address: address::shown(&url), reason }),
        }
    }

    /// Opens it and blocks until its first bytes are on their way. Not to be called from asynchronous code:
    /// use a blocking thread, whose `runtime` fetches beside it.
    pub(crate) fn open(
        &self,
        client: &Client,
        options: FetchOptions,
        runtime: &Executor,
    ) -> Result<SourceReader, FetchError> {
        match self {
            Source::File(path) => open_file(path)
                .map_err(|cause| FetchError { address: path.display().to_string(), cause })
                .map(|(file, length)| SourceReader { length: Some(length), body: SourceBody::File(file) }),
            Source::Http(url) => open_url(client, url, options, runtime),
        }
    }
}

impl fmt::Display for Source {
    /// The path, or the URL without its secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) => write!(f, "{}", path.display()),
            Source::Http(url) => f.write_str(&address::shown(url)),
        }
    }
}

/// The scheme of what looks like a URL; one letter is a drive of Windows.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let valid = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (valid && scheme.len() > 1).then_some(scheme)
}

fn open_file(path: &Path) -> Result<(File, u64), Cause> {
    let file = open::file(path, Links::Followed).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Cause::NotFound,
        _ => Cause::Io(error),
    })?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

fn open_url(
    client: &Client,
    url: &Url,
    options: FetchOptions,
    runtime: &Executor,
) -> Result<SourceReader, FetchError> {
    let (started, start) = oneshot::channel();
    let (client, fetched) = (client.clone(), url.clone());
    let begun = stream::once(async move {
        match Download::start(&client, &fetched, options).await {
            // Sending fails if the reader was dropped: the rest is not wanted then.
            Ok(download) => started.send(Ok(download.length())).is_ok().then_some(download),
            Err(error) => {
                let _ = started.send(Err(error));
                None
            }
        }
    });
    let pieces = begun.filter_map(future::ready).flat_map(pieces);
    // The download ends by itself when it is cancelled, with an error that names its URL.
    let reader = pipe::reader(runtime, pieces, &CancellationToken::new());
    let length = runtime.block_on(start).unwrap_or_else(|_| Err(Cause::Cancelled.at(url)))?;
    Ok(SourceReader { length, body: SourceBody::Http(reader) })
}

/// The rest of a download.
fn pieces(download: Download) -> impl Stream<Item = Result<Bytes, FetchError>> {
    stream::try_unfold(download, |mut download| async move {
        Ok(download.chunk().await?.map(|piece| (piece, download)))
    })
}

/// An open source. Errors of the network come as [`io::Error`] with a [`FetchError`] inside.
#[derive(Debug)]
pub struct SourceReader {
    length: Option<u64>,
    body: SourceBody,
}

#[derive(Debug)]
enum SourceBody {
    File(File),
    Http(PipeReader),
}

impl SourceReader {
    /// Bytes in all, where known.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The local file, for formats that are not read from front to end.
    pub fn into_file(self) -> Result<File, Self> {
        match self.body {
            SourceBody::File(file) => Ok(file),
            body @ SourceBody::Http(_) => Err(SourceReader { body, ..self }),
        }
    }
}

impl Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.body {
            SourceBody::File(file) => file.read(buffer),
            SourceBody::Http(reader) => reader.read(buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_urls_or_paths_below_the_workspace() {
        let workspace = Path::new("/src");
        let file = |path: &str| Ok(Source::File(PathBuf::from(path)));
        let check = |text: &str, expect: Result<Source, SourceError>| {
            assert_eq!(Source::parse(text, workspace), expect, "{text}");
        };
        check("seeds/data.tgz", file("/src/seeds/data.tgz"));
        check(" ./a..b/data.tgz ", file("/src/./a..b/data.tgz"));
        check("", Err(SourceError::Empty));
        check("../data.tgz", Err(SourceError::Outside("../data.tgz".to_owned())));
        check("a/../../data.tgz", Err(SourceError::Outside("a/../../data.tgz".to_owned())));
        check("https://example.org/x", Ok(Source::Http(Url::parse("https://example.org/x").expect("a URL"))));
        #[cfg(unix)]
        {
            check("/srv/data.tgz", Err(SourceError::Outside("/srv/data.tgz".to_owned())));
            check("file:///srv/a%20b.tgz", file("/srv/a b.tgz"));
            check("file://localhost/srv/x", file("/srv/x"));
            check("FILE:/srv/x", file("/srv/x"));
        }
        for text in ["file:data.tgz", "file://server/share/x"] {
            check(text, Err(SourceError::NotLocal(text.to_owned())));
        }
        for text in ["http://example.org/x", "ftp://example.org/x", "https://", "https://ho st/"] {
            assert!(Source::parse(text, workspace).is_err(), "{text}");
        }
    }

    #[test]
    fn errors_and_names_hold_no_secret() {
        let workspace = Path::new("/src");
        let source = Source::parse("https://u:secret@example.org/x?sig=secret", workspace).expect("a source");
        assert_eq!(source.to_string(), "https://example.org/x");
        for text in ["http://u:secret@example.org/x?sig=secret", "https://u:secret@ho st/x"] {
            let error = Source::parse(text, workspace).expect_err(text);
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
