//! Git's own directory is not a cache: it holds hooks that git runs, and credentials.

use std::path::Path;

use crate::command::context::Context;
use crate::domain::fault::Fault;
use crate::fs::link;

/// Refuses a root that is, or lies in, a `.git` of the checkout, whether by its name or through links.
pub(super) fn refuse(ctx: &Context<'_>, root: &Path) -> Result<(), Fault> {
    let is_inside = is_in_git(ctx.workspace, root)
        || match (link::resolved(ctx.workspace), link::resolved(root)) {
            (Some(workspace), Some(root)) => is_in_git(&workspace, &root),
            _ => false,
        };
    if !is_inside {
        return Ok(());
    }
    let message = format!("`{}` belongs to git, which runs programs that are named there", root.display());
    Err(Fault::usage(message).with_hint("write a directory outside of `.git`".to_owned()))
}

/// Whether a path has a component `.git` below the workspace. Letter case does not count: it does not on macOS and Windows.
fn is_in_git(workspace: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(workspace).into_iter().flat_map(Path::components);
    below.into_iter().any(|part| part.as_os_str().eq_ignore_ascii_case(".git"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_below_the_workspace_count() {
        let workspace = Path::new("/srv/.git/ws");
        for (path, expect) in [
            ("/srv/.git/ws/.git", true),
            ("/srv/.git/ws/.GIT/hooks", true),
            ("/srv/.git/ws/vendor/lib/.git/modules", true),
            ("/srv/.git/ws/.github", false),
            ("/srv/.git/ws/x.git", false),
            ("/srv/.git/ws", false),
            ("/srv/other/.git", false),
        ] {
            assert_eq!(is_in_git(workspace, Path::new(path)), expect, "{path}");
        }
    }
}
