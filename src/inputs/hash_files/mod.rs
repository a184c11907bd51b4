//! The digest that GitHub's `hashFiles` gives, for `{hash-files:GLOBS}`.
//!
//! Semantics are those of npm's `@actions/glob` 0.7.0, called as GitHub calls it: patterns in order, each a
//! pre-order depth-first walk with the names of a directory sorted by bytes; links to files are hashed, linked
//! directories skipped, a broken link that matches is an error. `tests/it/hash_files_peer.rs` compares the two.
//! What GitHub calls its option, `--follow-symbolic-links` as the first pattern, is understood too.

mod pattern;
mod segment;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use self::pattern::{Pattern, Roots};
use crate::domain::digest::Sha256Digest;
use crate::domain::fault::Fault;
use crate::fs::cancel;
use crate::fs::open::Links;
use crate::fs::read;
use crate::fs::read_error::ReadError;

/// The option that GitHub takes in front of the patterns.
const FOLLOW: &str = "--follow-symbolic-links";

/// Why a name is refused: GitHub hashes no such file.
const NOT_UNICODE: &str = "the name is not Unicode, so hash-files cannot give GitHub's digest";

/// Why a link is refused.
const BROKEN_LINK: &str = "the link leads nowhere, and hash-files needs what it points to";

/// The files that matched, in the order in which they count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedFiles {
    /// The digest; nothing where no file matched, as GitHub gives the empty string.
    pub digest: Option<Sha256Digest>,
    /// Each file, relative to the workspace with `/` between names, with the digest of its content.
    pub files: Vec<(String, Sha256Digest)>,
}

/// The refusal of what GitHub's `hashFiles` cannot digest either.
fn not_hashable(path: &Path, why: &str) -> Fault {
    Fault::environment(format!("{}: {why}", path.display()))
        .with_hint("exclude it with a `!` pattern, or use {files:…}".to_owned())
}

/// Hashes the files below the workspace that the patterns match.
///
/// `workspace` must be absolute; it is taken as it is written. `home` is what a leading `~` stands for.
pub fn hash_files(
    workspace: &Path,
    patterns: &[String],
    home: Option<&Path>,
    cancel: &CancellationToken,
) -> Result<HashedFiles, Fault> {
    if !workspace.is_absolute() {
        return Err(Fault::environment(format!(
            "{}: the workspace must be an absolute path",
            workspace.display()
        )));
    }
    let (follow, lines) = match patterns {
        [option, lines @ ..] if !lines.is_empty() && option.starts_with("--") => {
            if !option.eq_ignore_ascii_case(FOLLOW) {
                return Err(Fault::environment(format!(
                    "`{option}` is not an option of hash-files; the only one is `{FOLLOW}`"
                )));
            }
            (true, lines)
        }
        lines => (false, lines),
    };
    let patterns = pattern::parse_all(lines, &Roots { workspace, home })?;
    let mut walk = HashWalk {
        patterns: &patterns,
        workspace: pattern::components_of(workspace),
        follow,
        chain: Vec::new(),
        outer: Sha256::new(),
        files: Vec::new(),
        cancel,
    };
    for path in pattern::search_paths(&patterns) {
        walk.search(path)?;
    }
    let digest = (!walk.files.is_empty()).then(|| Sha256Digest(walk.outer.finalize().into()));
    Ok(HashedFiles { digest, files: walk.files })
}

struct HashWalk<'a> {
    patterns: &'a [Pattern],
    workspace: Vec<String>,
    follow: bool,
    /// Real paths of the directories above, to find circles of links.
    chain: Vec<PathBuf>,
    outer: Sha256,
    files: Vec<(String, Sha256Digest)>,
    cancel: &'a CancellationToken,
}

/// A path to visit. Many wait at once in a large directory, so it is kept small.
struct Visit {
    path: PathBuf,
    level: usize,
    unicode: bool,
}

