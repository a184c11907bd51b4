//! Blob ids from git's index, for `{git:GLOBS}`: what is checked in under the globs, with no file read.
//!
//! `git` is asked, not its files: sparse, split and SHA-256 indexes are its own matter. Names do not count, so a
//! rename changes nothing; an unmerged path counts with the ids of all its sides, a submodule with its commit.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;

use super::globs::TreeGlob;
use crate::domain::digest::Sha256Digest;
use crate::domain::fault::Fault;
use crate::fs::cancel;
use crate::platform::git;
use crate::threads::start;

/// Raised when the digest changes its meaning.
const LAYOUT: &str = "cachekeep-git-1";

/// The mode of a submodule.
const SUBMODULE: &str = "160000";

/// No message of git is longer than this that anyone would read.
const MAX_MESSAGE: u64 = 64 * 1024;

/// What the index holds under the globs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GitDigest {
    /// The digest; nothing where no path matched.
    pub digest: Option<Sha256Digest>,
    /// Each path relative to the workspace with its id, in git's order; an unmerged path comes several times.
    pub blobs: Vec<(String, String)>,
}

fn not_run(error: &io::Error) -> Fault {
    Fault::environment(format!("git could not be run: {error}"))
        .with_hint("install git, or use {files:…}, which reads the files".to_owned())
}

fn unreadable(error: &io::Error) -> Fault {
    Fault::environment(format!("the answer of `git ls-files` could not be read: {error}"))
}

fn not_an_entry(record: &[u8]) -> Fault {
    let record = String::from_utf8_lossy(record);
    Fault::environment(format!("`git ls-files` printed `{record}`, which is not an index entry"))
}

/// Digests the ids of what the index of the workspace's repository holds under the globs. The globs are
/// relative to the workspace, which may be a directory within the repository.
pub(crate) fn git_digest(
    workspace: &Path,
    globs: &TreeGlob,
    cancel: &CancellationToken,
) -> Result<GitDigest, Fault> {
    let mut git = git::command(workspace);
    git.args(["ls-files", "--stage", "-z"]);
    let listener = Listener::start();
    git.stdout(Stdio::piped()).stderr(listener.stderr());
    let mut child = git.spawn().map_err(|error| not_run(&error))?;
    let blobs = read_entries(&mut child, listener, globs, cancel);
    if blobs.is_err() {
        // It may be gone already; that is fine.
        let _ = child.kill();
    }
    let message = blobs.as_ref().map(|(_, message)| message.trim().to_owned()).unwrap_or_default();
    let status = child.wait().map_err(|error| unreadable(&error))?;
    let (blobs, _) = blobs?;
    if !status.success() {
        return Err(failure(workspace, &status.to_string(), &message));
    }
    let ids: BTreeSet<&str> = blobs.iter().map(|(_, id)| id.as_str()).collect();
    let digest = (!ids.is_empty()).then(|| Sha256Digest::of_lines(std::iter::once(LAYOUT).chain(ids)));
    Ok(GitDigest { digest, blobs })
}

fn failure(workspace: &Path, status: &str, message: &str) -> Fault {
    let workspace = workspace.display();
    if message.contains("dubious ownership") {
        let cure = message.lines().map(str::trim).find(|line| line.starts_with("git config"));
        let cure = cure
            .map_or_else(|| format!("git config --global --add safe.directory {workspace}"), str::to_owned);
        Fault::environment(format!("{workspace}: git refuses a repository of another owner: {message}"))
            .with_hint(cure)
    } else if message.contains("not a git repository") {
        Fault::environment(format!("{workspace}: not in a git repository"))
            .with_hint("use {files:…}, which reads the files, where there is no checkout".to_owned())
    } else {
        Fault::environment(format!("{workspace}: `git ls-files` failed ({status}): {message}"))
    }
}

/// The entries that the globs mean, and what git said besides.
fn read_entries(
    child: &mut Child,
    listener: Listener,
    globs: &TreeGlob,
    cancel: &CancellationToken,
) -> Result<(Vec<(String, String)>, String), Fault> {
    let stdout = child.stdout.take().ok_or_else(|| unreadable(&io::Error::other("no pipe")))?;
    let listening = listener.listen(child.stderr.take());
    let mut answer = BufReader::new(stdout);
    let mut blobs = Vec::new();
    let mut record = Vec::new();
    while answer.read_until(0, &mut record).map_err(|error| unreadable(&error))? > 0 {
        cancel::check(cancel)?;
        if record.last() == Some(&0) {
            record.pop();
        }
        let entry = IndexEntry::parse(&record).ok_or_else(|| not_an_entry(&record))?;
        if entry.is_meant(globs) {
            blobs.push((String::from_utf8_lossy(entry.path).into_owned(), entry.id.to_owned()));
        }
        record.clear();
    }
    Ok((blobs, listening.message()))
}

