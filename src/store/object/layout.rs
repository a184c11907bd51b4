//! Where things lie below the root of an object store.
//!
//! ```text
//! cachekeep-store                                       says which layout this is
//! entries/<scope>/<version>/<key>.tar.zst               an entry: the archive itself
//! entries/<scope>/<version>/<key>.used                  an empty file whose time is that of the entry's last use
//! uploads/…                                             what is not an entry yet
//! ```
//!
//! Scopes and keys are written as [`super::name`] says, long ones as several segments. An entry is one
//! object, so that a person can list, copy and `tar --zstd -xf` it, and so that it appears and vanishes whole.

use std::path::{Path as FilePath, PathBuf};

use chrono::{DateTime, Utc};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::domain::entry::{Entry, EntryId};
use crate::domain::key::Key;
use crate::domain::scope::Scope;
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;
use crate::store::contract::NewEntry;
use crate::store::error::{StoreError, StoreErrorKind};

use super::name;

/// The layout that this code reads and writes.
const LAYOUT: u32 = 1;

/// The object that says which layout a store has.
pub(super) const MARKER: &str = "cachekeep-store";

/// The folder of the entries.
pub(super) const ENTRIES: &str = "entries";

/// The folder of uploads in progress.
pub(super) const UPLOADS: &str = "uploads";

/// What the name of an entry ends in.
const SUFFIX: &str = ".tar.zst";

/// What the name of the marker of an entry's uses ends in.
const USED: &str = ".used";

/// What comes before the number in the marker.
const MARKER_TEXT: &str = "cachekeep store, layout ";

/// The text of the marker of a store with this layout.
pub(super) fn marker_text() -> String {
    format!("{MARKER_TEXT}{LAYOUT}\n")
}

/// Accepts the marker of a store whose layout this code knows.
pub(super) fn check_marker(location: &str, marker: &[u8]) -> Result<(), StoreError> {
    let number = std::str::from_utf8(marker).ok().and_then(|text| text.trim_end().strip_prefix(MARKER_TEXT));
    match number.map(str::parse::<u32>) {
        Some(Ok(LAYOUT)) => Ok(()),
        Some(Ok(other)) => Err(StoreError::new(
            StoreErrorKind::Unsupported,
            format!(
                "the store at {location} has layout {other}, and this version of cachekeep knows layout {LAYOUT}"
            ),
        )),
        _ => Err(StoreError::new(
            StoreErrorKind::Corrupt,
            format!("`{MARKER}` in {location} does not say which layout the store has"),
        )),
    }
}

/// The folder of a scope's entries, of all versions or of one.
pub(super) fn folder(scope: &Scope, version: Option<&Version>) -> Path {
    let mut segments = vec![ENTRIES.to_owned()];
    segments.extend(name::encode(scope.as_str()));
    segments.extend(version.map(|version| version.as_str().to_owned()));
    path_of(&segments)
}

/// The path of an entry.
pub(super) fn entry_path(new: &NewEntry) -> Path {
    let mut segments = vec![ENTRIES.to_owned()];
    segments.extend(name::encode(new.scope.as_str()));
    segments.push(new.version.as_str().to_owned());
    segments.extend(name::encode(new.key.as_str()));
    let mut path = segments.join("/");
    path.push_str(SUFFIX);
    Path::from(path)
}

/// The entry whose path this is; `None` for everything else that may lie about.
pub(super) fn parse_entry_path(path: &Path) -> Option<NewEntry> {
    let mut segments =
        path.as_ref().strip_prefix(ENTRIES)?.strip_prefix('/')?.strip_suffix(SUFFIX)?.split('/');
    let scope = decode_name(&mut segments)?;
    let version = Version::parse(segments.next()?)?;
    let key = decode_name(&mut segments)?;
    let new = NewEntry {
        scope: Scope::new(&scope).filter(|parsed| parsed.as_str() == scope)?,
        key: Key::new(key).ok()?,
        version,
    };
    segments.next().is_none().then_some(new)
}

/// The file whose time is that of the last use of the entry in this file.
pub(super) fn marker_of(entry: &FilePath) -> PathBuf {
    with_other_suffix(entry, SUFFIX, USED).unwrap_or_else(|| entry.with_extension("used"))
}

/// The file of the entry of whose uses this file tells, if it does.
pub(super) fn entry_of_marker(marker: &FilePath) -> Option<PathBuf> {
    with_other_suffix(marker, USED, SUFFIX)
}

fn with_other_suffix(file: &FilePath, suffix: &str, other: &str) -> Option<PathBuf> {
    let stem = file.file_name()?.to_str()?.strip_suffix(suffix)?;
    Some(file.with_file_name(format!("{stem}{other}")))
}

/// The path of the marker of an entry's uses.
pub(super) fn marker_path(entry: &Path) -> Option<String> {
    Some(format!("{}{USED}", entry.as_ref().strip_suffix(SUFFIX)?))
}

