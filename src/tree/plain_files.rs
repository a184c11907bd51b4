//! A tree as plain files alone, and notes of what else belongs to it: for programs that keep nothing but names and contents.
//!
//! Azure's `Cache@2` turns links into copies on Windows, fails at links that lead nowhere, and in one of its formats loses modes, times
//! and empty directories. So links are taken out of the tree that it is given, and all of this is noted beside it.

use std::fs::{self, FileType};
use std::io;
use std::path::{Component, Path, PathBuf};

use data_encoding::HEXLOWER;
use filetime::FileTime;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::hard_links::is_plain_directory;
use super::walk::{is_hard_linked, mode_of};
use crate::domain::fault::Fault;
use crate::fs::open::{self, Links};
use crate::fs::path_error::PathError;
use crate::fs::read_error::ReadError;
use crate::fs::{link, mode};

/// The plain files of a tree, in short: equal for trees with the same names and sizes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Measure {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// SHA-256 over their names and sizes.
    pub digest: String,
}

/// What belongs to a tree beside the contents of its files. Paths are relative, with `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notes {
    /// Path and target of each symbolic link.
    links: Vec<(String, String)>,
    /// Every directory.
    directories: Vec<NotedMetadata>,
    /// Every file, where the program loses modes and times.
    files: Vec<NotedMetadata>,
}

/// Path, mode, and seconds and nanoseconds of the modification time.
type NotedMetadata = (String, u32, i64, u32);

/// Whether the program that is given a tree keeps modes and times of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metadata {
    /// It does.
    Kept,
    /// It does not: they are noted.
    Lost,
}

/// Takes the links out of a tree, and notes what a program that is given it loses. Directories may be written by their owner
/// afterward.
pub(crate) fn reduce(root: &Path, metadata: Metadata) -> Result<(Measure, Notes), Fault> {
    let mut notes = Notes::default();
    let mut measured = Measuring::default();
    for entry in walk(root) {
        let Found { path, relative, kind, facts } = entry?;
        let name = noted(&relative)?;
        if kind.is_dir() {
            notes.directories.push(metadata_of(name, &facts));
            mode::give_owner_access(&path, &facts).map_err(PathError::on("change", &path))?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).map_err(PathError::on("read", &path))?;
            notes.links.push((name, text(&target)?));
            link::remove(&path).map_err(PathError::on("remove", &path))?;
        } else {
            measured.add(&name, facts.len());
            if metadata == Metadata::Lost {
                notes.files.push(metadata_of(name, &facts));
            }
        }
    }
    Ok((measured.finish(), notes))
}

/// Measures the plain files of a tree.
pub(crate) fn measure(root: &Path) -> Result<Measure, Fault> {
    let mut measured = Measuring::default();
    for entry in walk(root) {
        let Found { relative, kind, facts, .. } = entry?;
        if kind.is_file() {
            measured.add(&noted(&relative)?, facts.len());
        }
    }
    Ok(measured.finish())
}

/// Gives a tree of plain files back what was noted. The notes may be a stranger's: they lead nowhere out of the tree, and through
/// no link.
pub(crate) fn complete(root: &Path, notes: &Notes) -> Result<(), Fault> {
    for (name, ..) in &notes.directories {
        let path = inside(root, name)?;
        fs::create_dir_all(&path).map_err(PathError::on("make", &path))?;
    }
    for file in &notes.files {
        let path = inside(root, &file.0)?;
        apply_to_file(&path, file).map_err(PathError::on("set mode and time of", &path))?;
    }
    for (name, target) in &notes.links {
        let path = inside(root, name)?;
        link::make(Path::new(target), &path).map_err(PathError::on("make the link", &path))?;
    }
    // Innermost first: what is made in a directory changes its time.
    for (name, bits, seconds, nanoseconds) in notes.directories.iter().rev() {
        let path = inside(root, name)?;
        let time = FileTime::from_unix_time(*seconds, *nanoseconds);
        mode::set_of_directory(&path, bits & mode::PERMISSIONS)
            .and_then(|()| filetime::set_file_mtime(&path, time))
            .map_err(PathError::on("set mode and time of", &path))?;
    }
    Ok(())
}

struct Found {
    path: PathBuf,
    relative: PathBuf,
    kind: FileType,
    facts: fs::Metadata,
}

/// What is below a directory, each directory before what is in it, in an order that names alone decide.
fn walk(root: &Path) -> impl Iterator<Item = Result<Found, Fault>> {
    walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name().into_iter().map(move |entry| {
        let failed = |error| ReadError::of_walk(root, error);
        let entry = entry.map_err(failed)?;
        let facts = entry.metadata().map_err(failed)?;
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path()).to_owned();
        Ok(Found { relative, kind: entry.file_type(), facts, path: entry.into_path() })
    })
}

