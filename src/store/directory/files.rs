//! Entries that are files: listed by a walk, leased while they are read, on threads that may block.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::{Deref, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;

use crate::domain::entry::EntryId;
use crate::fs::read::read_regular;
use crate::fs::time;
use crate::store::backend::operations::{Backend, Listed, OpenedObject, Upload};
use crate::store::backend::{BackendStore, layout};
use crate::store::catalog::{Deletion, Recovered};
use crate::store::contract::{Clock, EntryStream, NewEntry};
use crate::store::error::{Access, StoreError, StoreErrorKind};
use crate::threads::blocking::blocking as on_thread;

use super::blocking::blocking;
use super::last_use;
use super::lease::{Claimed, Fresh, Held, Locked, claim, hold};
use super::publish::remove_empty_directories;
use super::uploads;

/// How often an entry is opened while another process holds the exclusive lock.
const ATTEMPTS: u32 = 500;

/// The pause between two attempts. All attempts together last some seconds; a deletion takes milliseconds.
const PAUSE: Duration = Duration::from_millis(10);

/// Upper bound for the layout file, in bytes: it holds one line.
const MAX_LAYOUT_FILE: u64 = 4096;

/// The size of a chunk in bytes: large enough that switching threads for each costs little. `object_store` itself
/// reads files in pieces of 8 KiB, each on another thread.
const CHUNK: u64 = 1 << 20;

/// Use files whose entry a listing did not see.
type StrayUseFiles = Arc<Mutex<BTreeSet<PathBuf>>>;

/// A store in a directory. Several processes may share it, and several machines if their locks on the file system
/// exclude each other.
pub type DirectoryStore = BackendStore<Directory>;

/// The files of a directory store.
pub struct Directory {
    root: PathBuf,
    clock: Clock,
    stray_use_files: StrayUseFiles,
    /// The lease on the entry that was created last, until the next operation of this store.
    fresh: Fresh,
}

impl Directory {
    /// A directory, which is created with the first entry. Does no I/O.
    pub fn new(root: &Path, clock: Clock) -> Self {
        let (stray_use_files, fresh) = (StrayUseFiles::default(), Fresh::default());
        Directory { root: root.to_owned(), clock, stray_use_files, fresh }
    }

    fn file(&self, path: &ObjectPath) -> PathBuf {
        self.root.join(path.as_ref())
    }

    /// Ends the lease on the entry that was created last.
    fn end_fresh_lease(&self) {
        drop(self.fresh.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    async fn work<T: Send + 'static>(
        &self,
        action: &'static str,
        access: Access,
        at: PathBuf,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let done = move || work(&at).map_err(|error| StoreError::of_io(action, at.display(), access, error));
        blocking(&self.root, done).await
    }

    /// Opens a file under a lease, which ends when the file is closed.
    async fn lease(&self, path: &ObjectPath) -> Result<Option<(Locked, ObjectMeta)>, StoreError> {
        let place = self.file(path);
        for _ in 0..ATTEMPTS {
            match self.work("read", Access::Read, place.clone(), hold).await? {
                Held::Leased(file) => {
                    self.end_fresh_lease();
                    let failed = |error| StoreError::of_io("read", place.display(), Access::Read, error);
                    let metadata = file.metadata().map_err(failed)?;
                    let object = object_of(path.clone(), &metadata).map_err(failed)?;
                    return Ok(Some((file, object)));
                }
                Held::Gone => return Ok(None),
                Held::Contended => tokio::time::sleep(PAUSE).await,
            }
        }
        let message = format!("cannot read {}: another process is deleting it", place.display());
        Err(StoreError::new(StoreErrorKind::Other, message))
    }

    /// Removes use files whose entry was removed by hand, as far as listings have seen them.
    async fn remove_stray_use_files(&self) {
        let stray = std::mem::take(&mut *self.stray_use_files.lock().unwrap_or_else(PoisonError::into_inner));
        let root = self.root.clone();
        let remove = move || {
            for use_file in stray {
                // The entry may have been saved and used again since.
                if layout::entry_of_use_file(&use_file).is_some_and(|entry| entry.symlink_metadata().is_err())
                {
                    let _ = fs::remove_file(&use_file);
                    remove_empty_directories(&use_file, &root);
                }
            }
            Ok(())
        };
        let _ = blocking(&self.root, remove).await;
    }
}

#[async_trait]
impl Backend for Directory {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    async fn layout_file(&self) -> Result<Option<Bytes>, StoreError> {
        let read = |root: &Path| match fs::metadata(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(found) if !found.is_dir() => Err(io::ErrorKind::NotADirectory.into()),
            Ok(_) => match read_regular(&root.join(layout::LAYOUT_FILE), MAX_LAYOUT_FILE) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                read => read.map(|bytes| Some(Bytes::from(bytes))),
            },
        };
        self.work("open", Access::Read, self.root.clone(), read).await
    }

