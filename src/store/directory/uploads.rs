//! Uploads to a directory: each is a file in a leased directory below `uploads`, which becomes an entry by a hard link.
//!
//! The kernel releases the lease when its process dies, so that recovery tells dead uploads from live ones, also
//! those of other machines where the file system shares locks. Linking fails if the name is taken, and makes the
//! whole file visible at once.
//!
//! `object_store` would stage the upload beside the entry under a name that does not identify its owner, and would
//! replace an existing entry; therefore the uploads are written here.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::path::Path as ObjectPath;

use crate::domain::unit::ByteSize;
use crate::fs::lease::{LeasedDirectory, is_temp_name};
use crate::fs::path_error::PathError;
use crate::fs::records::Records;
use crate::fs::recover;
use crate::store::catalog::Recovered;
use crate::store::contract::NewEntry;
use crate::store::error::{Access, StoreError, StoreErrorKind, causes, kind_of_io};
use crate::threads;

use super::blocking::blocking;
use super::lease::{Fresh, Held, Locked, hold};
use super::publish::{durable, publish};
use crate::store::backend::layout;
use crate::store::backend::operations::Upload;

/// How many bytes are collected before they are written on another thread.
const BUFFER: usize = 1 << 20;

/// The name of an upload's file in its leased directory.
const ARCHIVE: &str = "archive";

/// Begins an upload to the store at `root`, which is created if it does not exist.
pub(super) async fn begin(
    root: &Path,
    new: &NewEntry,
    target: &ObjectPath,
    now: DateTime<Utc>,
    fresh: &Fresh,
) -> Result<Box<dyn Upload>, StoreError> {
    let store = root.to_owned();
    let purpose = format!("uploading `{}` of {}", new.key, new.scope);
    let staged = blocking(root, move || {
        let uploads = store.join(layout::UPLOADS);
        fs::create_dir_all(&uploads).map_err(|error| failure("create", &uploads, error))?;
        let directory = LeasedDirectory::create_in(&uploads, &purpose, now).map_err(of_path_error)?;
        write_layout_file(&store, directory.payload())?;
        let path = directory.payload().join(ARCHIVE);
        let file = File::create_new(&path).map_err(|error| failure("create", &path, error))?;
        Ok(StagedUpload { file, path, directory })
    });
    Ok(Box::new(DirectoryUpload {
        root: root.to_owned(),
        target: root.join(target.as_ref()),
        fresh: Arc::clone(fresh),
        staged: Some(staged.await?),
        waiting: Vec::new(),
        waiting_bytes: 0,
    }))
}

/// An upload's file in its leased directory. Fields are dropped in order: the file is closed, then the directory is
/// removed.
struct StagedUpload {
    file: File,
    path: PathBuf,
    directory: LeasedDirectory,
}

struct DirectoryUpload {
    root: PathBuf,
    /// The file of the entry.
    target: PathBuf,
    /// Where the lease on the entry is kept.
    fresh: Fresh,
    /// `None` after a failure.
    staged: Option<StagedUpload>,
    /// Chunks not written yet. The last one is written by the commit: the modification time of the file, which is
    /// the creation time of the entry, is then the time of the commit by the clock of the file system.
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
}

impl DirectoryUpload {
    /// Writes these chunks; a failure removes the upload.
    async fn flush(&mut self, chunks: Vec<Bytes>) -> Result<(), StoreError> {
        let mut staged = self.take()?;
        let staged = blocking(&self.root, move || {
            for chunk in chunks {
                staged.file.write_all(&chunk).map_err(|error| failure("write", &staged.path, error))?;
            }
            Ok(staged)
        });
        self.staged = Some(staged.await?);
        Ok(())
    }

