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

/// What makes use of the configuration.
pub(super) const NEXT: [&str; 2] = [
    "here: `cachekeep run -- CMD` restores these caches, runs a command and saves them",
    "on GitHub Actions: a step with `uses: cachekeep/cachekeep@v1` and `with: { mode: install }`, and `shell: cachekeep run -- bash \
     -eo pipefail {0}` at the step that builds; README.md has the other CIs",
];

/// What a cache of a kind is, for who reads the file.
const ABOUT_KINDS: &str =
    "# A `kind` knows where a tool keeps its files and which key they need; `cachekeep key` prints it.\n";

/// A configuration with a cache for each tool whose lock file is at the top of the checkout.
pub(super) fn text(workspace: &Path) -> String {
    let mut text = HEADING.to_owned();
    let mut kinds: Vec<&str> = Vec::new();
    for (file, kind) in LOCK_FILES {
        if read::is_file(&workspace.join(file)) && !kinds.contains(&kind) {
            if kinds.is_empty() {
                text.push_str(ABOUT_KINDS);
            }
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
