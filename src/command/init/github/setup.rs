//! The caches of actions that set up a language.

use super::plan::{How, StepPlan, Switch};
use super::scene::{InitScene, Looked, place_of};
use crate::command::init::candidate::Refusal;
use crate::command::init::draft::Draft;
use crate::command::init::translate;

/// The input that names lock files.
const LOCK_FILES: &str = "cache-dependency-path";

/// The plan for an action that sets up a language; `None` if it keeps no cache.
pub(super) fn plan(name: &str, scene: &InitScene<'_>) -> Looked {
    match name {
        "actions/setup-node" => node(scene),
        "actions/setup-python" => python(scene),
        "actions/setup-go" => go(scene),
        "actions/setup-java" => java(scene),
        "actions/setup-dotnet" => dotnet(scene),
        "ruby/setup-ruby" => ruby(scene),
        _ => None,
    }
}

/// The value of `cache`; an error if only the run knows it.
fn asked<'a>(scene: &InitScene<'a>) -> Option<Result<&'a str, Refusal>> {
    let value = scene.step.input("cache")?;
    if value.is_literal() {
        return Some(Ok(value.text));
    }
    Some(Err(Refusal::new("`cache` is an expression, whose value only the run knows", "name the tool")
        .at(Some(value.place))))
}

/// A tool whose cache has no kind.
fn unknown_tool(scene: &InitScene<'_>, tool: &str) -> Refusal {
    Refusal::new(
        format!("where the cache of {tool} lies depends on its version and settings"),
        "declare it with `path` and `key`, and remove `cache`",
    )
    .at(place_of(scene.step, "cache"))
}

/// A step that stays without its cache.
fn beside(scene: &InitScene<'_>, draft: Draft, mut switches: Vec<Switch>) -> Result<StepPlan, Refusal> {
    if scene.step.input(LOCK_FILES).is_some() {
        switches.push(Switch { input: LOCK_FILES, becomes: None });
    }
    scene.plan(How::Beside(switches), Some(draft))
}

/// A cache of a kind, with the lock files that the step names.
fn of_kind(scene: &InitScene<'_>, kind: &'static str, start: &str) -> Result<Draft, Refusal> {
    let mut draft = Draft { name: kind.to_owned(), kind: Some(kind), ..Draft::default() };
    if let Some(globs) = lock_files(scene)? {
        let start = format!("{kind}-{{os}}-{{arch}}-{start}");
        draft.key = format!("{start}{{files:{globs}}}");
        draft.restore_keys = vec![start];
    }
    Ok(draft)
}

/// The globs of the lock files that the step names.
fn lock_files(scene: &InitScene<'_>) -> Result<Option<String>, Refusal> {
    let lines = scene.step.lines(LOCK_FILES);
    let refused = |reason: String| {
        Refusal::new(reason, "name them relative to the workspace").at(place_of(scene.step, LOCK_FILES))
    };
    let globs: Vec<String> =
        lines.iter().map(|line| translate::glob(line)).collect::<Result<_, _>>().map_err(refused)?;
    Ok((!globs.is_empty()).then(|| globs.join(",")))
}

fn gone() -> Vec<Switch> {
    vec![Switch { input: "cache", becomes: None }]
}

fn node(scene: &InitScene<'_>) -> Looked {
    let plan = |tool: &str| {
        let kind = match tool {
            "npm" => "npm",
            "pnpm" => "pnpm",
            other => return Err(unknown_tool(scene, other)),
        };
        // From version 5 on it keeps a cache unless that is switched off.
        let becomes =
            scene.major().is_none_or(|major| major >= 5).then_some(("package-manager-cache", "false"));
        beside(scene, of_kind(scene, kind, "")?, vec![Switch { input: "cache", becomes }])
    };
    Some(asked(scene)?.and_then(plan))
}

fn python(scene: &InitScene<'_>) -> Looked {
    let plan = |tool: &str| match tool {
        "pip" => beside(scene, of_kind(scene, "pip", "")?, gone()),
        other => Err(unknown_tool(scene, other)),
    };
    Some(asked(scene)?.and_then(plan))
}

fn go(scene: &InitScene<'_>) -> Looked {
    // From version 4 on it keeps a cache unless that is switched off.
    let is_default = scene.major().is_none_or(|major| major >= 4);
    match asked(scene) {
        Some(Ok("true")) => {}
        None if is_default => {}
        Some(Err(refusal)) => return Some(Err(refusal)),
        _ => return None,
    }
    let switches = vec![Switch { input: "cache", becomes: Some(("cache", "false")) }];
    Some(of_kind(scene, "go", "{tool:go}-").and_then(|draft| beside(scene, draft, switches)))
}

fn java(scene: &InitScene<'_>) -> Looked {
    let plan = |tool: &str| match tool {
        "gradle" => beside(scene, of_kind(scene, "gradle", "")?, gone()),
        "maven" => {
            let globs = lock_files(scene)?.unwrap_or_else(|| "**/pom.xml".to_owned());
            let draft = Draft {
                name: "maven".to_owned(),
                paths: vec!["{home}/.m2/repository".to_owned()],
                key: format!("maven-{{os}}-{{files:{globs}}}"),
                restore_keys: vec!["maven-{os}-".to_owned()],
                ..Draft::default()
            };
            beside(scene, draft, gone())
        }
        other => Err(unknown_tool(scene, other)),
    };
    Some(asked(scene)?.and_then(plan))
}

fn dotnet(scene: &InitScene<'_>) -> Looked {
    let plan = |value: &str| {
        (value == "true").then(|| {
            let globs = lock_files(scene)?.unwrap_or_else(|| "**/packages.lock.json".to_owned());
            let draft = Draft {
                name: "nuget".to_owned(),
                paths: vec!["{home}/.nuget/packages".to_owned()],
                key: format!("nuget-{{os}}-{{files:{globs}}}"),
                restore_keys: vec!["nuget-{os}-".to_owned()],
                ..Draft::default()
            };
            beside(scene, draft, gone())
        })
    };
    match asked(scene)? {
        Ok(value) => plan(value),
        Err(refusal) => Some(Err(refusal)),
    }
}

fn ruby(scene: &InitScene<'_>) -> Looked {
    let value = scene.step.input("bundler-cache").filter(|value| value.text != "false")?;
    Some(Err(Refusal::new(
        "`bundler-cache` installs the gems as well, which nothing else in the job would do",
        "run `bundle install` in a step, and declare a cache of `vendor/bundle`",
    )
    .at(Some(value.place))))
}
