//! Rules of single steps: inputs, outputs, names.

use super::scene::Scene;
use crate::command::check::problem::Problems;
use crate::command::pipelines::workflow::{Mode, Step, StepKind};
use crate::command::pipelines::yaml::Value;
use crate::config::closest;
use crate::domain::spec::CacheSpec;
use crate::domain::template::{Placeholder, Template};
use crate::report::outputs::OUTPUTS;

/// Inputs of actions/cache that people take along, and what to do about them.
const OF_ACTIONS_CACHE: [(&str, &str); 3] = [
    ("enableCrossOsArchive", "remove it: every entry serves every OS"),
    ("upload-chunk-size", "remove it: cachekeep chooses the size of parts"),
    ("save-always", "remove it, and give the save step `if: always()`"),
];

/// Inputs that decide where files are written, what is exported and who saves.
const SENSITIVE: [&str; 5] = ["role", "allow-export", "config", "store", "path"];

/// What people without write access choose.
const FOREIGN: [&str; 9] = [
    "github.head_ref",
    "github.event.pull_request.title",
    "github.event.pull_request.body",
    "github.event.pull_request.head.ref",
    "github.event.pull_request.head.label",
    "github.event.issue.",
    "github.event.comment.",
    "github.event.review.",
    "github.event.workflow_run.head_branch",
];

/// Inputs that the action does not have, and values that they cannot have. What else is wrong with a job may follow from them.
pub(super) fn check_inputs(scene: &Scene<'_>, problems: &mut Problems) {
    for step in scene.ours() {
        inputs(scene, step, problems);
        values(scene, step, problems);
    }
}

pub(super) fn check(scene: &Scene<'_>, problems: &mut Problems) {
    for step in scene.ours() {
        configurations(step, problems);
        names(scene, step, problems);
        variables(scene, step, problems);
        foreign_text(step, problems);
        branch(step, problems);
    }
    outputs(scene, problems);
    unknown_steps(scene, problems);
}

fn inputs(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let Some(with) = step.node.get("with").filter(|_| !step.is_drop_in()) else { return };
    for (key, _) in with.fields() {
        let Some(name) = key.text().filter(|name| !scene.action.inputs.contains(name)) else { continue };
        let known = OF_ACTIONS_CACHE.iter().find(|(known, _)| *known == name);
        let hint = known.map_or_else(
            || meant(name, scene.action.inputs.iter().copied(), "docs/github-actions.md lists the inputs"),
            |(_, hint)| (*hint).to_owned(),
        );
        let message = format!("the action has no input `{name}`: GitHub ignores it");
        problems.error("github-unknown-input", &key.place, message, &hint);
    }
}

fn values(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let mut check = |name: &str, allowed: &[&str]| {
        let Some(value) = step.input(name).filter(Value::is_literal) else { return };
        if !allowed.contains(&value.text.to_ascii_lowercase().as_str()) {
            let message = format!("the input `{name}` cannot be `{}`", value.text);
            let hint =
                meant(value.text, allowed.iter().copied(), &format!("write one of {}", quoted(allowed)));
            problems.error("github-wrong-value", &value.place, message, &hint);
        }
    };
    check("mode", scene.action.modes);
    check("role", &["writer", "consumer"]);
    for name in &scene.action.flags {
        check(name, &["true", "false"]);
    }
}

/// A known name that is written almost like this one, or else what to do.
fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    closest(name, known).map_or_else(|| otherwise.to_owned(), |known| format!("did you mean `{known}`?"))
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// The configuration is a file or inputs.
fn configurations(step: &Step<'_>, problems: &mut Problems) {
    let (path, key) = (step.input("path"), step.input("key"));
    if let (Some(_), Some(config)) = (&path, step.input("config")) {
        let message = "`path` and `config` in one step: one of the two would be ignored".to_owned();
        problems.error("github-two-configurations", &config.place, message, "remove one of them");
    }
    let (place, missing) = match (&path, &key) {
        (Some(path), None) => (&path.place, "key"),
        (None, Some(key)) => (&key.place, "path"),
        _ => return,
    };
    let message = format!("a cache that inputs declare needs `{missing}` as well");
    let hint = "give both `path` and `key`, or declare the cache in cachekeep.toml";
    problems.error("github-no-key", place, message, hint);
}

/// Caches that are not declared.
fn names(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let (Some(spec), Some(named)) = (scene.spec_of(step), step.input("cache").filter(Value::is_literal))
    else {
        return;
    };
    for name in named.text.split_whitespace().filter(|name| spec.cache(name).is_none()) {
        let known = || spec.caches.iter().map(|cache| cache.name.as_str());
        let hint = if name.contains([',', ';']) {
            "names are separated by spaces or lines".to_owned()
        } else {
            meant(name, known(), "declare it in cachekeep.toml, or correct the name")
        };
        problems.error(
            "github-unknown-cache",
            &named.place,
            format!("there is no cache `{name}` in the configuration"),
            &hint,
        );
    }
}

