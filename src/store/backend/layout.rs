//! Where objects lie below the root of a store.
//!
//! ```text
//! cachekeep-store                                       the layout file: names this layout
//! repositories/<host>/<owner>/<name>/                   the section of a repository
//! shared/                                               the section of caches that repositories share
//! entries/                                              the section of old entries
//! uploads/…                                             uploads in progress
//! ```
//!
//! and in each section
//!
//! ```text
//! <scope>/<version>/<key>.tar.zst                       an entry: the archive itself
//! <scope>/<version>/<key>.used                          a use file: empty, its time is that of the entry's last use
//! ```
//!
//! Names of repositories, scopes and keys are encoded by [`super::name`], long ones as several segments. The path of a
//! repository has any number of names and ends where a scope begins: every ref starts with `refs/`, and no name of a
//! repository contains a `/`. An entry is one object, so that a person can list, copy and `tar --zstd -xf` it, and so
//! that it appears and vanishes whole.
//!
//! Versions of cachekeep that do not know sections read and clean `entries` and ignore the rest. The number in the
//! layout file is therefore the same as theirs: on a store that both use, neither refuses to work, and nothing that
//! they save is restored by this version unless it is asked to.

use std::path::{Path as FilePath, PathBuf};

use chrono::{DateTime, Utc};
use object_store::ObjectMeta;
use object_store::path::Path;

use crate::domain::entry::{Entry, EntryId};
use crate::domain::key::Key;
use crate::domain::repository::RepositoryId;
use crate::domain::scope::{Scope, Section};
use crate::domain::unit::ByteSize;
use crate::domain::version::Version;
use crate::store::contract::NewEntry;
use crate::store::error::{StoreError, StoreErrorKind};

use super::name;

/// The layout that this version reads and writes.
const LAYOUT: u32 = 1;

/// The name of the layout file.
pub(in crate::store) const LAYOUT_FILE: &str = "cachekeep-store";

/// The directory of the sections of repositories.
const REPOSITORIES: &str = "repositories";

/// The directory of the shared section.
const SHARED: &str = "shared";

/// The directory of old entries.
const OLD: &str = "entries";

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

/// Whose entries a program sees in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewpoint {
    /// The repository of the job: its entries lie in [`Section::Own`].
    pub own: RepositoryId,
    /// Whether shared entries are listed.
    pub shared: bool,
    /// Whether the entries of every repository are listed, shared ones included.
    pub all: bool,
}

impl Viewpoint {
    /// The view of a job of this repository: its own entries, and old ones.
    pub fn of(own: RepositoryId) -> Self {
        Viewpoint { own, shared: false, all: false }
    }

    /// Whether entries of a section are listed and may be deleted.
    pub fn sees(&self, section: &Section) -> bool {
        match section {
            Section::Own | Section::Old => true,
            Section::Shared => self.shared || self.all,
            Section::Other(_) => self.all,
        }
    }

    /// Directories that together hold every entry that is seen. They hold others, too, where the path of a repository
    /// is the beginning of another's.
    pub(in crate::store) fn directories(&self) -> Vec<Path> {
        let repositories =
            if self.all { vec![REPOSITORIES.to_owned()] } else { self.section_segments(&Section::Own) };
        let mut directories = vec![path_of(&repositories), Path::from(OLD)];
        directories.extend(self.sees(&Section::Shared).then(|| Path::from(SHARED)));
        directories
    }

    /// The directory of a scope's entries, of all versions or of one.
    pub(in crate::store) fn directory(&self, scope: &Scope, version: Option<&Version>) -> Path {
        let mut segments = self.section_segments(scope.section());
        segments.extend(name::encode(scope.as_str()));
        segments.extend(version.map(|version| version.as_str().to_owned()));
        path_of(&segments)
    }

    /// The path of an entry.
    pub(in crate::store) fn entry_path(&self, new: &NewEntry) -> Path {
        let mut segments = self.section_segments(new.scope.section());
        segments.extend(name::encode(new.scope.as_str()));
        segments.push(new.version.as_str().to_owned());
        segments.extend(name::encode(new.key.as_str()));
        let mut path = segments.join("/");
        path.push_str(SUFFIX);
        Path::from(path)
    }

