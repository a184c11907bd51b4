//! Listing the files below a directory of the store.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;
use std::time::SystemTime;

use chrono::DateTime;
use object_store::ObjectMeta;
use object_store::path::Path as ObjectPath;

use crate::store::backend::layout;
use crate::store::backend::operations::Listed;

/// The files below a directory whose path below the store's root is `name`: the objects with the times of their
/// last use, and the paths of use files without an object.
pub(super) fn walk(directory: &Path, name: &str) -> io::Result<(Vec<Listed>, Vec<String>)> {
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
            listed.push(Listed { object, used: used.map(DateTime::from) });
        }
        (listed, self.uses.into_keys().collect())
    }
}

/// A file as an object. Its entity tag differs from that of a later file of the same name.
pub(super) fn object_of(location: ObjectPath, metadata: &Metadata) -> io::Result<ObjectMeta> {
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

/// Whether an error means that a file does not exist.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
