//! Facts from git about a checkout, for platforms that do not provide them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::env::secret_names;
use crate::domain::repository::{RepositoryId, path_of_remote};

/// The refs and the commit of a checkout; `None` where git reports nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkout {
    /// The current branch, as a full ref.
    pub branch: Option<String>,
    /// The default branch of `origin`, as a full ref; `refs/heads/main` if `origin/HEAD` is not set.
    pub default_branch: Option<String>,
    /// The commit hash.
    pub sha: Option<String>,
    /// The repository.
    pub repository: Option<RepositoryId>,
}

/// A command of git in a directory that only asks: its messages are in English, it waits for no lock, and it is given no
/// secrets, since the configuration of a checkout can name programs that git starts.
#[expect(clippy::disallowed_methods, reason = "runs git for facts that the platform does not provide")]
pub(crate) fn command(directory: &Path) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(directory).env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0").stdin(Stdio::null());
    secret_names().for_each(|name| {
        git.env_remove(name);
    });
    git
}

/// A question that git is answering.
struct RunningGit(Option<Child>);

impl RunningGit {
    /// What it printed; `None` if it failed or printed nothing.
    fn answer(self) -> Option<String> {
        let output = self.0?.wait_with_output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    }
}

/// Starts git in a checkout. A start takes longer than the answer, so questions that do not depend on each other are asked at once.
fn ask(workspace: &Path, arguments: &[&str]) -> RunningGit {
    RunningGit(command(workspace).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok())
}

/// What git prints in a checkout; `None` if it fails or prints nothing.
fn git(workspace: &Path, arguments: &[&str]) -> Option<String> {
    ask(workspace, arguments).answer()
}

/// Whether the workspace lies in a checkout, also in one that git refuses to read for its owner.
#[expect(clippy::disallowed_methods, reason = "git does not tell what it refuses to read")]
pub(crate) fn is_in_checkout(workspace: &Path) -> bool {
    workspace.ancestors().any(|directory| std::fs::symlink_metadata(directory.join(".git")).is_ok())
}

/// The repository of a checkout: that of its remote `origin`, or of its first remote if there is no `origin`. A remote
/// that is a directory stands for itself. Without a remote it is the checkout, with all its worktrees; without git it
/// is the workspace.
pub(crate) fn repository_of(workspace: &Path) -> RepositoryId {
    let remotes = ask(workspace, &LIST_REMOTES);
    let common_directory = git(workspace, &COMMON_DIRECTORY);
    repository_from(workspace, remotes, common_directory.as_deref())
}

const LIST_REMOTES: [&str; 2] = ["remote", "--verbose"];
const COMMON_DIRECTORY: [&str; 2] = ["rev-parse", "--git-common-dir"];

/// The repository by the list of its remotes, `NAME<tab>URL (fetch)` for each, sorted by name.
fn repository_from(workspace: &Path, remotes: RunningGit, common_directory: Option<&str>) -> RepositoryId {
    let listed = remotes.answer().unwrap_or_default();
    let remotes = || listed.lines().filter_map(|line| line.split_once('\t'));
    let remote = remotes().find(|(name, _)| *name == "origin").or_else(|| remotes().next());
    let url = remote.and_then(|(_, rest)| Some(rest.rsplit_once(" (")?.0));
    if let Some(repository) = url.and_then(RepositoryId::from_url) {
        return repository;
    }
    let directory = match url.and_then(path_of_remote) {
        Some(path) => top_of_checkout(workspace).join(path),
        None => match common_directory {
            Some(path) => workspace.join(path),
            None => workspace.to_owned(),
        },
    };
    RepositoryId::local(&canonical(&directory).to_string_lossy())
}

/// The directory that git takes relative addresses of remotes from.
fn top_of_checkout(workspace: &Path) -> PathBuf {
    git(workspace, &["rev-parse", "--show-toplevel"]).map_or_else(|| workspace.to_owned(), PathBuf::from)
}

/// The path without links; as it is if it does not exist.
#[expect(clippy::disallowed_methods, reason = "one directory is one repository, whichever path names it")]
fn canonical(directory: &Path) -> PathBuf {
    std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned())
}