    /// The entry at a path; `None` for every other path.
    pub(in crate::store) fn parse_entry_path(&self, path: &Path) -> Option<NewEntry> {
        let (top, rest) = path.as_ref().strip_suffix(SUFFIX)?.split_once('/')?;
        let mut segments = rest.split('/').peekable();
        let section = match top {
            OLD => Section::Old,
            SHARED => Section::Shared,
            REPOSITORIES => {
                let mut names = Vec::new();
                while !begins_scope(segments.peek()?) {
                    names.push(decode_name(&mut segments)?);
                }
                self.section_of(&names)?
            }
            _ => return None,
        };
        let scope = decode_name(&mut segments)?;
        let version = Version::parse(segments.next()?)?;
        let key = decode_name(&mut segments)?;
        let new = NewEntry {
            scope: Scope::new(&scope).filter(|parsed| parsed.as_str() == scope)?.within(section),
            key: Key::new(key).ok()?,
            version,
        };
        segments.next().is_none().then_some(new)
    }

    /// The entry that an object is, with the time of its last use; `None` if its path is not that of an entry.
    pub(in crate::store) fn entry_of(
        &self,
        object: &ObjectMeta,
        used: Option<DateTime<Utc>>,
    ) -> Option<Entry> {
        let NewEntry { scope, key, version } = self.parse_entry_path(&object.location)?;
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

    /// The path in an id, and its section; `None` if the id is not one that [`id_of`] gives.
    pub(in crate::store) fn path_of_id(&self, id: &EntryId) -> Option<(Path, Section)> {
        let (path, _generation) = id.0.split_once('#')?;
        let path = Path::parse(path).ok()?;
        let section = self.parse_entry_path(&path)?.scope.section().clone();
        Some((path, section))
    }

    /// The section of the repository with this host and these names.
    fn section_of(&self, names: &[String]) -> Option<Section> {
        let repository = RepositoryId::parse(&names.join("/"))?;
        // A `/` in a decoded name would make another repository of it.
        let is_exact = repository.names().eq(names.iter().map(String::as_str));
        let section = if repository == self.own { Section::Own } else { Section::Other(repository) };
        is_exact.then_some(section)
    }

    fn section_segments(&self, section: &Section) -> Vec<String> {
        match section {
            Section::Own => repository_segments(&self.own),
            Section::Shared => vec![SHARED.to_owned()],
            Section::Old => vec![OLD.to_owned()],
            // A repository has one section, under either name.
            Section::Other(repository) => repository_segments(repository),
        }
    }
}

fn repository_segments(repository: &RepositoryId) -> Vec<String> {
    std::iter::once(REPOSITORIES.to_owned()).chain(repository.names().flat_map(name::encode)).collect()
}

/// Whether a segment below `repositories` begins the name of a scope.
fn begins_scope(segment: &str) -> bool {
    // A name of a repository is too short for the dense form.
    segment.starts_with("refs=2f") || name::is_dense(segment)
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

/// Whether a path is that of a use file.
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

/// The id of an entry: its path and its entity tag, which a later entry of the same name does not share.
pub(in crate::store) fn id_of(object: &ObjectMeta) -> EntryId {
    let generation = object.e_tag.as_deref().unwrap_or_default().trim_matches('"');
    EntryId(format!("{}#{generation}", object.location))
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

    #[cfg(unix)]
    #[test]
    fn damaged_layout_files_name_this_layout_or_are_refused() {
        use crate::fs::testing::{Random, case_count, mutate};

        let mut random = Random::new(41);
        let mut refused = 0;
        for _ in 0..case_count(2_000) {
            let mut bytes = layout_text().into_bytes();
            mutate(&mut bytes, &mut random);
            match check("/srv/ci", &bytes) {
                Ok(()) => {
                    let text = String::from_utf8(bytes).expect("a text");
                    let number = text.trim_end().strip_prefix(LAYOUT_TEXT).map(str::parse::<u32>);
                    assert_eq!(number, Some(Ok(LAYOUT)), "{text}");
                }
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 0);
    }

    fn repository(text: &str) -> RepositoryId {
        RepositoryId::parse(text).expect(text)
    }

    fn view() -> Viewpoint {
        Viewpoint::of(repository("github.com/owner/name"))
    }

    fn new_entry(scope: &str, key: &str) -> NewEntry {
        NewEntry {
            scope: Scope::new(scope).expect("a scope"),
            key: Key::new(key).expect("a key"),
            version: Version::of_roots(["x"]),
        }
    }

    #[test]
    fn an_entry_lies_where_a_person_finds_it() {
        let version = Version::of_roots(["x"]);
        let other = Section::Other(repository("gitlab.example.org/a/B/c"));
        for (section, directory) in [
            (Section::Own, "repositories/github.com/owner/name"),
            (Section::Shared, "shared"),
            (Section::Old, "entries"),
            (other, "repositories/gitlab.example.org/a/=42/c"),
        ] {
            let mut new = new_entry("main", "ccache-linux-1");
            new.scope = new.scope.within(section);
            let path = view().entry_path(&new);
            assert_eq!(
                path.as_ref(),
                format!("{directory}/refs=2fheads=2fmain/{version}/ccache-linux-1.tar.zst")
            );
            assert!(path.prefix_matches(&view().directory(&new.scope, Some(&new.version))));
            assert_eq!(view().parse_entry_path(&path), Some(new));
        }
    }

    #[test]
    fn a_job_sees_its_own_entries_and_old_ones_and_more_if_it_asks() {
        let other = Section::Other(repository("github.com/owner/other"));
        let sections = [Section::Own, Section::Old, Section::Shared, other];
        let check = |view: &Viewpoint, expect: [bool; 4]| {
            assert_eq!(sections.each_ref().map(|section| view.sees(section)), expect);
            // What is seen lies below the directories that are listed.
            for section in sections.iter().filter(|section| view.sees(section)) {
                let scope = Scope::new("main").expect("a scope").within(section.clone());
                let directory = view.directory(&scope, None);
                assert!(view.directories().iter().any(|listed| directory.prefix_matches(listed)));
            }
        };
        check(&view(), [true, true, false, false]);
        check(&Viewpoint { shared: true, ..view() }, [true, true, true, false]);
        check(&Viewpoint { all: true, ..view() }, [true, true, true, true]);
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
            format!("repositories/refs=2fheads=2fmain/{version}/a.tar.zst"),
            format!("repositories/github.com/refs=2fheads=2fmain/{version}/a.tar.zst"),
            format!("repositories/github.com/a=2fb/refs=2fheads=2fmain/{version}/a.tar.zst"),
            format!("repositories/github.com/owner/name/main/{version}/a.tar.zst"),
            format!("repositories/github.com/owner/name/{version}/a.tar.zst"),
            format!("shared/github.com/refs=2fheads=2fmain/{version}/a.tar.zst"),
        ] {
            assert_eq!(view().parse_entry_path(&Path::parse(&path).expect("a path")), None, "{path}");
        }
    }

    #[test]
    fn hostile_names_of_repositories_stay_apart_and_below_the_repositories() {
        let long = format!("h/{}", "ü".repeat(190));
        let deep = format!("h{}", "/..".repeat(100));
        let texts = [
            "../..",
            "h/..",
            "h/.",
            "h/../..",
            "h/a",
            "h/A",
            "h/a.",
            "h/.a",
            "h/nul",
            "h/a/b",
            "h/a\\b",
            "h/a=2fb",
            "h/refs=2fheads=2fmain",
            "h/refs/heads/main",
            "h/==a",
            "h/=-a",
            "h/_a",
            "h/größe",
            "h/gro\u{308}ße",
            "h/ ",
            &long,
            &deep,
        ];
        let new = new_entry("refs/pull/7/merge", "k");
        let mut paths = std::collections::BTreeSet::new();
        for text in texts {
            let view = Viewpoint::of(repository(text));
            let path = view.entry_path(&new);
            assert_eq!(view.parse_entry_path(&path), Some(new.clone()), "{text}");
            assert!(path.as_ref().starts_with("repositories/"), "{path}");
            for segment in path.as_ref().split('/') {
                assert!(may_be_ours(segment) && !segment.starts_with('.') && segment.len() < 140, "{path}");
            }
            // Others see it as what it is, and their own directories do not hold it.
            let seen = self::view().parse_entry_path(&path).expect("an entry");
            assert_eq!(*seen.scope.section(), Section::Other(repository(text)));
            assert!(paths.insert(path.as_ref().to_lowercase()), "{text}");
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
        fn a_path_names_its_entry(
            scope in "[^\\pC\\pZ~^:?*\\[\\\\@./]{1,300}", key in "\\PC{1,300}", names in "[^/\\p{C}]{1,20}(/[^/\\p{C}]{1,20}){1,4}"
        ) {
            let (Some(scope), Ok(key)) = (Scope::new(&scope), Key::new(key)) else { return Ok(()) };
            let Some(own) = RepositoryId::parse(&names) else { return Ok(()) };
            // A ref is kept as it is written, without space at its ends.
            let new = NewEntry { scope, key, version: Version::of_roots(["x"]) };
            let view = Viewpoint::of(own);
            prop_assert_eq!(view.parse_entry_path(&view.entry_path(&new)), Some(new));
        }
    }
}
