//! Entries that are files in a directory: found by walking it, leased while they are read, marked when they are used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;

use crate::domain::entry::EntryId;
use crate::fs::read::read_regular;
use crate::store::contract::{Clock, Deletion};
use crate::store::error::{Access, StoreError, StoreErrorKind};

use super::directory::blocking;
use super::entries::{Entries, Listed};
use super::layout;
use super::lease::{Claimed, Held, Locked, claim, hold};
use super::publish::prune;
use super::reading::{Opened, Payload};
use super::uses;

/// So often an entry is opened again that somebody has for himself.
const ATTEMPTS: u32 = 500;

/// The pause between two attempts; together some seconds, for deleting is quick.
const PAUSE: Duration = Duration::from_millis(10);

/// Markers of uses whose entry a listing did not see.
type Strays = Arc<Mutex<BTreeSet<PathBuf>>>;

/// The entries of a directory store.
pub(super) struct Files {
    root: PathBuf,
    clock: Clock,
    strays: Strays,
}

impl Files {
    pub(super) fn new(root: PathBuf, clock: Clock) -> Self {
        Files { root, clock, strays: Strays::default() }
    }

    /// The file of an object.
    fn file(&self, path: &ObjectPath) -> PathBuf {
        self.root.join(path.as_ref())
    }

    async fn work<T: Send + 'static>(
        &self,
        action: &'static str,
        access: Access,
        at: PathBuf,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = move || work(&at).map_err(|error| StoreError::of_io(action, at.display(), access, error));
        blocking(self.root.clone(), done).await
    }
}

/// No marker is longer: it holds one line.
const MAX_MARKER: u64 = 4096;

#[async_trait]
impl Entries for Files {
    async fn marker(&self) -> Result<Option<Bytes>, StoreError> {
        let read = |root: &Path| match fs::metadata(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(found) if !found.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
            Ok(_) => match read_regular(&root.join(layout::MARKER), MAX_MARKER) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                read => read.map(|bytes| Some(Bytes::from(bytes))),
            },
        };
        self.work("open", Access::Read, self.root.clone(), read).await
    }

    async fn list(&self, folder: &ObjectPath) -> Result<Vec<Listed>, StoreError> {
        let (root, below) = (self.root.clone(), folder.to_string());
        let strays = Arc::clone(&self.strays);
        let walk = move |_: &Path| {
            let mut walk = Walk::default();
            walk.folder(&root.join(&below), &below)?;
            let (listed, stray) = walk.paired();
            let mut known = strays.lock().unwrap_or_else(PoisonError::into_inner);
            known.extend(stray.into_iter().map(|marker| root.join(marker)));
            Ok(listed)
        };
        self.work("list", Access::Read, self.file(folder), walk).await
    }

    async fn look(&self, path: &ObjectPath) -> Result<Option<ObjectMeta>, StoreError> {
        let location = path.clone();
        let look = move |file: &Path| match fs::metadata(file) {
            Ok(metadata) if metadata.is_file() => object_of(location, &metadata).map(Some),
            Ok(_) => Ok(None),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        };
        self.work("look at", Access::Read, self.file(path), look).await
    }

    async fn open(&self, path: &ObjectPath) -> Result<Option<Opened>, StoreError> {
        for _ in 0..ATTEMPTS {
            match self.work("read", Access::Read, self.file(path), hold).await? {
                Held::Leased(file) => return self.opened(path, file).map(Some),
                Held::Gone => return Ok(None),
                Held::Contended => tokio::time::sleep(PAUSE).await,
            }
        }
        let message = format!("cannot read {}: another process is deleting it", self.file(path).display());
        Err(StoreError::new(StoreErrorKind::Other, message))
    }

    async fn delete(&self, path: &ObjectPath, id: &EntryId) -> Result<Deletion, StoreError> {
        let (location, id) = (path.clone(), id.clone());
        let entries = self.root.join(layout::ENTRIES);
        let delete = move |file: &Path| {
            let lock = match claim(file)? {
                Claimed::Alone(lock) => lock,
                Claimed::Leased => return Ok(Deletion::InUse),
                Claimed::Gone => return Ok(Deletion::AlreadyGone),
            };
            if layout::id_of(&object_of(location, &lock.metadata()?)?) != id {
                return Ok(Deletion::AlreadyGone);
            }
            match fs::remove_file(file) {
                Err(error) if is_gone(&error) => return Ok(Deletion::AlreadyGone),
                removed => removed?,
            }
            drop(lock);
            // What stays of these is in nobody's way, and the next cleaning sees it.
            let _ = fs::remove_file(layout::marker_of(file));
            prune(file, &entries);
            Ok(Deletion::Deleted)
        };
        self.work("delete", Access::Write, self.file(path), delete).await
    }

    async fn leased(&self, entries: Vec<(ObjectPath, EntryId)>) -> Result<BTreeSet<EntryId>, StoreError> {
        let root = self.root.clone();
        let is_leased = move |path: &ObjectPath| {
            // What cannot be opened here cannot be deleted from here, either.
            matches!(claim(&root.join(path.as_ref())), Ok(Claimed::Leased))
        };
        let look = move || {
            let leased = entries.into_iter().filter(|(path, _)| is_leased(path));
            Ok(leased.map(|(_, id)| id).collect())
        };
        blocking(self.root.clone(), look).await
    }

    async fn note_use(&self, path: &ObjectPath, id: &EntryId) {
        let (location, id) = (path.clone(), id.clone());
        let (uploads, now) = (self.root.join(layout::UPLOADS), (self.clock)());
        let note = move |file: &Path| match hold(file)? {
            Held::Leased(lease) if layout::id_of(&object_of(location, &lease.metadata()?)?) == id => {
                uses::note(&layout::marker_of(file), &uploads, now)
            }
            _ => Ok(()),
        };
        // A store that can only be read serves all the same.
        let _ = self.work("note a use of", Access::Write, self.file(path), note).await;
    }

    async fn sweep(&self) {
        let strays = std::mem::take(&mut *self.strays.lock().unwrap_or_else(PoisonError::into_inner));
        let entries = self.root.join(layout::ENTRIES);
        let sweep = move || {
            for marker in strays {
                // One that was saved and used meanwhile keeps its marker.
                if layout::entry_of_marker(&marker).is_some_and(|entry| entry.symlink_metadata().is_err()) {
                    let _ = fs::remove_file(&marker);
                    prune(&marker, &entries);
                }
            }
            Ok(())
        };
        let _ = blocking(self.root.clone(), sweep).await;
    }
}