/// Takes git's messages while its answer is read, so that a talkative git does not block.
enum Listener {
    /// A thread that reads the pipe once it is there.
    Thread(Sender<ChildStderr>, JoinHandle<String>),
    /// A file, where no thread can be had.
    File(File),
    /// Messages are lost.
    Deaf,
}

impl Listener {
    fn start() -> Self {
        let (hand_over, handed) = mpsc::channel::<ChildStderr>();
        let read = move || handed.recv().map(|mut stderr| message_of(&mut stderr)).unwrap_or_default();
        match start::detached("git", read) {
            Ok(thread) => Listener::Thread(hand_over, thread),
            Err(_) => tempfile::tempfile().map_or(Listener::Deaf, Listener::File),
        }
    }

    /// What git writes its messages to.
    fn stderr(&self) -> Stdio {
        match self {
            Listener::Thread(..) => Stdio::piped(),
            Listener::File(file) => file.try_clone().map_or_else(|_| Stdio::null(), Stdio::from),
            Listener::Deaf => Stdio::null(),
        }
    }

    /// Begins to read the pipe, if there is one.
    fn listen(self, pipe: Option<ChildStderr>) -> Listening {
        match (self, pipe) {
            (Listener::Thread(hand_over, thread), Some(pipe)) => {
                // It fails only if the thread is gone.
                let _ = hand_over.send(pipe);
                Listening::Thread(thread)
            }
            (Listener::File(file), _) => Listening::File(file),
            _ => Listening::Deaf,
        }
    }
}

/// Messages that are being taken.
enum Listening {
    Thread(JoinHandle<String>),
    File(File),
    Deaf,
}

impl Listening {
    /// What git said, once it has closed its answer.
    fn message(self) -> String {
        match self {
            Listening::Thread(thread) => thread.join().unwrap_or_default(),
            Listening::File(mut file) => file.rewind().map(|()| message_of(&mut file)).unwrap_or_default(),
            Listening::Deaf => String::new(),
        }
    }
}

/// The beginning of what a reader gives, which is read to its end.
fn message_of(reader: &mut dyn Read) -> String {
    let mut message = Vec::new();
    let _ = reader.take(MAX_MESSAGE).read_to_end(&mut message);
    let _ = io::copy(reader, &mut io::sink());
    String::from_utf8_lossy(&message).into_owned()
}

/// `<mode> <id> <stage>\t<path>`.
struct IndexEntry<'a> {
    mode: &'a str,
    id: &'a str,
    path: &'a [u8],
}

impl<'a> IndexEntry<'a> {
    fn parse(record: &'a [u8]) -> Option<Self> {
        let tab = record.iter().position(|byte| *byte == b'\t')?;
        let mut fields = std::str::from_utf8(&record[..tab]).ok()?.split(' ');
        let (mode, id, _stage) = (fields.next()?, fields.next()?, fields.next()?);
        let is_id = matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then_some(IndexEntry { mode, id, path: &record[tab + 1..] })
    }

