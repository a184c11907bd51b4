//! Rules of steps that belong together: restores, saves, checkouts, other caches of the job.

use std::ops::Range;

use super::saved::SavedCaches;
use super::scene::{Scene, actions_cache};
use crate::command::check::problem::Problems;
use crate::command::pipelines::workflow::{Mode, Right, Step, StepKind};
use crate::command::wrapped::NESTED;
use crate::domain::spec::{CacheSpec, Role, SavePolicy};
use crate::domain::template::Placeholder;
use crate::domain::trim::SizeLimit;
use crate::domain::unit::{ByteSize, SizeOrShare};

/// Actions that keep a directory by themselves: the input that asks for it, the value, and the directory.
const OTHER_CACHES: [(&str, &str, &str, &str); 9] = [
    ("actions/setup-node", "cache", "npm", "~/.npm"),
    ("actions/setup-python", "cache", "pip", "~/.cache/pip"),
    ("actions/setup-go", "cache", "", "~/go/pkg/mod"),
    ("actions/setup-go", "cache", "", "~/.cache/go-build"),
    ("actions/setup-java", "cache", "gradle", "~/.gradle/caches"),
    ("actions/setup-java", "cache", "maven", "~/.m2/repository"),
    ("Swatinem/rust-cache", "", "", "target"),
    ("Swatinem/rust-cache", "", "", "~/.cargo/registry"),
    ("hendrikmuhs/ccache-action", "save", "", ".ccache"),
];

pub(super) fn check(scene: &Scene<'_>, problems: &mut Problems) {
    for step in scene.ours() {
        checkout(scene, step, problems);
        too_many(scene, step, problems);
    }
    for step in scene.in_mode(Mode::Restore) {
        same_path(scene, step, problems);
        other_volume(scene, step, problems);
        never_saved(scene, step, problems);
    }
    for step in scene.in_mode(Mode::Save) {
        pair(scene, step, problems);
        on_failure(scene, step, problems);
        over_budget(scene, step, problems);
    }
}

/// What reads the checkout comes after it, and what writes into it as well.
fn checkout(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let is_workspace = |other: &&Step<'_>| other.kind == StepKind::Checkout && other.input("path").is_none();
    let brings_files = |other: &Step<'_>| {
        other.kind == StepKind::Checkout
            || matches!(other.kind, StepKind::Other("actions/download-artifact"))
            || ["git clone", "git init", "gh repo clone", "git fetch"]
                .iter()
                .any(|text| other.script().contains(text))
    };
    let has_files = scene.before(step).any(brings_files);
    let key = step.input("key").map_or("", |key| key.text);
    let reads_files = step.input("path").is_none()
        || ["{files:", "{git:", "{links}", "{hash-files:", "hashFiles("]
            .iter()
            .any(|part| key.contains(part));
    let needs_files = match step.kind {
        StepKind::Ours(Mode::Clean | Mode::Other("doctor" | "delete" | "usage")) => false,
        StepKind::Ours(Mode::Other("install")) => step.input("cache").is_some(),
        _ => true,
    };
    if reads_files && needs_files && !has_files {
        problems.error(
            "github-no-checkout",
            &step.place,
            "the step reads files of the checkout, and nothing is checked out before it".to_owned(),
            "put `actions/checkout` before it",
        );
    } else if step.is(Mode::Restore)
        && let Some(later) = scene.after(step).find(is_workspace)
    {
        problems.warning(
            "github-checkout-after",
            &later.place,
            "the checkout empties the workspace, and with it what was restored there".to_owned(),
            "put `actions/checkout` before the restore",
        );
    }
}

fn same_path(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let paths = step.lines("path");
    let kinds: Vec<&str> =
        scene.caches(step).into_iter().flatten().filter_map(|cache| Some(cache.kind?.name)).collect();
    for other in scene.before(step) {
        let shared = if other.is(Mode::Restore) || actions_cache(other).is_some() {
            other.lines("path").into_iter().find(|path| paths.contains(path)).map(str::to_owned)
        } else {
            kept_by(other, &paths, &kinds)
        };
        let Some(path) = shared else { continue };
        problems.error(
            "github-same-path",
            &step.place_of("path"),
            format!("`{path}` is a cache of an earlier step as well: what is restored last wins, and both are saved"),
            "keep the directory in one step, and switch the other's cache off",
        );
    }
    let Some(caches) = scene.caches(step) else { return };
    for other in scene.before(step).filter(|other| other.is(Mode::Restore)) {
        let earlier = scene.caches(other).unwrap_or_default();
        for cache in caches.iter().filter(|cache| earlier.iter().any(|other| other.name == cache.name)) {
            problems.error(
                "github-same-path",
                &step.place_of("cache"),
                format!("`{}` was restored by an earlier step of the job", cache.name),
                "name each cache in one restore",
            );
        }
    }
}

