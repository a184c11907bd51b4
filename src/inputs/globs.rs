//! Globs over a tree: which files below a root the configuration means.
//!
//! Rooted at the workspace, `/` between names, `*` stays within a name, `**` crosses names, a leading dot is
//! like any other character, braces give alternatives; a leading `!` excludes, and the last glob that matches
//! has the final word.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use globset::{Candidate, GlobBuilder, GlobSet};
use tokio_util::sync::CancellationToken;
use walkdir::WalkDir;

use crate::domain::fault::Fault;
use crate::domain::names;
use crate::fs::cancel;
use crate::fs::read_error::ReadError;

/// Globs, in order.
#[derive(Debug, Clone)]
pub(crate) struct TreeGlob {
    set: GlobSet,
    /// For each glob whether it includes.
    includes: Vec<bool>,
}

/// A file that globs match.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TreeFile {
    /// Relative to the root, `/` between names; where a name is not Unicode, with replacement characters.
    pub path: String,
    /// Where it lies.
    pub location: PathBuf,
}

fn not_a_glob(glob: &str, why: impl std::fmt::Display) -> Fault {
    Fault::usage(format!("`{glob}` is not a glob: {why}"))
        .with_hint("globs are relative to the workspace: `**/*.cid`, `cmake/*.cmake`, `!build/**`".to_owned())
}

impl TreeGlob {
    /// Reads globs. One that ends in `/` means everything below.
    pub(crate) fn new<G: AsRef<str>>(globs: &[G]) -> Result<Self, Fault> {
        let mut set = GlobSet::builder();
        let mut includes = Vec::with_capacity(globs.len());
        for glob in globs.iter().map(AsRef::as_ref) {
            let refuse = |why: &str| not_a_glob(glob, why);
            let text = glob.strip_prefix('!').unwrap_or(glob);
            let text = text.strip_prefix("./").unwrap_or(text);
            if text.is_empty() {
                return Err(refuse("it is empty"));
            }
            if text.starts_with('/') || Path::new(text).is_absolute() {
                return Err(refuse("it is absolute"));
            }
            if text.split('/').any(|part| matches!(part, "." | "..")) {
                return Err(refuse("`.` and `..` are not allowed in it"));
            }
            let text = if text.ends_with('/') { format!("{text}**") } else { text.to_owned() };
            let built = GlobBuilder::new(&text)
                .literal_separator(true)
                .backslash_escape(true)
                .empty_alternates(true)
                .build()
                .map_err(|error| not_a_glob(glob, error.kind()))?;
            set.add(built);
            includes.push(!glob.starts_with('!'));
        }
        let set = set.build().map_err(|error| not_a_glob(error.glob().unwrap_or_default(), error.kind()))?;
        Ok(TreeGlob { set, includes })
    }

    /// Whether a path relative to the root, `/` between names, is matched.
    #[cfg(test)]
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.matches_bytes(path.as_bytes())
    }

    /// Whether a path relative to the root, `/` between names and perhaps not Unicode, is matched.
    pub(crate) fn matches_bytes(&self, path: &[u8]) -> bool {
        let hits = self.set.matches_candidate(&Candidate::from_bytes(path));
        hits.into_iter().max().is_some_and(|last| self.includes[last])
    }

    /// The files below `root` that are meant, sorted by path.
    ///
    /// Links to files count, broken ones too, so that who reads them can say so; links to directories are not
    /// followed; sockets, pipes and devices do not count. Left out are repositories' `.git`, temporary things
    /// of this program, and what lies below the directories `without` (absolute, or relative to the root).
    pub(crate) fn files(
        &self,
        root: &Path,
        without: &[PathBuf],
        cancel: &CancellationToken,
    ) -> Result<Vec<TreeFile>, Fault> {
        let without: Vec<PathBuf> = without.iter().flat_map(|path| spellings(root, path)).collect();
        let mut files = Vec::new();
        let walk = WalkDir::new(root).into_iter().filter_entry(|entry| {
            entry.depth() == 0
                || !(is_private(entry.file_name()) || without.iter().any(|path| path == entry.path()))
        });
        for entry in walk {
            cancel::check(cancel)?;
            let entry = entry.map_err(|error| ReadError::of_walk(root, error))?;
            let kind = entry.file_type();
            if entry.depth() == 0 || !(kind.is_file() || kind.is_symlink()) {
                continue;
            }
            let Ok(relative) = entry.path().strip_prefix(root) else { continue };
            if !self.matches_bytes(&slashed(relative)) || (kind.is_symlink() && entry.path().is_dir()) {
                continue;
            }
            let path = String::from_utf8_lossy(&slashed(relative)).into_owned();
            files.push(TreeFile { path, location: entry.into_path() });
        }
        files.sort_unstable();
        Ok(files)
    }
}