    /// A submodule stands for what lies in it, too.
    fn is_meant(&self, globs: &TreeGlob) -> bool {
        globs.matches_bytes(self.path)
            || (self.mode == SUBMODULE && globs.matches_bytes(&[self.path, b"/."].concat()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn git(at: &Path, arguments: &[&str]) -> String {
        let output = std::process::Command::new("git")
            .arg("-C")
            .arg(at)
            .args(["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "protocol.file.allow=always"])
            .args(arguments)
            .output()
            .expect("git runs");
        assert!(
            output.status.success() || arguments[0] == "merge",
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn repository(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        git(root.path(), &["init", "--quiet", "--initial-branch=main"]);
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            fs::write(path, content).expect("a file");
        }
        git(root.path(), &["add", "."]);
        git(root.path(), &["commit", "--quiet", "--allow-empty", "-m", "x"]);
        root
    }

    fn digest(workspace: &Path, globs: &[&str]) -> Result<GitDigest, Fault> {
        git_digest(workspace, &TreeGlob::new(globs).expect("globs"), &CancellationToken::new())
    }

    #[test]
    fn ids_come_from_the_index_and_names_do_not_count() {
        let root = repository(&[("a.cid", "1"), ("x/b.cid", "2"), ("c.txt", "3")]);
        let reference = digest(root.path(), &["**/*.cid"]).expect("a digest");
        assert_eq!(
            reference.blobs.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(),
            ["a.cid", "x/b.cid"]
        );
        assert_eq!(reference.blobs[0].1, git(root.path(), &["rev-parse", "HEAD:a.cid"]));
        // Nothing is read from the tree.
        fs::write(root.path().join("a.cid"), "changed and not added").expect("a file");
        assert_eq!(digest(root.path(), &["**/*.cid"]).expect("a digest"), reference);
        git(root.path(), &["checkout", "--quiet", "a.cid"]);
        git(root.path(), &["mv", "a.cid", "x/ü b.cid"]);
        assert_eq!(digest(root.path(), &["**/*.cid"]).expect("a digest").digest, reference.digest);
        git(root.path(), &["rm", "--quiet", "-f", "x/b.cid"]);
        assert_ne!(digest(root.path(), &["**/*.cid"]).expect("a digest").digest, reference.digest);
    }

    #[test]
    fn globs_are_relative_to_a_workspace_within_the_repository() {
        let root = repository(&[("top.cid", "1"), ("sub/b.cid", "2"), ("sub/c/d.cid", "3")]);
        let found = digest(&root.path().join("sub"), &["*.cid"]).expect("a digest");
        assert_eq!(found.blobs.len(), 1);
        assert_eq!(found.blobs[0].0, "b.cid");
    }

    #[test]
    fn no_match_is_no_digest() {
        let root = repository(&[("a", "1")]);
        assert_eq!(
            digest(root.path(), &["b"]).expect("nothing"),
            GitDigest { digest: None, blobs: Vec::new() }
        );
    }

    #[test]
    fn an_unmerged_path_counts_with_all_its_sides() {
        let root = repository(&[("a", "base\n")]);
        git(root.path(), &["checkout", "--quiet", "-b", "other"]);
        fs::write(root.path().join("a"), "theirs\n").expect("a file");
        git(root.path(), &["commit", "--quiet", "-am", "x"]);
        git(root.path(), &["checkout", "--quiet", "main"]);
        fs::write(root.path().join("a"), "ours\n").expect("a file");
        git(root.path(), &["commit", "--quiet", "-am", "x"]);
        git(root.path(), &["merge", "--quiet", "other"]);
        assert_eq!(digest(root.path(), &["a"]).expect("a digest").blobs.len(), 3);
    }

    #[test]
    fn a_submodule_counts_with_its_commit() {
        let inner = repository(&[("x", "1")]);
        let root = repository(&[("a", "1")]);
        let url = inner.path().to_str().expect("Unicode");
        git(root.path(), &["submodule", "--quiet", "add", url, "deps/inner"]);
        let commit = git(inner.path(), &["rev-parse", "HEAD"]);
        for glob in ["deps/*", "deps/**", "deps/inner/**"] {
            let found = digest(root.path(), &[glob]).expect("a digest");
            assert_eq!(found.blobs, [("deps/inner".to_owned(), commit.clone())], "{glob}");
        }
    }

    #[test]
    fn a_link_counts_with_its_text_and_sparse_checkouts_with_all() {
        let root = repository(&[("in/a", "1"), ("out/b", "2")]);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("a", root.path().join("in/link")).expect("a link");
            git(root.path(), &["add", "."]);
            git(root.path(), &["commit", "--quiet", "-m", "x"]);
        }
        let reference = digest(root.path(), &["**"]).expect("a digest");
        git(root.path(), &["sparse-checkout", "set", "--cone", "--sparse-index", "in"]);
        assert!(!root.path().join("out").exists());
        assert_eq!(digest(root.path(), &["**"]).expect("a digest"), reference);
    }

    #[test]
    fn outside_of_a_repository_the_error_says_so() {
        let root = tempfile::tempdir().expect("a directory");
        let error = digest(root.path(), &["**"]).expect_err("no repository");
        assert!(error.to_string().ends_with(": not in a git repository"), "{error}");
        assert!(error.hint().expect("a hint").contains("{files:"));
    }

    #[test]
    fn gits_messages_are_told_apart() {
        let dubious = "fatal: detected dubious ownership in repository at '/w'\nTo add an exception, call:\n\n\
                       \tgit config --global --add safe.directory /w";
        let error = failure(Path::new("/w/sub"), "exit status: 128", dubious);
        assert_eq!(error.hint().as_deref(), Some("git config --global --add safe.directory /w"));
        let error = failure(Path::new("/w"), "exit status: 1", "fatal: index file corrupt");
        assert_eq!(
            error.to_string(),
            "/w: `git ls-files` failed (exit status: 1): fatal: index file corrupt"
        );
    }

    #[test]
    fn entries_are_read_to_the_letter() {
        let id = "a".repeat(40);
        let record = format!("100644 {id} 0\tdir/a\tb");
        assert_eq!(IndexEntry::parse(record.as_bytes()).expect("an entry").path, b"dir/a\tb");
        for record in ["", "100644", "100644 abc 0\tx", "\tx"] {
            assert!(IndexEntry::parse(record.as_bytes()).is_none(), "{record:?}");
        }
    }
}
