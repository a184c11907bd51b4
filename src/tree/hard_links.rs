//! Trees under other names on the same volume: a tree that another program unpacked becomes a staged one by a
//! rename, and what a selection takes is shown elsewhere by hard links. Neither copies a byte, and neither
//! takes the original away: a kill at any instruction leaves it as it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use filetime::FileTime;
use tokio_util::sync::CancellationToken;

use super::selection::Selection;
use super::walk::{Item, ItemKind, Walk, place_of};
use crate::domain::event::Meter;
use crate::domain::fault::Fault;
use crate::domain::names;
use crate::fs::lease::LeasedDirectory;
use crate::fs::open::{self, Links};
use crate::fs::path_error::PathError;
use crate::fs::read_error::ReadError;
use crate::fs::staging::Staging;
use crate::fs::{cancel, link, mode};

/// Whether a path and what is above it, up to and without `base`, are directories and not links; `false` where
/// nothing is there.
pub(crate) fn is_plain_directory(base: &Path, relative: &Path) -> Result<bool, Fault> {
    let mut path = base.to_owned();
    for part in relative.components() {
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(facts) if facts.is_dir() => {}
            Ok(_) => {
                return Err(Fault::environment(format!("`{}` is not a plain directory", path.display())));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(PathError::on("look at", &path)(error).into()),
        }
    }
    Ok(true)
}

/// The same for what may become a root: at its end a regular file is as good as a directory.
pub(crate) fn is_plain(base: &Path, relative: &Path) -> Result<bool, Fault> {
    let is_file = fs::symlink_metadata(base.join(relative)).is_ok_and(|found| found.is_file());
    match relative.parent() {
        Some(above) if is_file => is_plain_directory(base, above),
        _ => is_plain_directory(base, relative),
    }
}

/// What of an adopted tree was not kept.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Pipes, devices and sockets, which no archive of ours holds.
    pub specials: Vec<PathBuf>,
    /// Files and directories that lost their set-user-ID, set-group-ID or sticky bit.
    pub special_modes: Vec<PathBuf>,
}

/// Makes a tree that another program unpacked one that our own archives could have held.
fn sanitize(source: &Path) -> Result<Dropped, Fault> {
    let mut dropped = Dropped::default();
    for entry in walkdir::WalkDir::new(source) {
        let entry = entry.map_err(|error| ReadError::of_walk(source, error))?;
        let path = entry.path();
        if names::is_temporary(entry.file_name().as_encoded_bytes()) {
            return Err(Fault::environment(format!(
                "`{}` has a name that is reserved for temporary directories of cachekeep",
                path.display()
            )));
        }
        let kind = entry.file_type();
        if !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
            fs::remove_file(path).map_err(PathError::on("remove", path))?;
            dropped.specials.push(path.to_owned());
        } else if !kind.is_symlink() {
            let facts = entry.metadata().map_err(|error| ReadError::of_walk(source, error))?;
            if let Some(plain) = mode::without_special_bits(&facts) {
                if kind.is_dir() {
                    mode::set_of_directory(path, plain).map_err(PathError::on("change", path))?;
                } else {
                    replace_by_copy(path, plain).map_err(PathError::on("change", path))?;
                }
                dropped.special_modes.push(path.to_owned());
            }
        }
    }
    Ok(dropped)
}

/// Puts a copy with another mode in the place of a file, which may be a hard link to a program outside of the tree: that one keeps
/// its mode.
fn replace_by_copy(path: &Path, mode: u32) -> io::Result<()> {
    let parent = path.parent().unwrap_or(path);
    let place = LeasedDirectory::create_in(parent, "copying a file", DateTime::<Utc>::UNIX_EPOCH)
        .map_err(|error| error.source)?;
    let copied = place.payload().join("file");
    copy_plain(path, &copied, mode)?;
    fs::rename(&copied, path)?;
    place.close().map_err(|error| error.source)
}

/// Copies a file with its times, but with another mode.
fn copy_plain(from: &Path, to: &Path, mode: u32) -> io::Result<()> {
    let mut source = open::file(from, Links::Refused)?;
    let mut copy = fs::File::create_new(to)?;
    io::copy(&mut source, &mut copy)?;
    mode::set_of_file(&copy, mode)?;
    let modified = FileTime::from_last_modification_time(&source.metadata()?);
    filetime::set_file_handle_times(&copy, None, Some(modified))
}

