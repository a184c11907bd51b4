//! One attempt: an object from one mirror into a temporary file.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempPath;
use tokio::io::AsyncWriteExt as _;

use crate::domain::event::Meter;
use crate::fs::open::{self, Links};
use crate::transport::download::Download;
use crate::transport::http::client::Client;
use crate::transport::http::error::{Cause, FetchError};
use crate::transport::http::options::FetchOptions;
use crate::transport::http::retry::RetryPolicy;
use crate::transport::source::Source;

/// Why there is no file.
#[derive(Debug)]
pub(super) enum AttemptError {
    /// The mirror's side.
    Mirror(FetchError),
    /// This side: the temporary file cannot be written.
    Local(io::Error),
}

pub(super) struct MirrorAttempt<'a> {
    pub(super) client: &'a Client,
    /// How the beginning is tried; dropped connections are resumed by `resume`.
    pub(super) options: FetchOptions,
    pub(super) resume: RetryPolicy,
    pub(super) largest: u64,
    pub(super) temp: &'a Path,
    pub(super) meter: &'a Meter,
    /// Bytes so far.
    pub(super) received: &'a AtomicU64,
}

impl MirrorAttempt<'_> {
    /// Fetches into a new file with a name of its own, which goes when the path is dropped.
    pub(super) async fn run(self, source: &Source) -> Result<(TempPath, u64), AttemptError> {
        // After the first byte is known to come, so that a mirror without the object costs no file.
        match source {
            Source::Http(url) => {
                let begun = Download::start(self.client, url, self.options.clone()).await;
                let download = begun.map_err(AttemptError::Mirror)?.with_retry(self.resume);
                self.receive(source, download).await
            }
            Source::File(path) => self.copy(source, path).await,
        }
    }

    async fn receive(
        &self,
        source: &Source,
        mut download: Download,
    ) -> Result<(TempPath, u64), AttemptError> {
        self.check_size(source, download.length().unwrap_or(0))?;
        let (file, path) = new_file(self.temp)?;
        let mut file = tokio::fs::File::from_std(file);
        let mut size = 0;
        while let Some(piece) = download.chunk().await.map_err(AttemptError::Mirror)? {
            size += piece.len() as u64;
            self.check_size(source, size)?;
            file.write_all(&piece).await.map_err(AttemptError::Local)?;
            self.received.store(size, Ordering::Relaxed);
            self.meter.add_bytes(piece.len() as u64);
        }
        file.flush().await.map_err(AttemptError::Local)?;
        Ok((path, size))
    }

    async fn copy(&self, source: &Source, from: &Path) -> Result<(TempPath, u64), AttemptError> {
        let guilty = |cause| AttemptError::Mirror(FetchError { address: source.to_string(), cause });
        let original = open::file(from, Links::Followed).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::IsADirectory => guilty(Cause::NotFound),
            _ => guilty(Cause::Io(error)),
        })?;
        let metadata = original.metadata().map_err(|error| guilty(Cause::Io(error)))?;
        self.check_size(source, metadata.len())?;
        let (file, path) = new_file(self.temp)?;
        let (mut original, mut copy) = (tokio::fs::File::from_std(original), tokio::fs::File::from_std(file));
        let copied = tokio::io::copy(&mut original, &mut copy).await;
        let size = match copied {
            Ok(size) => size,
            Err(error) if is_of_the_disk(error.kind()) => return Err(AttemptError::Local(error)),
            Err(error) => return Err(guilty(Cause::Io(error))),
        };
        copy.flush().await.map_err(AttemptError::Local)?;
        self.received.store(size, Ordering::Relaxed);
        self.meter.add_bytes(size);
        Ok((path, size))
    }

    fn check_size(&self, source: &Source, size: u64) -> Result<(), AttemptError> {
        if size <= self.largest {
            return Ok(());
        }
        let cause = Cause::Protocol(format!("larger than {} bytes", self.largest));
        Err(AttemptError::Mirror(FetchError { address: source.to_string(), cause }))
    }
}

fn new_file(directory: &Path) -> Result<(std::fs::File, TempPath), AttemptError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("fetch-").suffix(".part");
    // The file is later renamed into the cache, so it gets the mode of ordinary new files, not that of private ones.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let file = builder.tempfile_in(directory);
    file.map(tempfile::NamedTempFile::into_parts).map_err(AttemptError::Local)
}

fn is_of_the_disk(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(kind, StorageFull | QuotaExceeded | FileTooLarge | ReadOnlyFilesystem)
}