/// Whether a path below the entries is that of a marker of uses.
pub(super) fn is_marker(path: &str) -> bool {
    path.ends_with(USED)
}

/// Whether a name may be one that [`name::encode`] gives, which is all ASCII.
pub(super) fn may_be_ours(name: &str) -> bool {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_' | b'=')
    };
    name.bytes().all(fits)
}

/// The entry that an object is, used last at this time; `None` if it is none.
pub(super) fn entry_of(object: &ObjectMeta, used: Option<DateTime<Utc>>) -> Option<Entry> {
    let NewEntry { scope, key, version } = parse_entry_path(&object.location)?;
    Some(Entry {
        id: id_of(object),
        scope,
        key,
        version,
        created_at: object.last_modified,
        last_used_at: used,
        size: ByteSize(object.size),
    })
}

/// The id of an entry: its path, and what tells it from a successor of the same name.
pub(super) fn id_of(object: &ObjectMeta) -> EntryId {
    let generation = object.e_tag.as_deref().unwrap_or_default().trim_matches('"');
    EntryId(format!("{}#{generation}", object.location))
}

/// The path in an id; `None` if the id is not one that [`id_of`] gives.
pub(super) fn path_of_id(id: &EntryId) -> Option<Path> {
    let (path, _generation) = id.0.split_once('#')?;
    let path = Path::parse(path).ok()?;
    parse_entry_path(&path).map(|_| path)
}

/// Takes the segments of one name, which end with the first that nothing continues.
fn decode_name<'a>(segments: &mut impl Iterator<Item = &'a str>) -> Option<String> {
    let mut pieces = Vec::new();
    loop {
        let piece = segments.next()?;
        pieces.push(piece);
        if !name::continues(piece) {
            return name::decode(&pieces);
        }
    }
}

/// A path of segments that need no escapes.
fn path_of(segments: &[String]) -> Path {
    Path::from(segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn new_entry(scope: &str, key: &str) -> NewEntry {
        NewEntry {
            scope: Scope::new(scope).expect("a scope"),
            key: Key::new(key).expect("a key"),
            version: Version::of_roots(["x"]),
        }
    }

    #[test]
    fn an_entry_lies_where_a_person_finds_it() {
        let new = new_entry("main", "ccache-linux-1");
        let path = entry_path(&new);
        let version = new.version.as_str();
        assert_eq!(path.as_ref(), format!("entries/refs=2fheads=2fmain/{version}/ccache-linux-1.tar.zst"));
        assert!(path.prefix_matches(&folder(&new.scope, Some(&new.version))));
    }

    #[test]
    fn what_is_no_entry_is_not_taken_for_one() {
        let version = Version::of_roots(["x"]);
        for path in [
            "entries".to_owned(),
            "entries/README".to_owned(),
            format!("entries/refs=2fheads=2fmain/{version}/a.tar.zst.part"),
            format!("entries/refs=2fheads=2fmain/{version}/A.tar.zst"),
            format!("entries/refs=2fheads=2fmain/{version}/a/b.tar.zst"),
            format!("entries/refs=2fheads=2fmain/{version}/.tar.zst"),
            "entries/refs=2fheads=2fmain/v1/a.tar.zst".to_owned(),
            format!("entries/main/{version}/a.tar.zst"),
            format!("uploads/refs=2fheads=2fmain/{version}/a.tar.zst"),
        ] {
            assert_eq!(parse_entry_path(&Path::parse(&path).expect("a path")), None, "{path}");
        }
    }

    #[test]
    fn a_newer_layout_is_refused_and_damage_is_told_apart() {
        assert!(check_marker("/srv/ci", marker_text().as_bytes()).is_ok());
        let newer = check_marker("/srv/ci", b"cachekeep store, layout 2\n").expect_err("it is newer");
        assert_eq!(newer.kind(), StoreErrorKind::Unsupported);
        assert_eq!(
            newer.to_string(),
            "the store at /srv/ci has layout 2, and this version of cachekeep knows layout 1"
        );
        for marker in [&b""[..], b"layout 1", b"cachekeep store, layout one", b"\xff"] {
            let damaged = check_marker("/srv/ci", marker).expect_err("it says nothing");
            assert_eq!(damaged.kind(), StoreErrorKind::Corrupt);
        }
    }

    proptest! {
        #[test]
        fn a_path_names_its_entry(scope in "\\PC{1,300}", key in "\\PC{1,300}") {
            let (Some(scope), Ok(key)) = (Scope::new(&scope), Key::new(key)) else { return Ok(()) };
            // A ref is kept as it is written, without space at its ends.
            let new = NewEntry { scope, key, version: Version::of_roots(["x"]) };
            prop_assert_eq!(parse_entry_path(&entry_path(&new)), Some(new));
        }
    }
}
