//! The format `Files`: the contents of files, and nothing else of a tree (azure.md, section 3.3; issues 10841, 11204 and 11351
//! of azure-pipelines-tasks).

use std::fs;
use std::io;
use std::path::Path;

/// Copies the contents of a tree. Modes, times, empty directories and links are lost; a link to a file becomes a file [?].
/// With a limit, the copy breaks after that many bytes and leaves what it has made.
pub(super) fn copy(from: &Path, to: &Path, limit: Option<u64>) -> Result<(), String> {
    let mut left = limit;
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    copy_below(from, to, &mut left).map_err(|error| format!("{}: {error}", from.display()))
}

fn copy_below(from: &Path, to: &Path, left: &mut Option<u64>) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(from)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_below(&path, &target, left)?;
        } else if path.is_file() {
            copy_file(&path, &target, left)?;
        }
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path, left: &mut Option<u64>) -> io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    let mut bytes = fs::read(from)?;
    let length = bytes.len() as u64;
    let cut = left.filter(|left| *left < length);
    if let Some(cut) = cut {
        bytes.truncate(usize::try_from(cut).unwrap_or(usize::MAX));
    }
    // A new file: its mode and times are those of any new file, and a link in its place is not followed.
    let _ = fs::remove_file(to);
    fs::write(to, bytes)?;
    if cut.is_some() {
        return Err(io::Error::other("the connection was closed"));
    }
    *left = left.map(|left| left - length);
    Ok(())
}
