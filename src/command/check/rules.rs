//! The rules of `check` for pipelines and workflows, for the reference.

/// A rule, and what is wrong where it is broken.
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What is wrong.
    pub what: &'static str,
}

const fn rule(name: &'static str, what: &'static str) -> Rule {
    Rule { name, what }
}

/// Every rule, in the order of the reference.
pub const RULES: &[Rule] = &[
    rule("yaml", "the file is not YAML"),
    rule("links-without-file", "`[cache.NAME.links]` whose `files` match nothing in the checkout"),
    rule("malformed-link", "a file that `files` match and that is not a content link"),
    rule("key-without-file", "`{files:GLOBS}` in a key, where no file of the checkout matches"),
    rule(
        "frozen-key",
        "a key in the configuration that never changes, for a cache of a tool or with restore keys",
    ),
    rule("always-under-one-key", "`save = \"always\"` with a key that is the same in each run"),
    rule("github-unknown-input", "`with` has an input that the action does not have"),
    rule("github-wrong-value", "an input has a value that it cannot have"),
    rule("github-unknown-output", "an expression reads an output that the action does not have"),
    rule("github-unknown-step", "an expression reads outputs of a step that the job does not have"),
    rule("github-unknown-cache", "a step names a cache that is not declared"),
    rule("github-two-configurations", "`path` and `config` in one step"),
    rule("github-no-key", "`path` without `key`, or `key` without `path`"),
    rule(
        "github-missing-var",
        "the key of a cache needs `{var.NAME}`, and `vars` of the step does not set it",
    ),
    rule(
        "github-untrusted-input",
        "`role`, `allow-export`, `config`, `store` or `path` from text of a pull request or comment",
    ),
    rule("github-branch", "the action is used from a branch, which changes"),
    rule(
        "github-hash-files",
        "`hashFiles` in a key: it differs where lines end in another way, and is empty if no file matches",
    ),
    rule("github-machine-in-key", "a key with a path or name of the machine, which no other machine has"),
    rule("github-frozen-key", "a key that never changes, for a cache that does: it is saved once"),
    rule("github-unique-key", "a key of its own for each run or commit, without restore keys: it never hits"),
    rule("github-os-in-key", "a key without the OS in a job of several, for files that depend on it"),
    rule(
        "github-restore-key",
        "restore keys of which none begins the key, one with a wildcard, or the key itself",
    ),
    rule("github-restore-key-order", "a restore key after a shorter one that finds the same entries"),
    rule("github-untrusted-writer", "a privileged event, a checkout of the pull request, and a save"),
    rule("github-denied-save", "a save that the event, `cache-mode` or the cache's links never allow"),
    rule("github-no-id-token", "a store that is opened by an ID token, in a job without `id-token: write`"),
    rule("github-clean-permissions", "`mode: clean` or `delete` without the permissions that it needs"),
    rule("github-clean-token", "`mode: clean` or `delete` without `GITHUB_TOKEN` in the environment"),
    rule(
        "github-clean-of-forks",
        "`mode: clean` or `delete` on `pull_request`, where forks have no right to delete",
    ),
    rule("github-no-checkout", "a step that needs the checkout and stands before it"),
    rule("github-checkout-after", "a checkout after a restore, which removes what was restored"),
    rule("github-same-path", "two caches on one path in a job"),
    rule(
        "github-other-volume",
        "a cache in the home directory of a Windows runner, where actions/cache moves what is beside the workspace",
    ),
    rule("github-never-saved", "caches that a workflow restores, and that no workflow of the checkout saves"),
    rule("github-pair", "a restore and a save of one cache that differ in key or path"),
    rule("github-save-on-failure", "`save = \"always\"`, and a step that is skipped when the job has failed"),
    rule(
        "github-cache-hit",
        "`cache-hit` of a cache with links as a condition: a partial hit may hold everything",
    ),
    rule(
        "github-too-many-caches",
        "more than four caches in one step where actions/cache moves the archives",
    ),
    rule("github-over-budget", "size limits of all jobs of a matrix together above `[clean] budget`"),
    rule("azure-unknown-cache", "a step names a cache that is not declared"),
    rule("azure-no-program", "nothing says which cachekeep the job installs, or a release has no sums"),
    rule("azure-no-store", "`transport: native`, or the task, without a store"),
    rule("azure-nothing-to-clean", "`clean.yml` without a store"),
    rule("azure-unused-connection", "a service connection for a store that is not at `az://`"),
    rule("azure-too-many-caches", "more than four caches in one use with `Cache@2`"),
    rule(
        "azure-save-always",
        "`save = \"always\"` with `Cache@2`, which saves nothing after a job that failed",
    ),
    rule(
        "azure-restore-key",
        "a restore key that does not end in `-`, where `Cache@2` finds whole segments alone",
    ),
    rule("azure-format-of-others", "`format: files` beside other `Cache@2` in the job"),
    rule("azure-never-saved", "`restore.yml` without `save.yml` in the job"),
    rule("azure-never-restored", "`save.yml` of what no `restore.yml` prepared for `Cache@2`"),
    rule("azure-same-prefix", "two uses in one job with the same prefix"),
];