    async fn list(&self, directory: &ObjectPath) -> Result<Vec<Listed>, StoreError> {
        let (root, below) = (self.root.clone(), directory.to_string());
        let stray_use_files = Arc::clone(&self.stray_use_files);
        let list = move |directory: &Path| {
            let (listed, stray) = walk(directory, &below)?;
            let mut known = stray_use_files.lock().unwrap_or_else(PoisonError::into_inner);
            known.extend(stray.into_iter().map(|use_file| root.join(use_file)));
            Ok(listed)
        };
        self.work("list", Access::Read, self.file(directory), list).await
    }

    async fn head(&self, path: &ObjectPath) -> Result<Option<ObjectMeta>, StoreError> {
        let location = path.clone();
        let head = move |file: &Path| match fs::metadata(file) {
            Ok(metadata) if metadata.is_file() => object_of(location, &metadata).map(Some),
            Ok(_) => Ok(None),
            Err(error) if is_gone(&error) => Ok(None),
            Err(error) => Err(error),
        };
        self.work("look at", Access::Read, self.file(path), head).await
    }

    async fn open(&self, path: &ObjectPath) -> Result<Option<OpenedObject>, StoreError> {
        let Some((file, object)) = self.lease(path).await? else { return Ok(None) };
        let whole = 0..object.size;
        let bytes = stream_of(file, [whole], self.file(path).display().to_string());
        Ok(Some(OpenedObject { object, bytes }))
    }

    async fn parts(
        &self,
        path: &ObjectPath,
        parts: &[Range<u64>],
    ) -> Result<Option<(ObjectMeta, Vec<Bytes>)>, StoreError> {
        let opened = self.ranges(path, parts.to_vec()).await?;
        let Some(OpenedObject { object, bytes }) = opened else { return Ok(None) };
        let mut read = bytes.try_collect::<BytesMut>().await?.freeze();
        // Fewer bytes are an error of the stream.
        let length = |part: &Range<u64>| usize::try_from(part.end - part.start).unwrap_or(usize::MAX);
        let split = parts.iter().map(|part| read.split_to(length(part).min(read.len()))).collect();
        Ok(Some((object, split)))
    }

    async fn ranges(
        &self,
        path: &ObjectPath,
        wanted: Vec<Range<u64>>,
    ) -> Result<Option<OpenedObject>, StoreError> {
        let Some((file, object)) = self.lease(path).await? else { return Ok(None) };
        let bytes = stream_of(file, wanted, self.file(path).display().to_string());
        Ok(Some(OpenedObject { object, bytes }))
    }

    async fn delete(&self, path: &ObjectPath, id: &EntryId) -> Result<Deletion, StoreError> {
        self.end_fresh_lease();
        let (location, id) = (path.clone(), id.clone());
        let root = self.root.clone();
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
            // The entry is gone even if these fail; the next recovery removes the use file.
            let _ = fs::remove_file(layout::use_file_of(file));
            remove_empty_directories(file, &root);
            Ok(Deletion::Deleted)
        };
        self.work("delete", Access::Write, self.file(path), delete).await
    }

    async fn leased(&self, entries: Vec<(ObjectPath, EntryId)>) -> Result<BTreeSet<EntryId>, StoreError> {
        self.end_fresh_lease();
        let root = self.root.clone();
        let is_leased = move |path: &ObjectPath| {
            // An entry that this process cannot open it cannot delete, either.
            matches!(claim(&root.join(path.as_ref())), Ok(Claimed::Leased))
        };
        let find = move || {
            let leased = entries.into_iter().filter(|(path, _)| is_leased(path));
            Ok(leased.map(|(_, id)| id).collect())
        };
        blocking(&self.root, find).await
    }

    async fn note_use(&self, path: &ObjectPath, id: &EntryId) {
        let (location, id) = (path.clone(), id.clone());
        let (uploads, now) = (self.root.join(layout::UPLOADS), (self.clock)());
        let note = move |file: &Path| match hold(file)? {
            Held::Leased(lease) if layout::id_of(&object_of(location, &lease.metadata()?)?) == id => {
                last_use::note(&layout::use_file_of(file), &uploads, now)
            }
            _ => Ok(()),
        };
        // A store that this user may only read serves all the same.
        let _ = self.work("note a use of", Access::Write, self.file(path), note).await;
    }

    async fn begin_upload(&self, new: &NewEntry, target: &ObjectPath) -> Result<Box<dyn Upload>, StoreError> {
        self.end_fresh_lease();
        uploads::begin(&self.root, new, target, (self.clock)(), &self.fresh).await
    }

    async fn recover(&self) -> Result<Recovered, StoreError> {
        self.remove_stray_use_files().await;
        let (root, now) = (self.root.clone(), (self.clock)());
        blocking(&self.root, move || uploads::recover(&root, now)).await
    }
}

