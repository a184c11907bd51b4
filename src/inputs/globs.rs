//! Globs over a tree: which files below a root the configuration means.
//!
//! Rooted at the workspace, `/` between names, `*` stays within a name, `**` crosses names, a leading dot is
//! like any other character, braces give alternatives; a leading `!` excludes, and the last glob that matches
//! has the final word. What excludes a directory excludes all that is in it.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::{fs, io};

use globset::{Candidate, GlobBuilder, GlobMatcher, GlobSet};
use tokio_util::sync::CancellationToken;

use crate::domain::fault::Fault;
use crate::domain::names;
use crate::fs::cancel;
use crate::fs::open::Links;
use crate::fs::read_error::ReadError;
use crate::threads::start;

/// Globs, in order.
#[derive(Debug, Clone)]
pub(crate) struct TreeGlob {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    includes: bool,
    /// A set of one: unlike a single matcher it takes a name's ending where that is all there is to compare.
    matcher: GlobSet,
    /// Its components, to tell which directories can lead to a match.
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    /// A name without wildcards.
    Name(String),
    /// A name with wildcards.
    Glob(GlobMatcher),
    /// Anything, and any number of names.
    Any,
}

/// What globs found below a root.
#[derive(Debug, Default)]
pub(crate) struct TreeFiles {
    /// The files, sorted by path.
    pub files: Vec<TreeFile>,
    /// Directories that could not be read, and may hold more.
    pub unreadable: Vec<ReadError>,
}

/// A file that globs match.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TreeFile {
    /// Relative to the root, `/` between names; where a name is not Unicode, with replacement characters.
    pub path: String,
    /// Where it lies.
    pub location: PathBuf,
    /// Whether a link may be followed when it is opened: it is one.
    pub links: Links,
}

fn not_a_glob(glob: &str, why: impl std::fmt::Display) -> Fault {
    Fault::usage(format!("`{glob}` is not a glob: {why}"))
        .with_hint("globs are relative to the workspace: `**/*.cid`, `cmake/*.cmake`, `!build/**`".to_owned())
}

impl TreeGlob {
    /// Reads globs. One that ends in `/` means everything below.
    pub(crate) fn new<G: AsRef<str>>(globs: &[G]) -> Result<Self, Fault> {
        let rules = globs.iter().map(|glob| Rule::parse(glob.as_ref())).collect::<Result<_, _>>()?;
        Ok(TreeGlob { rules })
    }

    /// Whether a path relative to the root, `/` between names, is matched.
    #[cfg(test)]
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.matches_bytes(path.as_bytes())
    }

    /// Whether a path relative to the root, `/` between names and perhaps not Unicode, is matched.
    pub(crate) fn matches_bytes(&self, path: &[u8]) -> bool {
        self.rules.iter().rev().find(|rule| rule.covers(path)).is_some_and(|last| last.includes)
    }

    /// The files below `root` that are meant, sorted by path.
    ///
    /// Only directories that can hold such files are read: a path without wildcards is looked up, a glob is looked for
    /// below the names that it begins with, and excluded directories are not entered.
    ///
    /// Links to files count, broken ones too, so that who reads them can say so; links to directories are not
    /// followed; sockets, pipes and devices do not count. Left out are repositories' `.git`, temporary things
    /// of this program, and what lies below the directories `without` (absolute, or relative to the root). Up to `workers` threads and
    /// the calling one read directories.
    pub(crate) fn files(
        &self,
        root: &Path,
        without: &[PathBuf],
        workers: usize,
        cancel: &CancellationToken,
    ) -> Result<TreeFiles, Fault> {
        fs::metadata(root).map_err(ReadError::of(root))?;
        let without: Vec<PathBuf> = without.iter().flat_map(|path| spellings(root, path)).collect();
        let walk = GlobWalk { globs: self, root, without: &without };
        let mut found = TreeFiles::default();
        let mut level = Vec::new();
        for start in self.starts(root) {
            let listing = walk.start(&start);
            level.extend(found.take(listing));
        }
        // One level of the tree after the other, so that all threads have directories to read.
        while !level.is_empty() {
            let read = |directory: &GlobDirectory| {
                if cancel.is_cancelled() { Listing::default() } else { walk.list(directory) }
            };
            let listings = start::map(&level, "globs", workers, read);
            cancel::check(cancel)?;
            level = listings.into_iter().flat_map(|listing| found.take(listing)).collect();
        }
        found.files.sort_unstable();
        Ok(found)
    }

    /// Where walks begin: paths below the root, none below another one.
    fn starts(&self, root: &Path) -> BTreeSet<PathBuf> {
        let mut starts = BTreeSet::new();
        for rule in self.rules.iter().filter(|rule| rule.includes) {
            let mut start = PathBuf::new();
            for step in &rule.steps {
                let Step::Name(name) = step else { break };
                // What lies behind a link to a directory is not meant.
                if root.join(&start).symlink_metadata().is_ok_and(|it| it.is_symlink())
                    && start != Path::new("")
                {
                    break;
                }
                start.push(name);
            }
            starts.insert(start);
        }
        let is_below_another = |path: &Path| path.ancestors().skip(1).any(|above| starts.contains(above));
        starts.iter().filter(|path| !is_below_another(path)).cloned().collect()
    }

    /// Whether a directory may hold files that are meant. The last glob that says something about it decides, as for
    /// files.
    fn enters(&self, directory: &Path) -> bool {
        let path = slashed(directory);
        for rule in self.rules.iter().rev() {
            if rule.includes && rule.leads_through(directory) {
                return true;
            }
            if !rule.includes && rule.covers(&path) {
                return false;
            }
        }
        false
    }
}