impl HashWalk<'_> {
    fn search(&mut self, path: PathBuf) -> Result<(), Fault> {
        match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(ReadError::of(&path)(error).into()),
            Ok(_) => {}
        }
        let mut stack = vec![Visit { path, level: 1, unicode: true }];
        while let Some(item) = stack.pop() {
            cancel::check(self.cancel)?;
            self.visit(&item, &mut stack)?;
        }
        Ok(())
    }

    fn visit(&mut self, item: &Visit, stack: &mut Vec<Visit>) -> Result<(), Fault> {
        let names = pattern::components_of(&item.path);
        let found = pattern::match_all(self.patterns, &names);
        let matched = found.file || found.directory;
        if !(matched || pattern::may_match_below(self.patterns, &names)) || !self.is_near(&names) {
            return Ok(());
        }
        if !item.unicode {
            return Err(not_hashable(&item.path, NOT_UNICODE));
        }
        if self.is_directory(item)? {
            for child in children_of(item)?.into_iter().rev() {
                stack.push(child);
            }
        } else if found.file && names.len() > self.workspace.len() {
            self.hash(item, &names)?;
        }
        Ok(())
    }

    /// Whether the path lies in the workspace or above it: no other file counts.
    fn is_near(&self, names: &[String]) -> bool {
        names.iter().zip(&self.workspace).all(|(name, own)| name == own)
    }

    /// Whether to descend; a missing file and a circle of links are not directories.
    fn is_directory(&mut self, item: &Visit) -> Result<bool, Fault> {
        let failed = ReadError::of(&item.path);
        if !self.follow {
            return Ok(fs::symlink_metadata(&item.path).map_err(failed)?.is_dir());
        }
        match fs::metadata(&item.path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(failed(error).into()),
        }
        let real = fs::canonicalize(&item.path).map_err(failed)?;
        self.chain.truncate(item.level - 1);
        let circle = self.chain.contains(&real);
        if !circle {
            self.chain.push(real);
        }
        Ok(!circle)
    }

    fn hash(&mut self, item: &Visit, names: &[String]) -> Result<(), Fault> {
        let metadata = match fs::metadata(&item.path) {
            Ok(metadata) => metadata,
            // With links followed, the peer leaves broken ones out.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.follow => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(not_hashable(&item.path, BROKEN_LINK));
            }
            Err(error) => return Err(ReadError::of(&item.path)(error).into()),
        };
        if metadata.is_dir() {
            return Ok(());
        }
        if !metadata.is_file() {
            return Err(not_hashable(&item.path, "neither a file nor a directory"));
        }
        let digest = read::sha256_of_file(&item.path, Links::Followed, self.cancel)
            .map_err(ReadError::of(&item.path))?;
        self.outer.update(digest.0);
        self.files.push((names[self.workspace.len()..].join("/"), digest));
        Ok(())
    }
}

/// The names in a directory, sorted by bytes.
fn children_of(item: &Visit) -> Result<Vec<Visit>, Fault> {
    let failed = ReadError::of(&item.path);
    let mut names = Vec::new();
    for entry in fs::read_dir(&item.path).map_err(&failed)? {
        names.push(entry.map_err(&failed)?.file_name());
    }
    names.sort_unstable_by(|a, b| a.as_encoded_bytes().cmp(b.as_encoded_bytes()));
    let children = names.into_iter().map(|name| Visit {
        path: item.path.join(&name),
        level: item.level + 1,
        unicode: item.unicode && name.to_str().is_some(),
    });
    Ok(children.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::hint::Class;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(&path, file).expect("a file");
        }
        root
    }

    fn run(root: &Path, patterns: &[&str]) -> Result<HashedFiles, Fault> {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        hash_files(root, &patterns, None, &CancellationToken::new())
    }

    fn names(root: &Path, patterns: &[&str]) -> Vec<String> {
        run(root, patterns).expect("a digest").files.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn files_count_in_depth_first_order_of_names() {
        let root = tree(&["a.lock", "a/x", "a-x/y", "B", "é", ".dot"]);
        // By bytes, `a` comes before `a-x`, and that before `a.lock`; what is in `a` comes along.
        assert_eq!(names(root.path(), &["**"]), [".dot", "B", "a/x", "a-x/y", "a.lock", "é"]);
    }

    #[test]
    fn no_match_is_no_digest() {
        let root = tree(&["a"]);
        for patterns in [&["b"][..], &["!a"], &[], &["# a"], &["b/c"]] {
            assert_eq!(run(root.path(), patterns).expect("nothing").digest, None, "{patterns:?}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn broken_links_stop_the_work_unless_links_are_followed() {
        let root = tree(&["a"]);
        std::os::unix::fs::symlink("nowhere", root.path().join("b")).expect("a link");
        let failure = |patterns| run(root.path(), patterns).expect_err("refused").to_string();
        assert!(failure(&["**"]).ends_with(BROKEN_LINK));
        assert_eq!(names(root.path(), &["**", "!b"]), ["a"]);
        assert_eq!(names(root.path(), &[FOLLOW, "**"]), ["a"]);
        assert!(failure(&["--odd", "**"]).starts_with("`--odd` is not an option of hash-files"));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn names_that_are_not_unicode_are_refused_where_they_match() {
        use std::os::unix::ffi::OsStrExt as _;
        let root = tree(&["a"]);
        fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"x\xff")), "x").expect("a file");
        assert!(run(root.path(), &["*"]).expect_err("refused").to_string().ends_with(NOT_UNICODE));
        assert_eq!(names(root.path(), &["a*"]), ["a"]);
    }

    #[test]
    fn a_cancelled_walk_ends() {
        let root = tree(&["a"]);
        let cancel = CancellationToken::new();
        cancel.cancel();
        let result = hash_files(root.path(), &["**".to_owned()], None, &cancel);
        assert_eq!(result.expect_err("cancelled").class(), Class::Cancelled);
    }
}