    fn take(&mut self) -> Result<StagedUpload, StoreError> {
        self.staged.take().ok_or_else(|| {
            let message = format!("the upload to {} has failed", self.root.display());
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

    async fn publish(mut self: Box<Self>) -> Result<bool, StoreError> {
        let rest = std::mem::take(&mut self.waiting);
        self.flush(rest).await?;
        let StagedUpload { file, path, directory } = self.take()?;
        let (root, target, fresh) = (self.root.clone(), self.target.clone(), Arc::clone(&self.fresh));
        blocking(&self.root, move || {
            durable(file.sync_all()).map_err(|error| failure("write", &path, error))?;
            let file = before_publication(file);
            let created = publish(&path, &target, &root);
            // If this fails, recovery removes the directory; the entry exists or not regardless. Some systems keep the names of a
            // file that is open: the lease comes after.
            let _ = directory.close();
            if let (Ok(true), Ok(Held::Leased(lease))) = (&created, hold(&target)) {
                *fresh.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease);
            }
            drop(file);
            created.map_err(|error| failure("create", &target, error))
        })
        .await
    }

    async fn abort(mut self: Box<Self>) {
        let staged = self.staged.take();
        // Removing a large file blocks.
        let _ = threads::blocking::blocking(move || drop(staged)).await;
    }
}

/// The file under a shared lock, which is one on the entry that it becomes: no process finds the entry without a lease. `None`
/// where it must be closed before it gets another name, or cannot be locked.
fn before_publication(file: File) -> Option<Locked> {
    if cfg!(unix) { Locked::shared(file) } else { None }
}

/// Writes the layout file if the store has none.
fn write_layout_file(root: &Path, payload: &Path) -> Result<(), StoreError> {
    let layout_file = root.join(layout::LAYOUT_FILE);
    if layout_file.exists() {
        return Ok(());
    }
    let staged = payload.join(layout::LAYOUT_FILE);
    let write = || {
        let mut file = File::create_new(&staged)?;
        file.write_all(layout::layout_text().as_bytes())?;
        durable(file.sync_all())?;
        drop(file);
        publish(&staged, &layout_file, root)
    };
    write().map(drop).map_err(|error| failure("create", &layout_file, error))
}

fn failure(action: &str, path: &Path, error: io::Error) -> StoreError {
    StoreError::of_io(action, path.display(), Access::Write, error)
}

fn of_path_error(error: PathError) -> StoreError {
    failure(error.action, &error.path, error.source)
}

/// Removes the uploads whose process is dead. Goes on after a failure and reports the first.
pub(super) fn recover(root: &Path, now: DateTime<Utc>) -> Result<Recovered, StoreError> {
    let uploads = root.join(layout::UPLOADS);
    // Measured first: afterwards the files are gone.
    let sizes = sizes_of_uploads(&uploads);
    let report = recover::recover(&[uploads], &[], &Records::none(), now);
    let removed_bytes = report.removed.iter().filter_map(|path| sizes.get(path)).sum();
    let mut recovered = Recovered {
        removed: report.removed.len() as u64,
        removed_bytes: ByteSize(removed_bytes),
        kept: report.spared.len() as u64,
        refused: Vec::new(),
    };
    for (path, error) in report.failed {
        let kind = causes(&error)
            .find_map(|cause| cause.downcast_ref::<io::Error>())
            .map_or(StoreErrorKind::Other, |cause| kind_of_io(cause.kind(), Access::Write));
        match kind {
            // The upload belongs to another user, or the store is read-only.
            StoreErrorKind::Denied(Access::Write) => recovered.kept += 1,
            // No upload has a journal, or a lease that is not a file: a user who can write the store has put it there.
            StoreErrorKind::Other => {
                recovered.refused.push(format!("`{}` is left as it is: {error}", path.display()));
                recovered.kept += 1;
            }
            _ => {
                let message = format!("cannot recover {}", path.display());
                return Err(StoreError::new(kind, message).caused_by(error));
            }
        }
    }
    Ok(recovered)
}

/// The bytes of each upload, as far as this user can read them.
fn sizes_of_uploads(uploads: &Path) -> BTreeMap<PathBuf, u64> {
    let Ok(found) = fs::read_dir(uploads) else { return BTreeMap::new() };
    let leased = found.flatten().filter(|entry| is_temp_name(&entry.file_name()));
    leased.map(|entry| (entry.path(), bytes_below(&entry.path()))).collect()
}

fn bytes_below(directory: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(directory).into_iter().flatten();
    let files = entries.filter(|entry| entry.file_type().is_file());
    files.filter_map(|file| file.metadata().ok()).map(|metadata| metadata.len()).sum()
}
