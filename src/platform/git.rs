//! What git knows of a checkout, for machines without a platform that tells.

use std::path::Path;
use std::process::{Command, Stdio};

/// The refs and the commit of a checkout; absent where git does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkout {
    /// The branch that is checked out, as a full ref.
    pub branch: Option<String>,
    /// The default branch of `origin`, as a full ref; `refs/heads/main` where `origin` does not tell.
    pub default_branch: Option<String>,
    /// The commit.
    pub sha: Option<String>,
}

impl Checkout {
    #[expect(clippy::disallowed_methods, reason = "git is asked for what the platform does not tell")]
    /// Asks git. A folder that is no checkout, or a machine without git, knows nothing.
    pub fn read(workspace: &Path) -> Self {
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
