//! Uploads to a directory: into a leased folder below `uploads`, which becomes an entry by a hard link.
//!
//! The folder's owner holds a lock that its death releases, so recovery tells dead uploads from live ones,
//! also those of other machines where the file system shares locks. A hard link is made only where there is
//! no file of that name, and shows the whole file at once. Where a file system has no hard links, a short
//! lock on the store makes "look, then rename" one step.
//!
//! `object_store` would stage beside the entry under a name that says nothing of its owner, and would
//! replace what is there at the end of an upload: therefore this file writes by itself.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::path::Path as ObjectPath;

use crate::fs::lease::LeasedDirectory;
use crate::fs::path_error::PathError;
use crate::store::contract::{Clock, NewEntry, Recovered};
use crate::store::error::{Access, StoreError, StoreErrorKind};

use super::layout;
use super::publish::{durable, publish};
use super::upload::{Upload, Uploads};

/// Bytes that are collected before they are written by another thread.
const BUFFER: usize = 1 << 20;

/// The file of an upload in its leased folder.
const ARCHIVE: &str = "archive";

pub(super) struct Directory {
    root: PathBuf,
    clock: Clock,
}

impl Directory {
    /// Uploads below this directory, which is created with the first of them.
    pub(super) fn new(root: PathBuf, clock: Clock) -> Self {
        Directory { root, clock }
    }
}

#[async_trait]
impl Uploads for Directory {
    async fn begin(&self, new: &NewEntry) -> Result<Box<dyn Upload>, StoreError> {
        let root = self.root.clone();
        let now = (self.clock)();
        let purpose = format!("uploading `{}` of {}", new.key, new.scope);
        let staged = blocking(root.clone(), move || {
            let uploads = root.join(layout::UPLOADS);
            fs::create_dir_all(&uploads).map_err(|error| failure("create", &uploads, error))?;
            let directory = LeasedDirectory::create_in(&uploads, &purpose, now).map_err(of_path_error)?;
            mark(&root, directory.payload())?;
            let path = directory.payload().join(ARCHIVE);
            let file = File::create_new(&path).map_err(|error| failure("create", &path, error))?;
            Ok(Staged { file, path, directory })
        });
        let staged = Some(staged.await?);
        Ok(Box::new(DirectoryUpload {
            root: self.root.clone(),
            staged,
            waiting: Vec::new(),
            waiting_bytes: 0,
        }))
    }

    async fn recover(&self) -> Result<Recovered, StoreError> {
        let root = self.root.clone();
        let now = (self.clock)();
        blocking(self.root.clone(), move || super::sweep::sweep(&root, now)).await
    }
}

/// An upload's file in its leased folder. Dropped in this order: the file is closed, then all is removed.
struct Staged {
    file: File,
    path: PathBuf,
    directory: LeasedDirectory,
}

struct DirectoryUpload {
    root: PathBuf,
    /// `None` after a failure.
    staged: Option<Staged>,
    /// Chunks not written yet. The last one always waits for the commit: the time of the file, which is
    /// that of the entry, is then the time of the commit by the clock of the file system.
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

impl DirectoryUpload {
    /// Writes these chunks; after a failure nothing of the upload is left.
    async fn flush(&mut self, chunks: Vec<Bytes>) -> Result<(), StoreError> {
        let mut staged = self.take()?;
        let staged = blocking(self.root.clone(), move || {
            for chunk in chunks {
                staged.file.write_all(&chunk).map_err(|error| failure("write", &staged.path, error))?;
            }
            Ok(staged)
        });
        self.staged = Some(staged.await?);
        Ok(())
    }

    fn take(&mut self) -> Result<Staged, StoreError> {
        self.staged.take().ok_or_else(|| {
            let message = format!("the upload to {} has failed before", self.root.display());
            StoreError::new(StoreErrorKind::Other, message)
        })
    }
}

#[async_trait]
impl Upload for DirectoryUpload {
    async fn write(&mut self, chunk: Bytes) -> Result<(), StoreError> {
        if chunk.is_empty() {
            return Ok(());
        }
        self.waiting_bytes += chunk.len();
        if self.waiting_bytes <= BUFFER || self.waiting.is_empty() {
            self.waiting.push(chunk);
            return Ok(());
        }
        self.waiting_bytes = chunk.len();
        let chunks = std::mem::replace(&mut self.waiting, vec![chunk]);
        self.flush(chunks).await
    }

    async fn publish(mut self: Box<Self>, target: &ObjectPath) -> Result<bool, StoreError> {
        let rest = std::mem::take(&mut self.waiting);
        self.flush(rest).await?;
        let Staged { file, path, directory } = self.take()?;
        let target = self.root.join(target.as_ref());
        let root = self.root.clone();
        blocking(self.root.clone(), move || {
            durable(file.sync_all()).map_err(|error| failure("write", &path, error))?;
            drop(file);
            let created = publish(&path, &target, &root);
            // What cannot be removed is found by recovery; the entry is there or not, whatever comes of this.
            let _ = directory.close();
            created.map_err(|error| failure("create", &target, error))
        })
        .await
    }

    async fn abort(mut self: Box<Self>) {
        let staged = self.staged.take();
        // Removing a large file takes a while.
        let _ = tokio::task::spawn_blocking(move || drop(staged)).await;
    }
}

/// Says which layout the store has, if nobody has yet.
fn mark(root: &Path, payload: &Path) -> Result<(), StoreError> {
    let marker = root.join(layout::MARKER);
    if marker.exists() {
        return Ok(());
    }
    let staged = payload.join(layout::MARKER);
    let write = || {
        let mut file = File::create_new(&staged)?;
        file.write_all(layout::marker_text().as_bytes())?;
        durable(file.sync_all())?;
        drop(file);
        publish(&staged, &marker, root)
    };
    write().map(drop).map_err(|error| failure("create", &marker, error))
}

/// Does file work on a thread where it may block.
pub(super) async fn blocking<T: Send + 'static>(
    root: PathBuf,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        let message = format!("work on the store at {} was broken off", root.display());
        Err(StoreError::new(StoreErrorKind::Other, message).caused_by(error))
    })
}

fn failure(action: &str, path: &Path, error: io::Error) -> StoreError {
    StoreError::of_io(action, path.display(), Access::Write, error)
}

fn of_path_error(error: PathError) -> StoreError {
    failure(error.action, &error.path, error.source)
}
