//! A configuration for a repository whose workflows keep no cache yet.

use std::path::Path;

use super::draft::Draft;
use crate::fs::read;

/// Lock files at the top of a checkout, and the kind that keeps what they name.
const LOCK_FILES: [(&str, &str); 9] = [
    ("Cargo.lock", "cargo"),
    ("go.sum", "go"),
    ("package-lock.json", "npm"),
    ("pnpm-lock.yaml", "pnpm"),
    ("uv.lock", "uv"),
    ("requirements.txt", "pip"),
    ("build.gradle", "gradle"),
    ("build.gradle.kts", "gradle"),
    ("CMakeLists.txt", "ccache"),
];

/// What begins a new configuration.
pub(super) const HEADING: &str = "# The caches of this repository: https://github.com/cachekeep/cachekeep\n# `cachekeep check` reads this file and the workflows before they run.\n";

/// A configuration with a cache for each tool whose lock file is at the top of the checkout.
pub(super) fn text(workspace: &Path) -> String {
    let mut text = HEADING.to_owned();
    let mut kinds: Vec<&str> = Vec::new();
    for (file, kind) in LOCK_FILES {
        if read::is_file(&workspace.join(file)) && !kinds.contains(&kind) {
            kinds.push(kind);
            text.push('\n');
            text.push_str(&Draft { kind: Some(kind), ..Draft::default() }.toml(kind));
        }
    }
    if kinds.is_empty() {
        text.push_str("\n# [cache.deps]\n# path         = \"{workspace}/deps\"\n# key          = \"deps-{files:deps.lock}\"\n# restore-keys = [\"deps-\"]\n");
    }
    text
}
