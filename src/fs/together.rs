//! Several small files that are replaced together: all of them, or none.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::atomic::sync_directory;
use super::busy;
use super::lease::LeasedDirectory;
use super::open::Links;
use super::path_error::PathError;
use super::read;
use crate::domain::fault::Fault;

/// A file and what it is to hold.
#[derive(Debug)]
pub(crate) struct NewFile {
    /// An absolute path.
    pub path: PathBuf,
    /// What it must hold before; `None` if it must not be there.
    pub before: Option<Vec<u8>>,
    /// What it holds afterwards.
    pub after: Vec<u8>,
}

/// A file that is written beside its name.
struct Staged<'a> {
    file: &'a NewFile,
    leased: LeasedDirectory,
}

impl Staged<'_> {
    fn new_path(&self) -> PathBuf {
        self.leased.payload().join("new")
    }

    fn old_path(&self) -> PathBuf {
        self.leased.payload().join("old")
    }

    /// Puts back what was there.
    fn undo(&self) -> io::Result<()> {
        if self.file.before.is_some() {
            busy::rename(&self.old_path(), &self.file.path)
        } else {
            fs::remove_file(&self.file.path)
        }
    }
}

/// Replaces or makes files. Each is written beside its name first, and the names change in the end; if one cannot, those before it
/// are put back. A process that is killed between two names leaves whole files, some of them old.
///
/// # Errors
/// A file is read-only, has changed, or cannot be written. No file has changed then.
pub(crate) fn write(files: &[NewFile], now: DateTime<Utc>) -> Result<(), Fault> {
    files.iter().try_for_each(check)?;
    let staged: Vec<Staged<'_>> = files.iter().map(|file| stage(file, now)).collect::<Result<_, _>>()?;
    for (at, one) in staged.iter().enumerate() {
        if let Err(error) = busy::rename(&one.new_path(), &one.file.path) {
            for earlier in &staged[..at] {
                earlier.undo().map_err(PathError::on("put back", &earlier.file.path))?;
            }
            return Err(PathError::on("write", &one.file.path)(error).into());
        }
    }
    for one in staged {
        sync_directory(one.file.path.parent().unwrap_or(&one.file.path));
        one.leased.close()?;
    }
    Ok(())
}

/// Refuses a file that is read-only, or is not what it was.
fn check(file: &NewFile) -> Result<(), Fault> {
    let failed = PathError::on("write", &file.path);
    let shown = file.path.display();
    match (fs::symlink_metadata(&file.path), &file.before) {
        (Err(error), None) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        (Ok(_), None) => Err(Fault::environment(format!("`{shown}` is there already"))),
        (Ok(found), Some(_)) if found.permissions().readonly() => {
            Err(failed(io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only")).into())
        }
        (Ok(_), Some(before)) => match read::read_bounded(&file.path, Links::Refused, before.len() as u64) {
            Ok(bytes) if bytes == *before => Ok(()),
            Err(error) if error.kind() != io::ErrorKind::InvalidData => Err(failed(error).into()),
            // Other bytes, or more.
            _ => Err(Fault::environment(format!("`{shown}` has changed meanwhile"))
                .with_hint("run the command again".to_owned())),
        },
        (Err(error), _) => Err(failed(error).into()),
    }
}

fn stage(file: &NewFile, now: DateTime<Utc>) -> Result<Staged<'_>, PathError> {
    let failed = PathError::on("write", &file.path);
    let parent = file.path.parent().unwrap_or_else(|| Path::new("/"));
    let leased = LeasedDirectory::create_in(parent, &format!("writing `{}`", file.path.display()), now)?;
    let staged = Staged { file, leased };
    let mut new = File::create_new(staged.new_path()).map_err(&failed)?;
    new.write_all(&file.after).map_err(&failed)?;
    if file.before.is_some() {
        let permissions = fs::metadata(&file.path).map_err(&failed)?.permissions();
        new.set_permissions(permissions).map_err(&failed)?;
        fs::copy(&file.path, staged.old_path()).map_err(&failed)?;
    }
    new.sync_all().map_err(&failed)?;
    Ok(staged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().expect("a time")
    }

    fn file(path: PathBuf, before: Option<&str>, after: &str) -> NewFile {
        NewFile {
            path,
            before: before.map(|text| text.as_bytes().to_vec()),
            after: after.as_bytes().to_vec(),
        }
    }

    fn names(place: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(place)
            .expect("a listing")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn all_are_written_with_nothing_left_beside_them() {
        let place = tempfile::tempdir().expect("a place");
        let at = |name: &str| place.path().join(name);
        fs::write(at("a"), "old").expect("written");
        write(&[file(at("a"), Some("old"), "new"), file(at("b"), None, "made")], now()).expect("written");
        assert_eq!(fs::read_to_string(at("a")).expect("text"), "new");
        assert_eq!(fs::read_to_string(at("b")).expect("text"), "made");
        assert_eq!(names(place.path()), ["a", "b"]);
    }

    #[test]
    fn one_that_cannot_be_written_leaves_the_others() {
        let place = tempfile::tempdir().expect("a place");
        let at = |name: &str| place.path().join(name);
        for (name, text) in [("a", "old"), ("read-only", "old"), ("changed", "other")] {
            fs::write(at(name), text).expect("written");
        }
        fs::create_dir(at("directory")).expect("made");
        let mut permissions = fs::metadata(at("read-only")).expect("a file").permissions();
        permissions.set_readonly(true);
        fs::set_permissions(at("read-only"), permissions).expect("read-only");
        for second in [
            file(at("read-only"), Some("old"), "new"),
            file(at("changed"), Some("old"), "new"),
            file(at("changed"), None, "new"),
            file(at("missing"), Some("old"), "new"),
            file(at("missing/b"), None, "new"),
            file(at("directory"), Some(""), "new"),
        ] {
            let shown = second.path.display().to_string();
            let files = [file(at("a"), Some("old"), "new"), file(at("b"), None, "made"), second];
            assert!(write(&files, now()).is_err(), "{shown}");
            assert_eq!(fs::read_to_string(at("a")).expect("text"), "old", "{shown}");
            assert_eq!(names(place.path()), ["a", "changed", "directory", "read-only"], "{shown}");
        }
    }

    #[test]
    fn a_name_that_cannot_change_puts_those_before_it_back() {
        let place = tempfile::tempdir().expect("a place");
        let at = |name: &str| place.path().join(name);
        fs::write(at("a"), "old").expect("written");
        let twice = [
            file(at("a"), Some("old"), "new"),
            file(at("b"), None, "made"),
            NewFile { path: at("c"), before: None, after: Vec::new() },
        ];
        let staged: Vec<Staged<'_>> = twice.iter().map(|file| stage(file, now()).expect("staged")).collect();
        for one in &staged[..2] {
            busy::rename(&one.new_path(), &one.file.path).expect("renamed");
        }
        for one in &staged[..2] {
            one.undo().expect("put back");
        }
        drop(staged);
        assert_eq!(fs::read_to_string(at("a")).expect("text"), "old");
        assert_eq!(names(place.path()), ["a"]);
    }
}
