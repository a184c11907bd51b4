//! Narrowing: what a selection does not take is removed from a tree that is about to become its root.
//!
//! An entry may have been saved before a path was excluded, or by another program: it may hold more than its cache.

use std::fs;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::selection::{Selection, Verdict};
use crate::domain::fault::Fault;
use crate::fs::cancel;
use crate::fs::path_error::PathError;
use crate::fs::remove::remove_tree;

/// What is left of a tree.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Narrowed {
    /// Directories, relative to the root, that are only above what belongs to the cache.
    pub above: Vec<PathBuf>,
    /// How many files, links and directories were removed, each with all below it.
    pub removed: u64,
}

/// Removes from a tree all that the selection does not take, but for the note `kept` at its top.
pub(crate) fn narrow(
    selection: &Selection,
    tree: &Path,
    kept: &str,
    cancel: &CancellationToken,
) -> Result<Narrowed, Fault> {
    let mut narrowed = Narrowed::default();
    if fs::symlink_metadata(tree).map_err(PathError::on("read", tree))?.is_file() {
        return match selection.verdict(Path::new(""), false) {
            Verdict::Take => Ok(narrowed),
            _ => Err(Fault::environment(format!(
                "the entry has a file for `{}`, and the paths need a directory",
                selection.root.display()
            ))),
        };
    }
    let mut directories = vec![PathBuf::new()];
    while let Some(relative) = directories.pop() {
        cancel::check(cancel)?;
        let directory = tree.join(&relative);
        for entry in fs::read_dir(&directory).map_err(PathError::on("read", &directory))? {
            let entry = entry.map_err(PathError::on("read", &directory))?;
            let path = relative.join(entry.file_name());
            let is_dir = entry.file_type().map_err(PathError::on("read", &entry.path()))?.is_dir();
            match selection.verdict(&path, is_dir) {
                Verdict::Take if is_dir => directories.push(path),
                Verdict::Take => {}
                _ if path == Path::new(kept) => {}
                Verdict::Descend => {
                    narrowed.above.push(path.clone());
                    directories.push(path);
                }
                Verdict::Skip => {
                    remove_tree(&entry.path()).map_err(|error| error.first)?;
                    narrowed.removed += 1;
                }
            }
        }
    }
    // Innermost first: directories that lead to nothing any more.
    narrowed.above.sort();
    for above in narrowed.above.iter().rev() {
        // Fails for a directory that is not empty, which has to stay.
        let _ = fs::remove_dir(tree.join(above));
    }
    Ok(narrowed)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::tree::selection::{PathRule, resolve};
    use crate::tree::unnamed::Unnamed;

    fn selection(root: &Path, lines: &[&str]) -> Selection {
        let rule = |line: &&str| {
            let (exclude, pattern) = line.strip_prefix('!').map_or((false, *line), |rest| (true, rest));
            PathRule { exclude, base: root.to_owned(), pattern: pattern.to_owned() }
        };
        let rules: Vec<PathRule> = lines.iter().map(rule).collect();
        let configuration = root.join("cachekeep.toml");
        resolve(&rules).expect("rules").selections.remove(0).guarding(Unnamed::below(
            root,
            root,
            &[configuration],
        ))
    }

    fn left(lines: &[&str], names: &[&str]) -> Vec<String> {
        let place = tempfile::tempdir().expect("a place");
        for name in names {
            let path = place.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, "").expect("written");
        }
        let selection = selection(place.path(), lines);
        narrow(&selection, place.path(), "note", &CancellationToken::new()).expect("narrowed");
        let all = walkdir::WalkDir::new(place.path()).min_depth(1).sort_by_file_name();
        let relative = |path: &Path| path.strip_prefix(place.path()).expect("below").display().to_string();
        all.into_iter().map(|entry| relative(entry.expect("read").path())).collect()
    }

    #[test]
    fn only_what_the_paths_take_is_left() {
        let names = ["a/node_modules/x", "a/package.json", "a/note", "b/c/d", "node_modules/y/z", "note"];
        assert_eq!(
            left(&["**/node_modules"], &names),
            [
                "a",
                "a/node_modules",
                "a/node_modules/x",
                "node_modules",
                "node_modules/y",
                "node_modules/y/z",
                "note"
            ]
        );
        assert_eq!(
            left(&[".", "!a", "!b/**/d"], &names),
            ["b", "b/c", "node_modules", "node_modules/y", "node_modules/y/z", "note"]
        );
    }

    #[test]
    fn repositories_and_the_configuration_are_left_out_unless_they_are_named() {
        let names = [".git/HEAD", "cachekeep.toml", "dep/.git", "dep/cachekeep.toml", "src/x"];
        let dep = ["dep", "dep/cachekeep.toml", "src", "src/x"];
        assert_eq!(left(&["."], &names), dep);
        assert_eq!(left(&["*"], &names), ["dep", "dep/.git", "dep/cachekeep.toml", "src", "src/x"]);
        assert_eq!(left(&[".", "cachekeep.toml"], &names), [&["cachekeep.toml"][..], &dep].concat());
        assert_eq!(left(&["cachekeep.toml", "."], &names), [&["cachekeep.toml"][..], &dep].concat());
        assert_eq!(
            left(&["**/.git", "src"], &names),
            [".git", ".git/HEAD", "dep", "dep/.git", "src", "src/x"]
        );
        assert_eq!(left(&["**/dep"], &names), ["dep", "dep/.git", "dep/cachekeep.toml"]);
    }
}
