//! Which files of a checkout git tracks: work that a cache must never replace.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio_util::sync::CancellationToken;

use crate::domain::fault::Fault;
use crate::fs::cancel;
use crate::platform::git;

/// The name of what makes a directory a checkout.
const GIT: &str = ".git";

/// What git tracks below a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tracked {
    /// It is not in a checkout.
    NoCheckout,
    /// These files and links, relative to the directory.
    Files(BTreeSet<PathBuf>),
    /// It is in a checkout, but git cannot be asked, for this reason.
    Unknown(String),
}

/// Asks git what it tracks below `directory`, in the checkout that the workspace belongs to. Links in both paths are resolved.
pub(crate) fn tracked_below(
    workspace: &Path,
    directory: &Path,
    cancel: &CancellationToken,
) -> Result<Tracked, Fault> {
    let is_top = |above: &&Path| above.join(GIT).symlink_metadata().is_ok();
    let Some(top) = workspace.ancestors().find(is_top) else { return Ok(Tracked::NoCheckout) };
    let mut git = git::command(top);
    git.args(["--literal-pathspecs", "ls-files", "-z", "--cached", "--recurse-submodules"]);
    match directory.strip_prefix(top) {
        Ok(below) if below.as_os_str().is_empty() => {}
        Ok(below) => {
            git.arg("--").arg(below);
        }
        Err(_) if top.starts_with(directory) => {}
        Err(_) => return Ok(Tracked::NoCheckout),
    }
    git.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = match git.spawn() {
        Ok(child) => child,
        Err(error) => return Ok(Tracked::Unknown(format!("git could not be run: {error}"))),
    };
    let files = match child.stdout.take() {
        Some(answer) => read_names(BufReader::new(answer), top, directory, cancel),
        None => Ok(None),
    };
    if files.is_err() {
        // It may be gone already; that is fine.
        let _ = child.kill();
    }
    let status = child.wait();
    Ok(match (files?, status) {
        (Some(files), Ok(status)) if status.success() => Tracked::Files(files),
        (_, Ok(status)) => Tracked::Unknown(format!("`git ls-files` failed ({status})")),
        (_, Err(error)) => {
            Tracked::Unknown(format!("the answer of `git ls-files` could not be read: {error}"))
        }
    })
}

/// The names that git printed, relative to the directory. `None` if they could not be read to the end.
fn read_names(
    mut answer: impl BufRead,
    top: &Path,
    directory: &Path,
    cancel: &CancellationToken,
) -> Result<Option<BTreeSet<PathBuf>>, Fault> {
    let mut files = BTreeSet::new();
    let mut name = Vec::new();
    loop {
        cancel::check(cancel)?;
        match answer.read_until(0, &mut name) {
            Ok(0) => return Ok(Some(files)),
            Ok(_) => {}
            Err(_) => return Ok(None),
        }
        if name.last() == Some(&0) {
            name.pop();
        }
        let path = top.join(path_of(&name));
        files.extend(path.strip_prefix(directory).map(Path::to_owned));
        name.clear();
    }
}

#[cfg(unix)]
fn path_of(name: &[u8]) -> PathBuf {
    <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name).into()
}

#[cfg(not(unix))]
fn path_of(name: &[u8]) -> PathBuf {
    String::from_utf8_lossy(name).replace('/', "\\").into()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn git(at: &Path, arguments: &[&str]) {
        let done =
            std::process::Command::new("git").arg("-C").arg(at).args(arguments).output().expect("git runs");
        assert!(done.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn checkout(names: &[&str]) -> tempfile::TempDir {
        let place = tempfile::tempdir().expect("a place");
        for name in names {
            let path = place.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            std::fs::write(path, "x").expect("written");
        }
        git(place.path(), &["init", "-q"]);
        git(place.path(), &["add", "-A"]);
        place
    }

    fn names(tracked: Tracked) -> Vec<String> {
        let Tracked::Files(files) = tracked else { panic!("{tracked:?}") };
        files.iter().map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn names_are_relative_to_the_directory_below_and_above_the_workspace() {
        let place = checkout(&["ws/a", "ws/sub/b c", "ws/sub/ü\n*", "other/d"]);
        let place = place.path().canonicalize().expect("resolved");
        std::fs::write(place.join("ws/untracked"), "x").expect("written");
        let workspace = place.join("ws");
        let ask = |directory: &Path| {
            tracked_below(&workspace, directory, &CancellationToken::new()).expect("asked")
        };
        assert_eq!(names(ask(&workspace)), ["a", "sub/b c", "sub/ü\n*"]);
        assert_eq!(names(ask(&workspace.join("sub"))), ["b c", "ü\n*"]);
        assert_eq!(names(ask(&workspace.join("none"))), Vec::<String>::new());
        assert_eq!(names(ask(&place)), ["other/d", "ws/a", "ws/sub/b c", "ws/sub/ü\n*"]);
        assert_eq!(names(ask(&place.join("other"))), ["d"]);
        let above = place.parent().expect("a parent");
        let name = place.file_name().expect("a name").to_str().expect("text");
        assert_eq!(names(ask(above))[0], format!("{name}/other/d"));
        let elsewhere = tempfile::tempdir().expect("a place");
        assert_eq!(ask(elsewhere.path()), Tracked::NoCheckout, "it has nothing to do with the checkout");
    }

    #[test]
    fn without_a_repository_nothing_is_tracked_and_a_broken_one_is_unknown() {
        let place = tempfile::tempdir().expect("a place");
        let place = place.path().canonicalize().expect("resolved");
        let ask = || tracked_below(&place, &place, &CancellationToken::new()).expect("asked");
        assert_eq!(ask(), Tracked::NoCheckout);
        std::fs::write(place.join(".git"), "gitdir: nowhere").expect("written");
        assert!(matches!(ask(), Tracked::Unknown(_)), "{:?}", ask());
    }
}
