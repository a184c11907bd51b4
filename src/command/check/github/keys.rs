//! Rules of keys that inputs of a step declare.

use super::scene::Scene;
use crate::command::check::problem::Problems;
use crate::command::pipelines::workflow::{Mode, Step};
use crate::command::pipelines::yaml::Value;

/// What differs from machine to machine.
const OF_MACHINES: [&str; 10] = [
    "runner.temp",
    "runner.tool_cache",
    "runner.name",
    "github.workspace",
    "{temp}",
    "{workspace}",
    "{home}",
    "{path}",
    "{env.HOME}",
    "{env.RUNNER_TEMP}",
];

/// What differs from run to run or from commit to commit.
const UNIQUE: [&str; 6] =
    ["github.run_id", "github.run_number", "github.sha", "{sha}", "{run-id}", "{run-attempt}"];

/// What changes with the checkout, besides what is in [`UNIQUE`].
const CHANGING: [&str; 12] = [
    "hashFiles(",
    "{files:",
    "{git:",
    "{hash-files:",
    "{links}",
    "{tool:",
    "{ref}",
    "github.ref",
    "github.head_ref",
    "steps.",
    "needs.",
    "inputs.",
];

/// Directories whose contents change with every build.
const CHANGED_BY_BUILDS: [&str; 9] =
    [".build", ".ccache", ".gradle", "_build", "build", "ccache", "sccache", "target", "DerivedData"];

/// Directories whose contents depend on the OS.
const OF_ONE_OS: [&str; 8] =
    [".venv", "ccache", ".ccache", "sccache", "node_modules", "target", "venv", "build"];

pub(super) fn check(scene: &Scene<'_>, problems: &mut Problems) {
    for step in scene.ours() {
        let Some(key) = step.input("key") else { continue };
        machine(&key, problems);
        if step.is(Mode::Save) && scene.before(step).any(|other| other.is(Mode::Restore)) {
            continue;
        }
        if !step.is_drop_in() {
            hash_files(&key, problems);
            systems(scene, step, &key, problems);
        }
        frozen(step, &key, problems);
        unique(step, &key, problems);
        restore_keys(step, &key, problems);
    }
}

fn has(text: &str, any: &[&str]) -> bool {
    any.iter().any(|part| text.contains(part))
}

/// Whether a path of the step ends in one of these directories.
fn is_for(step: &Step<'_>, directories: &[&str]) -> bool {
    step.lines("path").iter().any(|path| {
        path.trim_end_matches(['/', '*'])
            .rsplit(['/', '\\', ' '])
            .next()
            .is_some_and(|name| directories.contains(&name))
    })
}

fn machine(key: &Value<'_>, problems: &mut Problems) {
    let Some(part) = OF_MACHINES.iter().find(|part| key.text.contains(**part)) else { return };
    problems.warning(
        "github-machine-in-key",
        &key.place,
        format!("`{part}` differs on every OS and runner: entries of one never hit on another"),
        "remove it: entries do not depend on where the cache lies",
    );
}

fn hash_files(key: &Value<'_>, problems: &mut Problems) {
    if key.text.contains("hashFiles(") {
        problems.warning(
            "github-hash-files",
            &key.place,
            "`hashFiles` differs where a checkout has other line ends, and is empty if no file matches"
                .to_owned(),
            "write `{files:GLOBS}`, which is equal on every OS, such as `{files:**/package-lock.json}`",
        );
    }
}

fn frozen(step: &Step<'_>, key: &Value<'_>, problems: &mut Problems) {
    let is_changing = has(key.text, &CHANGING) || has(key.text, &UNIQUE) || key.text.contains("format(");
    if is_changing || step.input("restore-keys").is_none() && !is_for(step, &CHANGED_BY_BUILDS) {
        return;
    }
    problems.warning(
        "github-frozen-key",
        &key.place,
        "the key never changes, and an entry cannot be replaced: the first save is the last".to_owned(),
        "end the key with what changes, such as `{sha}` or `{files:…}`, and keep the rest as a restore key",
    );
}

fn unique(step: &Step<'_>, key: &Value<'_>, problems: &mut Problems) {
    if has(key.text, &UNIQUE) && step.is(Mode::Restore) && step.input("restore-keys").is_none() {
        problems.warning(
            "github-unique-key",
            &key.place,
            "every run has a key of its own, and nothing else is looked for: there is never a hit".to_owned(),
            "add the part before it to `restore-keys`",
        );
    }
}

fn systems(scene: &Scene<'_>, step: &Step<'_>, key: &Value<'_>, problems: &mut Problems) {
    let says_system = step.input("per-os").is_some_and(|value| value.text == "true")
        || has(key.text, &["{os}", "runner.os", "matrix.", "runner.arch"]);
    let systems = scene.job.systems();
    if systems.len() > 1 && !says_system && is_for(step, &OF_ONE_OS) {
        problems.warning(
            "github-os-in-key",
            &key.place,
            format!("the jobs run on {}, and all restore the same entries", systems.join(", ")),
            "put `{os}` into the key and the restore keys: these files depend on the OS",
        );
    }
}

fn restore_keys(step: &Step<'_>, key: &Value<'_>, problems: &mut Problems) {
    let prefixes = step.lines("restore-keys");
    let place = step.place_of("restore-keys");
    for (at, prefix) in prefixes.iter().enumerate() {
        if prefix.contains('*') && !prefix.contains("{{") && !prefix.contains(":*") {
            let message = format!("the restore key `{prefix}` has a `*`, which stands for itself");
            let hint = "remove it: a restore key finds every key that begins with it";
            problems.warning("github-restore-key", &place, message, hint);
        }
        if *prefix == key.text {
            let message = format!("the restore key `{prefix}` is the key itself");
            problems.warning(
                "github-restore-key",
                &place,
                message,
                "shorten it to what older entries have in common",
            );
        }
        if let Some(shorter) = prefixes[..at].iter().find(|earlier| prefix.starts_with(**earlier)) {
            let message = format!("`{prefix}` comes after `{shorter}`, which finds its entries as well");
            problems.warning(
                "github-restore-key-order",
                &place,
                message,
                "name the longest restore key first",
            );
        }
    }
    if !prefixes.is_empty()
        && key.text.lines().count() == 1
        && !prefixes.iter().any(|prefix| key.text.starts_with(*prefix))
    {
        problems.warning(
            "github-restore-key",
            &place,
            "no restore key begins the key: none finds what this workflow saves".to_owned(),
            "begin them as the key begins",
        );
    }
}