#[derive(Default)]
struct Measuring {
    files: u64,
    bytes: u64,
    hasher: Sha256,
}

impl Measuring {
    fn add(&mut self, name: &str, size: u64) {
        self.files += 1;
        self.bytes += size;
        self.hasher.update(format!("{name}\0{size}\0"));
    }

    fn finish(self) -> Measure {
        let digest = HEXLOWER.encode(&self.hasher.finalize());
        Measure { files: self.files, bytes: self.bytes, digest }
    }
}

fn metadata_of(name: String, facts: &fs::Metadata) -> NotedMetadata {
    let time = FileTime::from_last_modification_time(facts);
    (name, mode_of(facts), time.unix_seconds(), time.nanoseconds())
}

/// A path as it is noted.
fn noted(relative: &Path) -> Result<String, Fault> {
    let parts = relative.iter().map(|part| text(Path::new(part))).collect::<Result<Vec<_>, _>>()?;
    Ok(parts.join("/"))
}

fn text(path: &Path) -> Result<String, Fault> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        let text = format!("`{}` is not Unicode, and `Cache@2` keeps no other names", path.display());
        Fault::environment(text).with_hint("use a store of your own, which keeps every name".to_owned())
    })
}

/// A noted path below the root, through no link.
fn inside(root: &Path, name: &str) -> Result<PathBuf, Fault> {
    let is_name = |part: &str| {
        let mut parts = Path::new(part).components();
        matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None))
    };
    let relative: PathBuf = name.split('/').collect();
    if !name.split('/').all(is_name) {
        return Err(Fault::environment(format!(
            "a noted path leads out of the tree: `{}`",
            name.escape_debug()
        )));
    }
    is_plain_directory(root, relative.parent().unwrap_or(&relative))?;
    Ok(root.join(relative))
}