impl Files {
    fn opened(&self, path: &ObjectPath, file: Locked) -> Result<Opened, StoreError> {
        let place = self.file(path);
        let meta = file.metadata().and_then(|metadata| object_of(path.clone(), &metadata));
        let meta = meta.map_err(|error| StoreError::of_io("read", place.display(), Access::Read, error))?;
        Ok(Opened { meta, payload: Payload::File(file) })
    }
}

/// A walk through folders, which finds entries and the markers of their uses.
#[derive(Default)]
struct Walk {
    objects: Vec<ObjectMeta>,
    /// By their path.
    markers: BTreeMap<String, SystemTime>,
}

impl Walk {
    /// Walks a folder. What vanishes meanwhile is not there; everything else that cannot be read is an error, for
    /// who deletes by age must know all. Links are not followed: what lies behind them is not the store's.
    fn folder(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        let children = match fs::read_dir(folder) {
            Err(error) if is_gone(&error) => return Ok(()),
            children => children?,
        };
        for child in children {
            let child = child?;
            let file_name = child.file_name();
            let Some(own) = file_name.to_str().filter(|own| layout::may_be_ours(own)) else { continue };
            let path = format!("{name}/{own}");
            let kind = child.file_type()?;
            if kind.is_dir() {
                self.folder(&child.path(), &path)?;
            } else if kind.is_file() {
                match child.metadata() {
                    Err(error) if is_gone(&error) => {}
                    metadata => self.file(path, &metadata?)?,
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: String, metadata: &Metadata) -> io::Result<()> {
        if layout::is_marker(&path) {
            self.markers.insert(path, metadata.modified()?);
        } else {
            self.objects.push(object_of(ObjectPath::from(path), metadata)?);
        }
        Ok(())
    }

    /// Objects with the times of their markers, and the markers of none.
    fn paired(mut self) -> (Vec<Listed>, Vec<String>) {
        let mut listed = Vec::with_capacity(self.objects.len());
        for object in self.objects {
            let used = layout::marker_path(&object.location).and_then(|marker| self.markers.remove(&marker));
            listed.push(Listed { object, used: used.map(DateTime::from) });
        }
        (listed, self.markers.into_keys().collect())
    }
}

/// A file as an object; its generation tells it from a successor of the same name.
fn object_of(location: ObjectPath, metadata: &Metadata) -> io::Result<ObjectMeta> {
    let modified = metadata.modified()?;
    let micros = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Ok(ObjectMeta {
        location,
        last_modified: modified.into(),
        size: metadata.len(),
        e_tag: Some(format!("{inode:x}-{micros:x}-{:x}", metadata.len())),
        version: None,
    })
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