/// The files below a directory whose path below the store's root is `name`: the objects with the times of their
/// last use, and the paths of use files without an object.
fn walk(directory: &Path, name: &str) -> io::Result<(Vec<Listed>, Vec<String>)> {
    let mut walk = StoreWalk::default();
    walk.directory(directory, name)?;
    Ok(walk.paired())
}

#[derive(Default)]
struct StoreWalk {
    objects: Vec<ObjectMeta>,
    /// Times of use files, by path.
    uses: BTreeMap<String, SystemTime>,
}

impl StoreWalk {
    /// Walks a directory. Files that vanish meanwhile are left out; every other failure is an error, because
    /// deleting by age needs a complete list. Links are not followed: their targets are not part of the store.
    fn directory(&mut self, directory: &Path, name: &str) -> io::Result<()> {
        let children = match fs::read_dir(directory) {
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
                self.directory(&child.path(), &path)?;
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
        if layout::is_use_file(&path) {
            self.uses.insert(path, metadata.modified()?);
        } else {
            self.objects.push(object_of(ObjectPath::from(path), metadata)?);
        }
        Ok(())
    }

    fn paired(mut self) -> (Vec<Listed>, Vec<String>) {
        let mut listed = Vec::with_capacity(self.objects.len());
        for object in self.objects {
            let used = layout::use_file_path(&object.location).and_then(|path| self.uses.remove(&path));
            listed.push(Listed { object, used: used.map(time::instant) });
        }
        (listed, self.uses.into_keys().collect())
    }
}

/// A file as an object. Its entity tag differs from that of a later file of the same name.
fn object_of(location: ObjectPath, metadata: &Metadata) -> io::Result<ObjectMeta> {
    let modified = metadata.modified()?;
    let micros = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_micros();
    #[cfg(unix)]
    let inode = std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let inode = 0;
    Ok(ObjectMeta {
        location,
        last_modified: time::instant(modified),
        size: metadata.len(),
        e_tag: Some(format!("{inode:x}-{micros:x}-{:x}", metadata.len())),
        version: None,
    })
}

/// Whether an error means that a file does not exist.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The bytes of ranges of a file, in the order given, read a chunk at a time by threads that may block. A file that is too short is an error;
/// it is closed with the stream.
fn stream_of<F>(file: F, ranges: impl Into<VecDeque<Range<u64>>>, place: String) -> EntryStream
where
    F: Deref<Target = File> + Send + 'static,
{
    let state = (file, ranges.into(), place);
    futures::stream::try_unfold(state, |(file, mut ranges, place)| async move {
        while ranges.front().is_some_and(Range::is_empty) {
            ranges.pop_front();
        }
        let Some(range) = ranges.front_mut() else { return Ok(None) };
        let part = range.start..range.end.min(range.start + CHUNK);
        let left = range.end - range.start;
        let read = on_thread(move || {
            let mut chunk = Vec::with_capacity(usize::try_from(part.end - part.start).unwrap_or(0));
            let sought = (&*file).seek(SeekFrom::Start(part.start));
            let read = sought.and_then(|_| (&*file).take(part.end - part.start).read_to_end(&mut chunk));
            (file, chunk, read)
        });
        let (file, chunk, result) = read.await.map_err(|error| {
            StoreError::new(StoreErrorKind::Other, format!("reading {place} was aborted")).caused_by(error)
        })?;
        result.map_err(|error| StoreError::of_io("read", &place, Access::Read, error))?;
        if chunk.is_empty() {
            return Err(StoreError::too_short(&place, left));
        }
        range.start += chunk.len() as u64;
        Ok(Some((Bytes::from(chunk), (file, ranges, place))))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt as _;

    use super::*;

    #[tokio::test]
    async fn ranges_come_in_the_order_that_is_asked_for() {
        let mut file = tempfile::tempfile().expect("a file");
        std::io::Write::write_all(&mut file, b"0123456789").expect("written");
        let read: Vec<Bytes> =
            stream_of(Box::new(file), [7..9, 0..0, 1..4], "x".to_owned()).try_collect().await.expect("read");
        assert_eq!(read.concat(), b"78123");
    }

    #[tokio::test]
    async fn a_file_that_was_cut_is_not_read_as_a_short_one() {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(2 * CHUNK + 5).expect("a length");
        let read = async |file: File, end: u64| -> Result<Vec<Bytes>, StoreError> {
            let whole = 0..end;
            stream_of(Box::new(file), [whole], "x".to_owned()).try_collect().await
        };
        let whole = read(file.try_clone().expect("a clone"), 2 * CHUNK + 5).await;
        assert_eq!(
            whole.expect("it is all there").iter().map(Bytes::len).sum::<usize>() as u64,
            2 * CHUNK + 5
        );
        let cut = read(file, 2 * CHUNK + 6).await;
        assert_eq!(cut.expect_err("it is too short").kind(), StoreErrorKind::Corrupt);
    }
}