/// Sets mode and time of a file that has no other name; one that has could be a file outside of the tree.
fn apply_to_file(path: &Path, (_, bits, seconds, nanoseconds): &NotedMetadata) -> io::Result<()> {
    let file = open::for_metadata(path, Links::Refused)?;
    if is_hard_linked(&file.metadata()?) {
        return Ok(());
    }
    mode::set_of_file(&file, bits & mode::PERMISSIONS)?;
    filetime::set_file_handle_times(&file, None, Some(FileTime::from_unix_time(*seconds, *nanoseconds)))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;
    use crate::fs::remove::remove_tree;
    use crate::fs::testing::{Random, case_count, case_place, mutate};

    /// A tree with everything that a plain file is not.
    fn tree() -> tempfile::TempDir {
        let place = tempfile::tempdir().expect("a place");
        let at = |name: &str| place.path().join(name);
        fs::create_dir_all(at("d/empty")).expect("made");
        fs::write(at("d/program"), "#!").expect("written");
        fs::set_permissions(at("d/program"), fs::Permissions::from_mode(0o750)).expect("mode");
        filetime::set_file_mtime(at("d/program"), FileTime::from_unix_time(1_000_000_000, 5)).expect("time");
        symlink("nowhere", at("d/dangling")).expect("linked");
        symlink("program", at("d/linked")).expect("linked");
        fs::set_permissions(at("d"), fs::Permissions::from_mode(0o550)).expect("mode");
        filetime::set_file_mtime(at("d"), FileTime::from_unix_time(1_100_000_000, 0)).expect("time");
        place
    }

    /// Names, modes, times and targets.
    fn listing(root: &Path) -> Vec<(String, u32, i64, Option<PathBuf>)> {
        let found = walk(root).map(|found| {
            let found = found.expect("found");
            let target = fs::read_link(&found.path).ok();
            let time = if target.is_some() { 0 } else { found.facts.mtime() };
            (noted(&found.relative).expect("text"), found.facts.mode() & 0o777, time, target)
        });
        found.collect()
    }

    /// What a program leaves of a tree that keeps names and contents alone.
    fn lose(from: &Path, to: &Path) {
        for found in walk(from) {
            let found = found.expect("found");
            if found.kind.is_file() {
                let to = to.join(&found.relative);
                fs::create_dir_all(to.parent().expect("a parent")).expect("made");
                fs::write(to, fs::read(&found.path).expect("read")).expect("written");
            }
        }
    }

    #[test]
    fn what_a_program_loses_is_given_back() {
        let place = tree();
        let before = listing(place.path());
        let (measured, notes) = reduce(place.path(), Metadata::Lost).expect("reduced");
        assert_eq!((measured.files, measured.bytes), (1, 2));
        assert!(listing(place.path()).iter().all(|(.., target)| target.is_none()), "no links are left");
        let other = tempfile::tempdir().expect("a place");
        lose(place.path(), other.path());
        assert_eq!(measure(other.path()).expect("measured"), measured);
        let notes: Notes =
            serde_json::from_str(&serde_json::to_string(&notes).expect("text")).expect("the same");
        complete(other.path(), &notes).expect("completed");
        assert_eq!(listing(other.path()), before);
    }

    #[test]
    fn a_tree_that_is_half_there_measures_otherwise() {
        let place = tree();
        fs::write(place.path().join("more"), "more").expect("written");
        let whole = measure(place.path()).expect("measured");
        fs::write(place.path().join("more"), "mor").expect("written");
        assert_ne!(measure(place.path()).expect("measured"), whole);
        fs::remove_file(place.path().join("more")).expect("removed");
        assert_ne!(measure(place.path()).expect("measured"), whole);
    }

    #[test]
    fn notes_lead_nowhere_out_of_the_tree() {
        let place = tempfile::tempdir().expect("a place");
        let root = place.path().join("root");
        let outside = place.path().join("outside");
        fs::create_dir_all(&root).expect("made");
        fs::write(&outside, "kept").expect("written");
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).expect("mode");
        let time = FileTime::from_last_modification_time(&fs::metadata(&outside).expect("there"));
        let refused = |notes: &str| {
            let notes: Notes = serde_json::from_str(notes).expect("notes");
            complete(&root, &notes).expect_err("refused").to_string()
        };
        for path in ["../outside", "/etc/x", "", "a/../../outside", "."] {
            let said = refused(&format!(r#"{{"links":[],"files":[["{path}",511,0,0]],"directories":[]}}"#));
            assert!(said.contains("leads out"), "{said}");
        }
        let through = r#"{"links":[["l",".."],["l/planted","x"]],"files":[],"directories":[]}"#;
        assert!(refused(through).contains("not a plain directory"));
        fs::remove_file(root.join("l")).expect("the link that was made");
        // A link or a further name of a file outside is left as it is.
        symlink(&outside, root.join("l")).expect("linked");
        let said = refused(r#"{"links":[],"files":[["l",511,0,0]],"directories":[]}"#);
        assert!(said.contains("set mode and time"), "{said}");
        fs::hard_link(&outside, root.join("h")).expect("linked");
        let notes = r#"{"links":[],"files":[["h",511,0,0]],"directories":[]}"#;
        complete(&root, &serde_json::from_str(notes).expect("notes")).expect("passed over");
        let facts = fs::metadata(&outside).expect("there");
        assert_eq!((facts.mode() & 0o777, FileTime::from_last_modification_time(&facts)), (0o600, time));
        assert!(!place.path().join("planted").exists());
    }

    #[test]
    fn damaged_notes_change_nothing_outside_of_the_tree() {
        let place = tempfile::tempdir_in(case_place()).expect("a place");
        let outside = place.path().join("outside");
        fs::write(&outside, "kept").expect("written");
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).expect("mode");
        let before = fs::metadata(&outside).expect("there");
        let (_, notes) = reduce(tree().path(), Metadata::Lost).expect("reduced");
        let notes = serde_json::to_vec(&notes).expect("text");
        let mut random = Random::new(31);
        // Not read, refused, and obeyed.
        let mut outcomes = [0_u32; 3];
        for _ in 0..case_count(1_000) {
            let root = place.path().join("root");
            fs::create_dir_all(root.join("d/empty")).expect("made");
            fs::write(root.join("d/program"), "#!").expect("written");
            let mut bytes = notes.clone();
            mutate(&mut bytes, &mut random);
            let read = serde_json::from_slice::<Notes>(&bytes).ok();
            let outcome = read.map_or(0, |notes| if complete(&root, &notes).is_err() { 1 } else { 2 });
            outcomes[outcome] += 1;
            assert_eq!(
                fs::read_dir(place.path()).expect("listed").count(),
                2,
                "{}",
                String::from_utf8_lossy(&bytes)
            );
            remove_tree(&root).expect("removed");
        }
        let after = fs::metadata(&outside).expect("there");
        let facts = |found: &fs::Metadata| {
            (found.mode(), found.mtime(), found.mtime_nsec(), found.nlink(), found.len())
        };
        assert_eq!(facts(&after), facts(&before));
        assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
    }
}
