//! Facts from git about a checkout, for platforms that do not provide them.

use std::path::Path;
use std::process::{Command, Stdio};

/// The refs and the commit of a checkout; `None` where git reports nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Checkout {
    /// The current branch, as a full ref.
    pub branch: Option<String>,
    /// The default branch of `origin`, as a full ref; `refs/heads/main` if `origin/HEAD` is not set.
    pub default_branch: Option<String>,
    /// The commit hash.
    pub sha: Option<String>,
}

impl Checkout {
    #[expect(clippy::disallowed_methods, reason = "runs git for facts that the platform does not provide")]
    /// Runs git. All facts are `None` outside of a checkout or if git is not installed.
    pub(crate) fn read(workspace: &Path) -> Self {
        let ask = |arguments: &[&str]| {
            let output = Command::new("git")
                .arg("-C")
                .arg(workspace)
                .args(arguments)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output()
                .ok()?;
            let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
            (output.status.success() && !text.is_empty()).then_some(text)
        };
        if ask(&["rev-parse", "--git-dir"]).is_none() {
            return Checkout::default();
        }
        let origin_head = ask(&["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"])
            .and_then(|name| Some(format!("refs/heads/{}", name.strip_prefix("refs/remotes/origin/")?)));
        Checkout {
            branch: ask(&["symbolic-ref", "--quiet", "HEAD"]),
            default_branch: Some(origin_head.unwrap_or_else(|| "refs/heads/main".to_owned())),
            sha: ask(&["rev-parse", "--verify", "--quiet", "HEAD"]),
        }
    }
}