/// The directory of these that another action keeps by itself.
fn kept_by(other: &Step<'_>, paths: &[&str], kinds: &[&str]) -> Option<String> {
    let StepKind::Other(name) = other.kind else { return None };
    let kept = OTHER_CACHES.iter().filter(|(action, ..)| *action == name).filter(|(_, input, value, _)| {
        let given = if input.is_empty() { None } else { other.input(input) };
        match given {
            Some(given) if value.is_empty() => given.text != "false",
            Some(given) => given.text == *value,
            None => value.is_empty(),
        }
    });
    let is_kind = |directory: &str| match directory {
        "~/.npm" => kinds.contains(&"npm"),
        "~/.cache/pip" => kinds.contains(&"pip"),
        "~/go/pkg/mod" | "~/.cache/go-build" => kinds.contains(&"go"),
        "~/.gradle/caches" => kinds.contains(&"gradle"),
        "target" | "~/.cargo/registry" => kinds.contains(&"cargo"),
        ".ccache" => kinds.contains(&"ccache"),
        _ => false,
    };
    let is_shared = |directory: &str| {
        paths.iter().any(|path| path.trim_end_matches('/') == directory) || is_kind(directory)
    };
    kept.map(|(.., directory)| *directory).find(|directory| is_shared(directory)).map(str::to_owned)
}

fn never_saved(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let runs_on_branches = scene.workflow.events.iter().any(|event| ["push", "schedule"].contains(event));
    let only_reads = step.input("role").is_some_and(|role| role.text != "writer")
        || step.input("lookup-only").is_some_and(|value| value.text != "false");
    let may_save = |cache: &CacheSpec| cache.role == Role::Writer && cache.save != SavePolicy::Never;
    if !runs_on_branches || only_reads {
        return;
    }
    let here = SavedCaches::of(scene.workflow);
    let mut nothing = "nothing that this step restores is".to_owned();
    let is_saved = match (step.input("path"), scene.caches(step)) {
        // What is wrong with them is another rule's.
        (Some(_), _)
            if step.input("key").is_none() || scene.after(step).any(|other| takes_key(other, step)) =>
        {
            true
        }
        (Some(_), _) => here.has_path_of(step) || scene.saved.has_path_of(step),
        (None, Some(caches)) => {
            let is_unsaved =
                |cache: &&CacheSpec| may_save(cache) && !here.has(cache) && !scene.saved.has(cache);
            let unsaved: Vec<&str> =
                caches.iter().copied().filter(is_unsaved).map(|cache| cache.name.as_str()).collect();
            if unsaved.len() < caches.len() {
                nothing = format!("of what this step restores, `{}` is not", unsaved.join("`, `"));
            }
            unsaved.is_empty()
        }
        (None, None) => here.has_any() || scene.saved.has_any(),
    };
    if !is_saved {
        let hint = if step.is_drop_in() {
            "add `cachekeep/cachekeep/save@v1` with the same `path` and `key` after the build"
        } else {
            "add a step with `mode: save` after the build, or say `role: consumer`"
        };
        let message = format!("{nothing} saved in this workflow or in another one of the checkout");
        problems.warning("github-never-saved", &step.place, message, hint);
    }
}

/// Whether a step saves under the key of a restore, or under the one that this looked for.
fn takes_key(step: &Step<'_>, restore: &Step<'_>) -> bool {
    let (Some(key), Some(own)) = (step.input("key"), restore.input("key")) else { return false };
    let id = restore.node.value("id").map(|id| format!("steps.{}.outputs.", id.text));
    step.is(Mode::Save) && (key.text == own.text || id.is_some_and(|start| key.text.contains(&start)))
}

/// actions/cache moves what is on the volume of the workspace. The home directory of GitHub's Windows runners is on another one.
fn other_volume(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let is_moved_by_others =
        scene.is_at_github(step) && scene.workflow.right(scene.job, "id-token") == Right::None;
    if !is_moved_by_others || !scene.job.systems().contains(&"windows") {
        return;
    }
    let declared = scene.caches(step).unwrap_or_default();
    let of_caches = declared.iter().flat_map(|cache| &cache.paths).filter(|path| !path.exclude);
    let mut paths = step.lines("path").into_iter().chain(of_caches.map(|path| path.pattern.source()));
    let in_home = |path: &&str| ["~/", "~\\", "{home}"].iter().any(|start| path.starts_with(start));
    let Some(path) = paths.find(in_home) else { return };
    let place = if step.input("path").is_some() { "path" } else { "cache" };
    problems.warning(
        "github-other-volume",
        &step.place_of(place),
        format!(
            "on Windows runners `{path}` is on another volume than the workspace, and actions/cache can move nothing there"
        ),
        "give the job `permissions: { contents: read, id-token: write }`, or put the cache below `{temp}`",
    );
}

