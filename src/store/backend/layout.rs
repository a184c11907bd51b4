//! Where objects lie below the root of a store.
//!
//! ```text
//! cachekeep-store                                       the layout file: names this layout
//! entries/<scope>/<version>/<key>.tar.zst               an entry: the archive itself
//! entries/<scope>/<version>/<key>.used                  a use file: empty, its time is that of the entry's last use
//! uploads/…                                             uploads in progress
//! ```
//!
//! Scopes and keys are encoded by [`super::name`], long ones as several segments. An entry is one object, so
//! that a person can list, copy and `tar --zstd -xf` it, and so that it appears and vanishes whole.

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

/// The layout that this version reads and writes.
const LAYOUT: u32 = 1;

/// The name of the layout file.
pub(in crate::store) const LAYOUT_FILE: &str = "cachekeep-store";

/// The directory of the entries.
pub(in crate::store) const ENTRIES: &str = "entries";

/// The directory of uploads in progress.
pub(in crate::store) const UPLOADS: &str = "uploads";

/// The suffix of an entry.
const SUFFIX: &str = ".tar.zst";

/// The suffix of a use file.
const USED: &str = ".used";

/// The text before the number in the layout file.
const LAYOUT_TEXT: &str = "cachekeep store, layout ";

/// The contents of the layout file of a store with this layout.
pub(in crate::store) fn layout_text() -> String {
    format!("{LAYOUT_TEXT}{LAYOUT}\n")
}

/// Fails unless a layout file with these contents names the layout of this version.
pub(in crate::store) fn check(location: &str, contents: &[u8]) -> Result<(), StoreError> {
    let number =
        std::str::from_utf8(contents).ok().and_then(|text| text.trim_end().strip_prefix(LAYOUT_TEXT));
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
            format!("`{LAYOUT_FILE}` in {location} does not name the layout of the store"),
        )),
    }
}

/// The directory of a scope's entries, of all versions or of one.
pub(in crate::store) fn directory(scope: &Scope, version: Option<&Version>) -> Path {
    let mut segments = vec![ENTRIES.to_owned()];
    segments.extend(name::encode(scope.as_str()));
    segments.extend(version.map(|version| version.as_str().to_owned()));
    path_of(&segments)
}

/// The path of an entry.
pub(in crate::store) fn entry_path(new: &NewEntry) -> Path {
    let mut segments = vec![ENTRIES.to_owned()];
    segments.extend(name::encode(new.scope.as_str()));
    segments.push(new.version.as_str().to_owned());
    segments.extend(name::encode(new.key.as_str()));
    let mut path = segments.join("/");
    path.push_str(SUFFIX);
    Path::from(path)
}

/// The entry at a path; `None` for every other path.
pub(in crate::store) fn parse_entry_path(path: &Path) -> Option<NewEntry> {
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

/// The use file of the entry in this file.
pub(in crate::store) fn use_file_of(entry: &FilePath) -> PathBuf {
    with_other_suffix(entry, SUFFIX, USED).unwrap_or_else(|| entry.with_extension("used"))
}

/// The file of the entry that a use file belongs to; `None` if it is not a use file.
pub(in crate::store) fn entry_of_use_file(use_file: &FilePath) -> Option<PathBuf> {
    with_other_suffix(use_file, USED, SUFFIX)
}

fn with_other_suffix(file: &FilePath, suffix: &str, other: &str) -> Option<PathBuf> {
    let stem = file.file_name()?.to_str()?.strip_suffix(suffix)?;
    Some(file.with_file_name(format!("{stem}{other}")))
}

/// The path of the use file of the entry at a path.
pub(in crate::store) fn use_file_path(entry: &Path) -> Option<String> {
    Some(format!("{}{USED}", entry.as_ref().strip_suffix(SUFFIX)?))
}

/// Whether a path below the entries is that of a use file.
pub(in crate::store) fn is_use_file(path: &str) -> bool {
    path.ends_with(USED)
}

/// Whether a name has only characters that [`name::encode`] gives.
pub(in crate::store) fn may_be_ours(name: &str) -> bool {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_' | b'=')
    };
    name.bytes().all(fits)
}

/// The entry that an object is, with the time of its last use; `None` if its path is not that of an entry.
pub(in crate::store) fn entry_of(object: &ObjectMeta, used: Option<DateTime<Utc>>) -> Option<Entry> {
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

/// The id of an entry: its path and its entity tag, which a later entry of the same name does not share.
pub(in crate::store) fn id_of(object: &ObjectMeta) -> EntryId {
    let generation = object.e_tag.as_deref().unwrap_or_default().trim_matches('"');
    EntryId(format!("{}#{generation}", object.location))
}

/// The path in an id; `None` if the id is not one that [`id_of`] gives.
pub(in crate::store) fn path_of_id(id: &EntryId) -> Option<Path> {
    let (path, _generation) = id.0.split_once('#')?;
    let path = Path::parse(path).ok()?;
    parse_entry_path(&path).map(|_| path)
}

/// Takes the segments of one name; the last is the first without a continuation mark.
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

/// A path of segments that are encoded already.
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
        assert!(path.prefix_matches(&directory(&new.scope, Some(&new.version))));
    }

    #[test]
    fn other_paths_are_not_entries() {
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
    fn a_newer_layout_and_a_damaged_layout_file_are_refused() {
        assert!(check("/srv/ci", layout_text().as_bytes()).is_ok());
        let newer = check("/srv/ci", b"cachekeep store, layout 2\n").expect_err("it is newer");
        assert_eq!(newer.kind(), StoreErrorKind::Unsupported);
        assert_eq!(
            newer.to_string(),
            "the store at /srv/ci has layout 2, and this version of cachekeep knows layout 1"
        );
        for contents in [&b""[..], b"layout 1", b"cachekeep store, layout one", b"\xff"] {
            let damaged = check("/srv/ci", contents).expect_err("it says nothing");
            assert_eq!(damaged.kind(), StoreErrorKind::Corrupt);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_damaged_layout_file_is_refused_whatever_it_holds() {
        use crate::fs::testing::{Random, case_count, mutate};
        let mut random = Random::new(29);
        let mut refused = 0;
        for _ in 0..case_count(2_000) {
            let mut bytes = layout_text().as_bytes().to_vec();
            mutate(&mut bytes, &mut random);
            match check("/srv/ci", &bytes) {
                Ok(()) => {}
                Err(error) => {
                    refused += 1;
                    let kind = error.kind();
                    assert!(matches!(kind, StoreErrorKind::Unsupported | StoreErrorKind::Corrupt), "{error}");
                }
            }
        }
        assert!(refused > 100, "{refused}");
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