/// A directory of a walk.
struct GlobDirectory {
    /// Relative to the root, `/` between names and behind the last one; empty for the root.
    path: Vec<u8>,
    location: PathBuf,
}

/// What a directory holds.
#[derive(Default)]
struct Listing {
    /// Those that are meant.
    files: Vec<TreeFile>,
    /// Those that may hold more.
    directories: Vec<GlobDirectory>,
    /// What could not be read, and may hold more.
    unreadable: Vec<ReadError>,
}

impl TreeFiles {
    /// Adds what a directory holds, and returns the directories in it.
    fn take(&mut self, listing: Listing) -> Vec<GlobDirectory> {
        self.files.extend(listing.files);
        self.unreadable.extend(listing.unreadable);
        listing.directories
    }
}

/// A walk below a root.
struct GlobWalk<'a> {
    globs: &'a TreeGlob,
    root: &'a Path,
    /// Directories that are not entered, as a walk from the root meets them.
    without: &'a [PathBuf],
}

impl GlobWalk<'_> {
    /// What a walk begins with: a directory, a file, or nothing. The directories above it were not looked at.
    fn start(&self, start: &Path) -> Listing {
        let location = self.root.join(start);
        let mut listing = Listing::default();
        let is_users =
            !start.iter().any(is_private) && !self.without.iter().any(|path| location.starts_with(path));
        if !is_users {
            return listing;
        }
        match fs::symlink_metadata(&location) {
            Ok(found) if found.is_dir() => {
                if self.globs.enters(start) {
                    let mut path = slashed(start).into_owned();
                    if !path.is_empty() {
                        path.push(b'/');
                    }
                    listing.directories.push(GlobDirectory { path, location });
                }
            }
            Ok(found) => listing.files.extend(self.file(&slashed(start), found.file_type(), || location)),
            Err(error) => listing.unreadable.extend(unreadable(&location, error)),
        }
        listing
    }

    /// What lies in a directory.
    fn list(&self, directory: &GlobDirectory) -> Listing {
        let mut listing = Listing::default();
        let failed = |error| unreadable(&directory.location, error);
        let entries = match fs::read_dir(&directory.location) {
            Ok(entries) => entries,
            Err(error) => {
                listing.unreadable.extend(failed(error));
                return listing;
            }
        };
        let mut path = directory.path.clone();
        for entry in entries {
            let (entry, kind) = match entry.and_then(|entry| Ok((entry.file_type()?, entry))) {
                Ok((kind, entry)) => (entry, kind),
                Err(error) => {
                    listing.unreadable.extend(failed(error));
                    continue;
                }
            };
            let name = entry.file_name();
            if is_private(&name) {
                continue;
            }
            path.truncate(directory.path.len());
            path.extend_from_slice(name.as_encoded_bytes());
            // Names are compared first: a path is taken apart to be compared.
            let is_left_out = || {
                let mut named = self.without.iter().filter(|path| path.file_name() == Some(&name));
                named.any(|without| *without == entry.path())
            };
            if !kind.is_dir() {
                listing.files.extend(self.file(&path, kind, || entry.path()).filter(|_| !is_left_out()));
            } else if !is_left_out() {
                let location = entry.path();
                if location.strip_prefix(self.root).is_ok_and(|relative| self.globs.enters(relative)) {
                    listing.directories.push(GlobDirectory { path: [&path[..], b"/"].concat(), location });
                }
            }
        }
        listing
    }

    /// What a walk met other than a directory, where it is a file that is meant.
    fn file(&self, path: &[u8], kind: fs::FileType, location: impl FnOnce() -> PathBuf) -> Option<TreeFile> {
        if !(kind.is_file() || kind.is_symlink()) || !self.globs.matches_bytes(path) {
            return None;
        }
        let location = location();
        if kind.is_symlink() && location.is_dir() {
            return None;
        }
        let links = if kind.is_symlink() { Links::Followed } else { Links::Listed };
        Some(TreeFile { path: String::from_utf8_lossy(path).into_owned(), location, links })
    }
}