/// Variables that keys and paths need. A save uses the key that the restore of its job computed.
fn variables(scene: &Scene<'_>, step: &Step<'_>, problems: &mut Problems) {
    let has_restore = scene.before(step).any(|other| other.is(Mode::Restore));
    let is_about_keys = step.is(Mode::Restore) || step.is(Mode::Save) && !has_restore;
    let vars = step.input("vars");
    let given = vars.as_ref().map_or("", |vars| vars.text);
    // An expression without `NAME=` before it may give any of them.
    let is_remembered =
        scene.before(step).any(|other| other.is(Mode::Other("install")) && other.input("vars").is_some());
    if !is_about_keys || is_remembered || given.starts_with("${{") {
        return;
    }
    for cache in scene.caches(step).into_iter().flatten() {
        for name in wanted(cache) {
            if given
                .split_whitespace()
                .any(|word| word.split_once('=').is_some_and(|(given, _)| given == name))
            {
                continue;
            }
            problems.error(
                "github-missing-var",
                &step.place_of(if vars.is_some() { "vars" } else { "cache" }),
                format!(
                    "`{}` needs `{{var.{name}}}`, and the step does not set it: the cache is skipped",
                    cache.name
                ),
                &format!("add `{name}=…` to `vars` of the step"),
            );
        }
    }
}

/// The variables in the key, the restore keys and the paths of a cache.
fn wanted(cache: &CacheSpec) -> Vec<&str> {
    let paths = cache.paths.iter().map(|path| &path.pattern);
    let templates = std::iter::once(&cache.key).chain(&cache.restore_keys).chain(paths);
    let mut names: Vec<&str> = templates
        .flat_map(Template::placeholders)
        .filter_map(|placeholder| match placeholder {
            Placeholder::Var(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn foreign_text(step: &Step<'_>, problems: &mut Problems) {
    for name in SENSITIVE {
        let Some(value) = step.input(name) else { continue };
        if FOREIGN.iter().any(|foreign| value.text.contains(foreign)) {
            problems.error(
                "github-untrusted-input",
                &value.place,
                format!("`{name}` is made of text that people without write access choose"),
                "use it in `key` or `vars`, where it is only text: docs/security.md",
            );
        }
    }
}

/// A branch changes what the step runs.
fn branch(step: &Step<'_>, problems: &mut Problems) {
    let Some(uses) = step.node.value("uses") else { return };
    let Some((_, version @ ("main" | "master" | "HEAD" | "develop"))) = uses.text.split_once('@') else {
        return;
    };
    problems.warning(
        "github-branch",
        &uses.place,
        format!("`{version}` is a branch: it changes without you, and is built with cargo in every job"),
        "use the tag of a release, or better its commit",
    );
}

/// Outputs that expressions of the job read.
fn outputs(scene: &Scene<'_>, problems: &mut Problems) {
    let texts = scene.job.texts();
    for step in scene.ours() {
        let Some(id) = step.node.value("id") else { continue };
        let start = format!("steps.{}.outputs.", id.text);
        for text in &texts {
            let read = text.text.match_indices(&start).map(|(at, _)| &text.text[at + start.len()..]);
            for name in
                read.map(|rest| rest.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').next())
            {
                let Some(name) = name.filter(|name| OUTPUTS.iter().all(|output| output.name != *name)) else {
                    continue;
                };
                problems.error(
                    "github-unknown-output",
                    &text.place,
                    format!("the action has no output `{name}`: the expression is always empty"),
                    &meant(
                        name,
                        OUTPUTS.iter().map(|output| output.name),
                        "docs/github-actions.md lists the outputs",
                    ),
                );
            }
        }
        cache_hit(scene, step, &format!("{start}cache-hit"), problems);
    }
}

/// Outputs of steps that the job does not have. Other jobs hand outputs over by `needs`.
fn unknown_steps(scene: &Scene<'_>, problems: &mut Problems) {
    if scene.ours().next().is_none() {
        return;
    }
    let ids: Vec<&str> =
        scene.job.steps.iter().filter_map(|step| Some(step.node.value("id")?.text)).collect();
    let conditions = scene.job.steps.iter().filter_map(Step::condition).map(|value| value.place);
    let conditions: Vec<_> = conditions.collect();
    for text in scene.job.texts() {
        let is_condition = conditions.contains(&text.place);
        let expressions = if is_condition { vec![text.text] } else { expressions(text.text) };
        let unknown = expressions.into_iter().flat_map(read_steps).find(|name| !ids.contains(name));
        let Some(name) = unknown else { continue };
        problems.error(
            "github-unknown-step",
            &text.place,
            format!("no step of the job has the id `{name}`: the expression is always empty"),
            &meant(
                name,
                ids.iter().copied(),
                "give the step this `id`, or hand the output over from its job by `outputs` and `needs`",
            ),
        );
    }
}

/// What stands in `${{ }}` in a text.
fn expressions(text: &str) -> Vec<&str> {
    text.split("${{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0)).collect()
}

/// The ids of the steps whose outputs an expression reads.
fn read_steps(expression: &str) -> Vec<&str> {
    let is_start = |at: usize| {
        let before = expression[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-'".contains(c))
    };
    let found = expression.match_indices("steps.").filter(|(at, _)| is_start(*at));
    let rest = found.map(|(at, start)| &expression[at + start.len()..]);
    rest.filter_map(|rest| rest.split_once(".outputs").map(|(name, _)| name))
        .filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'))
        .collect()
}

/// `cache-hit` says nothing about what a partial hit, a seed or mirrors brought.
fn cache_hit(scene: &Scene<'_>, step: &Step<'_>, output: &str, problems: &mut Problems) {
    let has_links = scene.caches(step).into_iter().flatten().any(|cache| cache.links.is_some());
    for later in scene.after(step).filter(|later| has_links && later.kind != StepKind::Ours(Mode::Save)) {
        let Some(condition) = later.condition().filter(|condition| condition.text.contains(output)) else {
            continue;
        };
        problems.warning(
            "github-cache-hit",
            &condition.place,
            "`cache-hit` is `false` after a partial hit and a seed, though every object may be there"
                .to_owned(),
            "ask `complete != 'true'`, or `missing-count`",
        );
    }
}