impl Checkout {
    /// Runs git. All facts are `None` outside of a checkout or if git is not installed.
    pub(crate) fn read(workspace: &Path) -> Self {
        let git = |arguments: &[&str]| git(workspace, arguments);
        let is_refused = || git(&["rev-parse", "--git-dir"]).is_none();
        // There is hardly a checkout, so git is only asked whether there is one.
        if !is_in_checkout(workspace) && is_refused() {
            return Checkout::default();
        }
        let remotes = ask(workspace, &LIST_REMOTES);
        let origin_head = ask(workspace, &["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"]);
        // Whatever a usual checkout has.
        let usual = git(&["rev-parse", "--git-common-dir", "HEAD", "--symbolic-full-name", "HEAD"]);
        let usual: Option<[&str; 3]> =
            usual.as_deref().and_then(|answer| answer.rsplitn(3, '\n').collect::<Vec<_>>().try_into().ok());
        let (common_directory, sha, branch) = match usual {
            Some([branch, sha, common_directory]) => {
                let branch = (branch != "HEAD").then(|| branch.to_owned());
                (Some(common_directory.to_owned()), Some(sha.to_owned()), branch)
            }
            None if is_refused() => {
                origin_head.answer();
                remotes.answer();
                return Checkout::default();
            }
            // Without a commit `HEAD` names none.
            None => (git(&COMMON_DIRECTORY), None, git(&["symbolic-ref", "--quiet", "HEAD"])),
        };
        let origin_head = origin_head
            .answer()
            .and_then(|name| Some(format!("refs/heads/{}", name.strip_prefix("refs/remotes/origin/")?)));
        let default_branch = Some(origin_head.unwrap_or_else(|| "refs/heads/main".to_owned()));
        let repository = repository_from(workspace, remotes, common_directory.as_deref());
        Checkout { branch, default_branch, sha, repository: Some(repository) }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the tests make checkouts")]
mod tests {
    use super::*;
    use cachekeep_test_support::project::file_url;

    /// A checkout with these remotes.
    fn checkout(place: &Path, name: &str, remotes: &[(&str, &str)]) -> PathBuf {
        let directory = place.join(name);
        std::fs::create_dir_all(&directory).expect("a directory");
        // Git's own answers differ: some print nothing on success.
        let run = |arguments: &[&str]| drop(git(&directory, arguments));
        run(&["init", "--quiet"]);
        for (remote, url) in remotes {
            run(&["remote", "add", remote, url]);
        }
        directory
    }

    #[test]
    fn the_branch_and_commit_of_each_state_of_a_checkout_are_known() {
        let place = tempfile::tempdir().expect("a place");
        let source = checkout(place.path(), "source", &[]);
        let run = |directory: &Path, arguments: &[&str]| {
            let author = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
            let done = command(directory).args(author).args(arguments).output().expect("git starts");
            assert!(done.status.success(), "{arguments:?}: {done:?}");
        };
        let read = |directory: &Path| {
            let found = Checkout::read(directory);
            let is_commit = found.sha.as_ref().is_some_and(|sha| sha.len() == 40);
            (found.branch, found.default_branch, is_commit)
        };
        let name = |name: &str| Some(format!("refs/heads/{name}"));
        run(&source, &["symbolic-ref", "HEAD", "refs/heads/trunk"]);
        assert_eq!(read(&source), (name("trunk"), name("main"), false));
        run(&source, &["commit", "--quiet", "--allow-empty", "-m", "c"]);
        assert_eq!(read(&source), (name("trunk"), name("main"), true));
        run(place.path(), &["clone", "--quiet", "source", "clone"]);
        let clone = place.path().join("clone");
        run(&clone, &["checkout", "--quiet", "-b", "side/x"]);
        assert_eq!(read(&clone), (name("side/x"), name("trunk"), true));
        run(&clone, &["checkout", "--quiet", "--detach"]);
        assert_eq!(read(&clone), (None, name("trunk"), true));
        // The default branch was renamed since.
        run(&clone, &["update-ref", "-d", "refs/remotes/origin/trunk"]);
        assert_eq!(read(&clone), (None, name("trunk"), true));
        assert_eq!(Checkout::read(place.path()), Checkout::default());
    }

    #[test]
    fn origin_counts_then_the_first_remote() {
        let place = tempfile::tempdir().expect("a place");
        let (fork, base) = ("git@git.example:me/tool.git", "https://git.example/them/tool");
        for (name, remotes, expect) in [
            ("one", &[("upstream", base), ("origin", fork)][..], "git.example/me/tool"),
            ("two", &[("upstream", base)], "git.example/them/tool"),
            ("three", &[("a", base), ("b", fork)], "git.example/them/tool"),
        ] {
            assert_eq!(repository_of(&checkout(place.path(), name, remotes)).as_str(), expect);
        }
    }

    #[test]
    fn a_directory_of_a_checkout_belongs_to_its_repository() {
        let place = tempfile::tempdir().expect("a place");
        let top = checkout(place.path(), "top", &[]);
        let below = top.join("a/b");
        std::fs::create_dir_all(&below).expect("a directory");
        assert_eq!(repository_of(&below), repository_of(&top));
        assert_ne!(repository_of(&checkout(place.path(), "other", &[])), repository_of(&top));
        // A checkout in a checkout is another one.
        assert_ne!(repository_of(&checkout(&top, "inner", &[])), repository_of(&top));
    }

    #[test]
    fn clones_of_a_directory_share_and_directories_without_git_do_not() {
        let place = tempfile::tempdir().expect("a place");
        let source = checkout(place.path(), "source", &[]);
        let url = file_url(&source);
        let one = checkout(place.path(), "one", &[("origin", "../source")]);
        let two = checkout(place.path(), "two", &[("origin", source.to_str().expect("text"))]);
        let three = checkout(place.path(), "three", &[("origin", url.as_str())]);
        std::fs::create_dir_all(one.join("below")).expect("a directory");
        for clone in [&two, &three, &one.join("below")] {
            assert_eq!(repository_of(clone), repository_of(&one));
        }
        let plain = ["plain", "other"].map(|name| place.path().join(name));
        for directory in &plain {
            std::fs::create_dir(directory).expect("a directory");
        }
        assert_ne!(repository_of(&plain[0]), repository_of(&plain[1]));
        assert!(repository_of(&plain[0]).as_str().starts_with("local/"));
    }
}