/// A directory that could not be read; nothing for one that is not there.
fn unreadable(path: &Path, error: io::Error) -> Option<ReadError> {
    let is_gone = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
    (!is_gone).then(|| ReadError::of(path)(error))
}

impl Rule {
    fn parse(glob: &str) -> Result<Self, Fault> {
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
        let includes = !glob.starts_with('!');
        // An exclusion of a directory excludes what is in it: `!build`, `!build/` and `!build/**` say the same.
        let bare = text.trim_end_matches("/**").trim_end_matches('/');
        let text = match (includes, text.ends_with('/')) {
            (false, _) if !bare.is_empty() => bare.to_owned(),
            (_, true) => format!("{text}**"),
            (_, false) => text.to_owned(),
        };
        let compile = |text: &str| {
            let mut builder = GlobBuilder::new(text);
            builder.literal_separator(true).backslash_escape(true).empty_alternates(true);
            builder.build()
        };
        let matcher = compile(&text)
            .and_then(|glob| GlobSet::builder().add(glob).build())
            .map_err(|error| not_a_glob(glob, error.kind()))?;
        let mut steps = Vec::new();
        for part in text.split('/') {
            // Braces may hold separators: `{a/b,c}`. What cannot stand alone may lead anywhere.
            let alone =
                if part == "**" || part.contains(['{', '}', '\\']) { None } else { compile(part).ok() };
            let alone = alone.map(|glob| glob.compile_matcher());
            match alone {
                Some(_) if !part.contains(['*', '?', '[', ']']) => steps.push(Step::Name(part.to_owned())),
                Some(matcher) => steps.push(Step::Glob(matcher)),
                None => {
                    steps.push(Step::Any);
                    break;
                }
            }
        }
        Ok(Rule { includes, matcher, steps })
    }

    /// Whether it speaks of this path: an exclusion speaks of all that lies below what it matches.
    fn covers(&self, path: &[u8]) -> bool {
        let matches = |path: &[u8]| self.matcher.is_match_candidate(&Candidate::from_bytes(path));
        let above =
            || path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| &path[..end]);
        matches(path) || (!self.includes && above().any(matches))
    }

    /// Whether it may match something below this directory.
    fn leads_through(&self, directory: &Path) -> bool {
        let mut steps = self.steps.iter();
        for name in directory {
            match steps.next() {
                Some(Step::Any) => return true,
                Some(Step::Name(step)) if name == step.as_str() => {}
                Some(Step::Glob(glob)) if glob.is_match(name) => {}
                _ => return false,
            }
        }
        steps.next().is_some()
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
fn slashed(relative: &Path) -> Cow<'_, [u8]> {
    if MAIN_SEPARATOR == '/' {
        return Cow::Borrowed(relative.as_os_str().as_encoded_bytes());
    }
    let names: Vec<&[u8]> = relative.iter().map(OsStr::as_encoded_bytes).collect();
    Cow::Owned(names.join(&b'/'))
}