/// Makes a directory or a file the tree of a staging, by a rename. Returns what of it was dropped before.
///
/// Another program unpacked it from an archive that others may have written, so no name in it may be one of ours.
pub(crate) fn adopt(source: &Path, staging: &Staging) -> Result<Dropped, Fault> {
    let dropped = sanitize(source)?;
    let tree = staging.tree();
    // Windows renames a directory only to a name that is free, and no system a file to that of a directory.
    fs::remove_dir(tree).map_err(PathError::on("make way at", tree))?;
    fs::rename(source, tree).map_err(|error| {
        // The staging needs its tree again, whatever the error is.
        let _ = fs::create_dir(tree);
        crossing(source, staging.target(), "rename")(error)
    })?;
    Ok(dropped)
}

/// What was linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Linked {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Shows what a selection takes at `target`, which is made: files as hard links, symbolic links as they are.
///
/// A file that is written through one name is written for both: the tree is for reading.
pub(crate) fn link_tree(
    selection: &Selection,
    target: &Path,
    cancel: &CancellationToken,
    meter: &Meter,
) -> Result<Linked, Fault> {
    let mut linked = Linked::default();
    let mut directories: Vec<(PathBuf, Item)> = Vec::new();
    for item in Walk::new(selection) {
        cancel::check(cancel)?;
        let item = item?;
        let from = place_of(&selection.root, &item.relative);
        let to = if is_root(&item) { target.to_owned() } else { target.join(&item.relative) };
        match &item.kind {
            ItemKind::Directory => {
                fs::create_dir_all(&to).map_err(PathError::on("make", &to))?;
                directories.push((to, item));
            }
            ItemKind::File => {
                if let Some(parent) = to.parent().filter(|_| is_root(&item)) {
                    fs::create_dir_all(parent).map_err(PathError::on("make", parent))?;
                }
                show_file(&from, &to)?;
                linked.files += 1;
                linked.bytes += item.size;
                meter.add_items(1);
                meter.add_bytes(item.size);
            }
            ItemKind::Symlink { .. } => {
                link::copy(&from, &to).map_err(PathError::on("link", &to))?;
            }
            // Archives do not keep sockets, pipes and devices.
            ItemKind::Special => {}
        }
    }
    // Innermost first: a directory that may not be written is filled by now, and keeps its time.
    for (path, item) in directories.iter().rev() {
        apply_metadata(path, item).map_err(PathError::on("set mode and time of", path))?;
    }
    Ok(linked)
}

/// Links a file; one with a set-user-ID, set-group-ID or sticky bit is copied without it, since a link has the mode of the file.
fn show_file(from: &Path, to: &Path) -> Result<(), Fault> {
    let facts = fs::symlink_metadata(from).map_err(PathError::on("look at", from))?;
    match mode::without_special_bits(&facts) {
        Some(plain) => copy_plain(from, to, plain).map_err(PathError::on("copy", from))?,
        None => fs::hard_link(from, to).map_err(crossing(from, to, "link"))?,
    }
    Ok(())
}

fn is_root(item: &Item) -> bool {
    item.relative.as_os_str().is_empty()
}

fn crossing<'a>(from: &'a Path, to: &'a Path, action: &'static str) -> impl Fn(io::Error) -> Fault + 'a {
    move |error| {
        if error.kind() == io::ErrorKind::CrossesDevices {
            Fault::environment(format!("`{}` is on another volume than `{}`", from.display(), to.display())).with_hint(
                "keep the cache below the workspace or the runner's temp directory, or give the job `id-token: write`"
                    .to_owned(),
            )
        } else {
            PathError::on(action, from)(error).into()
        }
    }
}