/// A path below the root as a walk from the root meets it: as it is given, and with links in either resolved.
fn spellings(root: &Path, path: &Path) -> Vec<PathBuf> {
    let given = root.join(path);
    let resolved = || {
        let (real, real_root) = (given.canonicalize().ok()?, root.canonicalize().ok()?);
        real.strip_prefix(real_root).ok().map(|relative| root.join(relative))
    };
    resolved().into_iter().chain([given.clone()]).collect()
}

/// Names that never belong to a user's tree.
fn is_private(name: &OsStr) -> bool {
    name == ".git" || names::is_temporary(name.as_encoded_bytes())
}

/// The bytes of a relative path with `/` between names.
fn slashed(relative: &Path) -> Vec<u8> {
    let names: Vec<&[u8]> = relative.iter().map(OsStr::as_encoded_bytes).collect();
    names.join(&b'/')
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn check(globs: &[&str], yes: &[&str], no: &[&str]) {
        let glob = TreeGlob::new(globs).expect("globs");
        for path in yes {
            assert!(glob.matches(path), "{globs:?} on {path}");
        }
        for path in no {
            assert!(!glob.matches(path), "{globs:?} on {path}");
        }
    }

    #[test]
    fn globs_are_rooted_and_stars_stay_within_a_name() {
        check(&["*.cid"], &["a.cid", ".cid", ".a.cid"], &["x/a.cid", "a.cid.txt"]);
        check(&["**/*.cid"], &["a.cid", "x/y/a.cid", ".x/a.cid"], &["a.md5"]);
        check(&["a/*/c"], &["a/b/c"], &["a/c", "a/b/b/c"]);
        check(&["a?c"], &["abc"], &["a/c"]);
        check(&["./a", "dir/"], &["a", "dir/x", "dir/x/y"], &["dir", "b"]);
        check(&["*.{cid,md5}", "[ab]"], &["x.cid", "x.md5", "a"], &["x.sha1", "c"]);
        check(&["A"], &["A"], &["a"]);
    }

    #[test]
    fn the_last_glob_that_matches_has_the_final_word() {
        check(&["**", "!**/*.o", "keep.o"], &["a", "keep.o"], &["a.o", "x/keep.o"]);
        check(&["!a", "a"], &["a"], &[]);
        check(&["!a"], &[], &["a", "b"]);
    }

    #[test]
    fn odd_globs_are_refused_by_name() {
        for glob in ["", "!", "/a", "a/../b", "./../a", "[", "{a"] {
            let error = TreeGlob::new(&[glob]).expect_err(glob).to_string();
            assert!(error.contains(glob), "{error}");
        }
    }

    #[test]
    fn files_are_listed_in_order_without_what_is_not_the_users() {
        let root = tempfile::tempdir().expect("a directory");
        for file in [
            "b/x",
            "a.x",
            "a/x",
            ".git/x",
            "sub/.git",
            "cache/x",
            "cache2/x",
            ".cachekeep-1.tmp/x",
            ".dot/x",
            "é",
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, "").expect("a file");
        }
        let list = |globs: &[&str]| -> Vec<String> {
            TreeGlob::new(globs)
                .expect("globs")
                .files(root.path(), &[PathBuf::from("cache")], &CancellationToken::new())
                .expect("a list")
                .into_iter()
                .map(|file| file.path)
                .collect()
        };
        assert_eq!(list(&["**"]), [".dot/x", "a.x", "a/x", "b/x", "cache2/x", "é"]);
        #[cfg(unix)]
        {
            // The root by another name: what is left out is still found.
            let other = tempfile::tempdir().expect("a directory");
            let alias = other.path().join("alias");
            std::os::unix::fs::symlink(root.path(), &alias).expect("a link");
            let without = [root.path().join("cache")];
            let glob = TreeGlob::new(&["cache/**"]).expect("a glob");
            assert_eq!(glob.files(&alias, &without, &CancellationToken::new()).expect("a list"), []);
            let link = |target: &str, name: &str| {
                std::os::unix::fs::symlink(target, root.path().join(name)).expect("a link");
            };
            link("a", "to-directory");
            link("a/x", "to-file");
            link("nowhere", "to-nothing");
            assert_eq!(list(&["to*/**", "to*"]), ["to-file", "to-nothing"]);
        }
    }

    #[test]
    fn a_root_that_is_not_there_is_an_error() {
        let error = TreeGlob::new(&["**"])
            .expect("a glob")
            .files(Path::new("/nowhere/at/all"), &[], &CancellationToken::new())
            .expect_err("no root");
        assert!(error.to_string().starts_with("cannot read `/nowhere/at/all`: "), "{error}");
    }
}