#[cfg(test)]
mod tests {
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
                .files(root.path(), &[PathBuf::from("cache")], 2, &CancellationToken::new())
                .expect("a list")
                .files
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
            assert_eq!(glob.files(&alias, &without, 0, &CancellationToken::new()).expect("a list").files, []);
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
    fn what_excludes_a_directory_excludes_all_in_it() {
        for exclusion in ["!build", "!build/", "!build/**"] {
            check(
                &["**/*.o", exclusion, "build/keep.o"],
                &["a.o", "build/keep.o"],
                &["build/a.o", "build/x/a.o"],
            );
            check(&["build", "**/build.o", exclusion], &["x/build.o"], &["build"]);
        }
        check(&["**", "!**/build"], &["builds/x"], &["build/x", "a/build/x/y"]);
    }

    #[test]
    fn only_directories_that_can_lead_to_a_match_are_entered() {
        let enters = |globs: &[&str], yes: &[&str], no: &[&str]| {
            let glob = TreeGlob::new(globs).expect("globs");
            for (paths, expect) in [(yes, true), (no, false)] {
                for path in paths {
                    assert_eq!(glob.enters(Path::new(path)), expect, "{globs:?} enters {path}");
                }
            }
        };
        enters(&["a.lock", "x/*.lock"], &["", "x"], &["y", "x/z", "a.lock"]);
        enters(&["**/*.lock"], &["", "a/b/c"], &[]);
        enters(&["a*/b/**"], &["a1", "a1/b", "a1/b/c"], &["b", "a1/c"]);
        enters(&["{a/b,c}/x"], &["anything"], &[]);
        enters(&["**", "!pgdata"], &["", "x/pgdata"], &["pgdata", "pgdata/x"]);
        enters(&["**", "!pgdata", "pgdata/x/keep"], &["pgdata", "pgdata/x"], &["pgdata/y"]);
        enters(&["!a"], &[], &["", "b"]);
    }

    #[test]
    fn walks_begin_where_the_wildcards_do() {
        let root = tempfile::tempdir().expect("a directory");
        let starts = |globs: &[&str]| -> Vec<PathBuf> {
            TreeGlob::new(globs).expect("globs").starts(root.path()).into_iter().collect()
        };
        assert_eq!(starts(&["a/b/*.lock", "c.lock"]), [Path::new("a/b"), Path::new("c.lock")]);
        assert_eq!(starts(&["a/b/*.lock", "a/**"]), [Path::new("a")]);
        assert_eq!(starts(&["a/b/*.lock", "*"]), [Path::new("")]);
        assert_eq!(starts(&["!a"]), Vec::<PathBuf>::new());
    }

    #[test]
    #[cfg(unix)]
    fn what_lies_behind_a_link_to_a_directory_is_not_found() {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join("real")).expect("a directory");
        fs::write(root.path().join("real/a.lock"), "").expect("a file");
        std::os::unix::fs::symlink("real", root.path().join("link")).expect("a link");
        for globs in [["link/a.lock"], ["link/*.lock"], ["link/**"], ["link"]] {
            let found =
                TreeGlob::new(&globs).expect("globs").files(root.path(), &[], 2, &CancellationToken::new());
            assert_eq!(found.expect("a list").files, [], "{globs:?}");
        }
    }

    /// Root can read every directory; a name that no file system takes fails for anyone, and is not found on Windows.
    #[cfg(unix)]
    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_is_found() {
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("a.lock"), "").expect("a file");
        let globs =
            TreeGlob::new(&["a.lock".to_owned(), "x".repeat(5000), "gone/b.lock".to_owned()]).expect("globs");
        let found = globs.files(root.path(), &[], 2, &CancellationToken::new()).expect("a list");
        assert_eq!(found.files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a.lock"]);
        assert_eq!(found.unreadable.len(), 1, "{:?}", found.unreadable);
        assert!(found.unreadable[0].to_string().starts_with("cannot read `"));
    }

    #[test]
    fn a_root_that_is_not_there_is_an_error() {
        let error = TreeGlob::new(&["**"])
            .expect("a glob")
            .files(Path::new("/nowhere/at/all"), &[], 0, &CancellationToken::new())
            .expect_err("no root");
        assert!(error.to_string().starts_with("cannot read `/nowhere/at/all`: "), "{error}");
    }
}