/// A restore and a save of one cache name the same key and paths.
fn pair(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let (Some(path), Some(key)) = (step.input("path"), step.input("key")) else { return };
    let restores: Vec<&Step<'_>> = scene.before(step).filter(|other| other.is(Mode::Restore)).collect();
    let same =
        |other: &Step<'_>, name: &str, text: &str| other.input(name).is_some_and(|value| value.text == text);
    if key.text.contains("cache-primary-key") {
        let meant = restores.iter().find(|other| takes_key(step, other));
        if meant.is_some_and(|other| other.input("path").is_some() && !same(other, "path", path.text)) {
            unlike(&path.place, "path", problems);
        }
        return;
    }
    let by_path = restores.iter().find(|other| same(other, "path", path.text));
    let by_key = restores.iter().find(|other| same(other, "key", key.text));
    let (name, place) = match (by_path, by_key) {
        (Some(by_path), None) if by_path.input("key").is_some() => ("key", &key.place),
        (None, Some(by_key)) if by_key.input("path").is_some() => ("path", &path.place),
        _ => return,
    };
    unlike(place, name, problems);
}

fn unlike(place: &Range<usize>, name: &str, problems: &mut Problems) {
    problems.warning(
        "github-pair",
        place,
        format!("the restore before it has another `{name}`: it does not find what is saved here"),
        &format!("give both steps the same `{name}`"),
    );
}

fn on_failure(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let condition = step.condition();
    let runs = ["always()", "failure()", "!cancelled()", "! cancelled()"];
    if condition.as_ref().is_some_and(|condition| runs.iter().any(|word| condition.text.contains(word))) {
        return;
    }
    let caches = scene.caches(step).unwrap_or_default();
    if let Some(cache) = caches.iter().find(|cache| cache.save == SavePolicy::Always) {
        problems.warning(
            "github-save-on-failure",
            &condition.map_or_else(|| step.place.clone(), |condition| condition.place),
            format!(
                "`{}` has `save = \"always\"`, and the step is skipped when the job has failed",
                cache.name
            ),
            "give the step `if: always()`",
        );
    }
}

/// actions/cache stands in the action as often as it has slots.
fn too_many(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let is_install = step.is(Mode::Other("install")) && step.input("cache").is_some();
    let moves = step.is(Mode::Restore) || step.is(Mode::Save) || is_install;
    let count = scene.caches(step).map_or(0, |caches| caches.len());
    if !moves || !scene.is_at_github(step) || count <= NESTED {
        return;
    }
    let place = step.place_of("cache");
    let message = format!("{count} caches, but actions/cache moves at most {NESTED} in one step");
    let hint = "use the action twice, with some of the caches each";
    if scene.workflow.right(scene.job, "id-token") == Right::Write {
        let message = format!("{message}, as pull requests of forks need");
        problems.warning("github-too-many-caches", &place, message, hint);
    } else {
        let hint = format!("{hint}, or give the job `id-token: write`");
        problems.error("github-too-many-caches", &place, message, &hint);
    }
}

/// The size limits of all jobs of a matrix together.
fn over_budget(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let Some(budget) = scene.spec_of(step).and_then(|spec| spec.clean.budget) else { return };
    let Some(lanes) = scene.job.lanes() else { return };
    let is_of_lane = |placeholder: &Placeholder| {
        matches!(placeholder, Placeholder::Var(_) | Placeholder::Os | Placeholder::Arch | Placeholder::Env(_))
    };
    let limit = |cache: &&CacheSpec| match cache.trim.as_ref()?.max_size.as_ref()? {
        SizeLimit::Fixed(SizeOrShare::Bytes(size)) => {
            let lanes = if cache.key.placeholders().any(is_of_lane) { lanes } else { 1 };
            Some(size.0.saturating_mul(lanes))
        }
        _ => None,
    };
    let all: u64 =
        scene.caches(step).unwrap_or_default().iter().filter_map(limit).fold(0, u64::saturating_add);
    if all > budget.0 {
        problems.warning(
            "github-over-budget",
            &step.place,
            format!("{lanes} jobs may save {} together, and `[clean] budget` is {budget}", ByteSize(all)),
            "lower `max-size` of the caches, or raise the budget: entries push each other out",
        );
    }
}