fn apply_metadata(path: &Path, item: &Item) -> io::Result<()> {
    mode::set_of_directory(path, item.mode)?;
    filetime::set_file_mtime(path, FileTime::from_unix_time(item.modified.seconds, item.modified.nanoseconds))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;
    use crate::domain::event::Phase;

    #[test]
    fn a_linked_tree_is_the_same_and_goes_without_the_original() {
        let place = tempfile::tempdir().expect("a place");
        let (from, to) = (place.path().join("from"), place.path().join("x/to"));
        fs::create_dir_all(from.join("d")).expect("made");
        fs::write(from.join("d/f"), "text").expect("written");
        symlink("nowhere", from.join("l")).expect("linked");
        filetime::set_file_mtime(from.join("d"), FileTime::from_unix_time(1_000_000_000, 0)).expect("time");
        fs::set_permissions(from.join("d"), fs::Permissions::from_mode(0o555)).expect("mode");
        let meter = Meter::new("c", Phase::Save);
        let selection = Selection::everything(&from);
        let linked = link_tree(&selection, &to, &CancellationToken::new(), &meter).expect("linked");
        assert_eq!(linked, Linked { files: 1, bytes: 4 });
        let facts = fs::metadata(to.join("d")).expect("there");
        assert_eq!((facts.mode() & 0o777, facts.mtime()), (0o555, 1_000_000_000));
        assert_eq!(fs::read_link(to.join("l")).expect("a link"), Path::new("nowhere"));
        crate::fs::remove::remove_tree(&to).expect("removed");
        assert_eq!(fs::read_to_string(from.join("d/f")).expect("there"), "text");
        fs::set_permissions(from.join("d"), fs::Permissions::from_mode(0o755)).expect("mode");
    }

    #[test]
    fn a_tree_that_brings_a_name_of_ours_is_not_adopted() {
        let place = tempfile::tempdir().expect("a place");
        let now = chrono::DateTime::UNIX_EPOCH;
        let records = crate::fs::testing::records();
        let staging = Staging::beside(&place.path().join("target"), &records, now).expect("staged");
        for planted in [".cachekeep-x.tmp", "d/.CacheKeep-y.TMP/payload"] {
            let from = place.path().join("from");
            fs::create_dir_all(from.join(planted)).expect("made");
            let error = adopt(&from, &staging).expect_err("refused");
            assert!(error.to_string().contains("reserved for temporary directories"), "{error}");
            assert_eq!(fs::read_dir(staging.tree()).expect("still there").count(), 0);
            fs::remove_dir_all(&from).expect("removed");
        }
    }

    #[test]
    fn an_adopted_tree_has_no_special_modes_and_no_special_files() {
        let place = tempfile::tempdir().expect("a place");
        let at = |name: &str| place.path().join(name);
        let mode = |path: &Path| fs::symlink_metadata(path).expect("there").mode() & 0o7777;
        let set = |path: &Path, mode: u32| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
        };
        fs::create_dir_all(at("from/d")).expect("made");
        fs::write(at("program"), "outside").expect("written");
        set(&at("program"), 0o4755);
        // As `tar -P` makes it of a hard link to a program of the system.
        fs::hard_link(at("program"), at("from/d/linked")).expect("linked");
        fs::write(at("from/own"), "own").expect("written");
        set(&at("from/own"), 0o2711);
        set(&at("from/d"), 0o1755);
        let ended = std::process::Command::new("mkfifo").arg(at("from/d/pipe")).status();
        assert!(ended.is_ok_and(|status| status.success()), "a pipe");
        let records = crate::fs::testing::records();
        let staging = Staging::beside(&at("target"), &records, chrono::DateTime::UNIX_EPOCH).expect("staged");
        let dropped = adopt(&at("from"), &staging).expect("adopted");
        assert_eq!((dropped.specials.len(), dropped.special_modes.len()), (1, 3));
        let tree = |name: &str| staging.tree().join(name);
        assert_eq!(mode(&at("program")), 0o4755, "outside of the tree");
        assert_eq!(fs::read_to_string(tree("d/linked")).expect("read"), "outside");
        assert_eq!([mode(&tree("d/linked")), mode(&tree("own")), mode(&tree("d"))], [0o755, 0o711, 0o755]);
        assert_eq!(fs::read_dir(tree("d")).expect("read").count(), 1, "the pipe is gone");
    }

    #[test]
    fn a_link_on_the_way_is_not_followed() {
        let place = tempfile::tempdir().expect("a place");
        fs::create_dir_all(place.path().join("real/c")).expect("made");
        symlink("real", place.path().join("fake")).expect("linked");
        let check = |relative: &str| is_plain_directory(place.path(), Path::new(relative));
        assert!(check("real/c").expect("looked at"));
        assert!(!check("real/d").expect("looked at"));
        let error = check("fake/c").expect_err("a link").to_string();
        assert!(error.ends_with("fake` is not a plain directory"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn another_volume_is_told_as_such() {
        let place = tempfile::tempdir().expect("a place");
        let over = place.path().join("volume");
        fs::create_dir(&over).expect("made");
        let Some(_mount) = crate::fs::testing::Mount::tmpfs(&over, "1m") else { return };
        fs::write(over.join("f"), "text").expect("written");
        let meter = Meter::new("c", Phase::Save);
        let selection = Selection::everything(&over);
        let error = link_tree(&selection, &place.path().join("t"), &CancellationToken::new(), &meter);
        let error = error.expect_err("crosses volumes").to_string();
        assert!(error.contains("is on another volume than"), "{error}");
    }
}
