//! Actions that keep the cache of a compiler.

use super::plan::{How, StepPlan, Switch};
use super::scene::{InitScene, bare, place_of};
use crate::command::init::candidate::Refusal;
use crate::command::init::draft::Draft;
use crate::command::init::translate::{self, Translation};

/// Inputs of `Swatinem/rust-cache` that say what is kept, and what the kind keeps.
const OTHER_CONTENTS: [(&str, &str); 4] = [
    ("workspaces", ". -> target"),
    ("cache-directories", ""),
    ("cache-targets", "true"),
    ("cache-all-crates", "false"),
];

/// `Swatinem/rust-cache`, which the kind `cargo` replaces.
pub(super) fn rust_cache(scene: &InitScene<'_>) -> Result<StepPlan, Refusal> {
    let step = scene.step;
    for (input, same) in OTHER_CONTENTS {
        let given = step
            .input(input)
            .filter(|value| value.text != same && !(input == "workspaces" && value.text == "."));
        if let Some(given) = given {
            return Err(Refusal::new(
                format!("`{input}` keeps something else than `kind = \"cargo\"` does"),
                "declare the cache with `paths` and `key`",
            )
            .at(Some(given.place)));
        }
    }
    let mut plan = scene.plan(How::Restore, None)?;
    let mut draft = Draft { name: "cargo".to_owned(), kind: Some("cargo"), ..Draft::default() };
    let mut start = Translation::default();
    for (input, default) in [("prefix-key", ""), ("shared-key", ""), ("key", "")] {
        let Some(value) = step.input(input).filter(|value| value.text != default) else { continue };
        let translated = translate::key(value.text).map_err(|reason| {
            Refusal::new(
                format!("`{input}` cannot be said in cachekeep.toml: {reason}"),
                "use `matrix` or text",
            )
            .at(place_of(step, input))
        })?;
        start.append(translated);
        start.literal("-");
    }
    if !start.template.is_empty() {
        draft.of_cargo(&start.template);
    }
    plan.vars = start.vars;
    plan.is_by_job = step.input("shared-key").is_none();
    plan.is_always = step.input("cache-on-failure").is_some_and(|value| value.text == "true");
    draft.saves_always = plan.is_always;
    match step.input("save-if").map(|value| bare(value.text)) {
        None | Some("true") => {}
        Some("false") => plan.how = How::RestoreOnly,
        Some(condition) => plan.save_if = Some(condition.to_owned()),
    }
    plan.draft = Some(draft);
    Ok(plan)
}

/// `hendrikmuhs/ccache-action`, which goes on to install the compiler cache.
pub(super) fn ccache_action(scene: &InitScene<'_>) -> Result<StepPlan, Refusal> {
    let step = scene.step;
    let kind = match step.input("variant").map(|value| value.text) {
        None | Some("ccache") => "ccache",
        Some("sccache") => "sccache",
        Some(_) => {
            return Err(Refusal::new(
                "`variant` is an expression, whose value only the run knows",
                "name the variant",
            )
            .at(place_of(step, "variant")));
        }
    };
    let mut draft = Draft {
        name: kind.to_owned(),
        kind: Some(kind),
        max_size: Some(max_size(scene)?),
        ..Draft::default()
    };
    let mut vars = std::collections::BTreeMap::new();
    if let Some(key) = step.input("key") {
        let translated = translate::key(key.text).map_err(|reason| {
            Refusal::new(format!("`key` cannot be said in cachekeep.toml: {reason}"), "use `matrix` or text")
                .at(Some(key.place.clone()))
        })?;
        let start = format!("{kind}-{}-{{os}}-{{arch}}-", translated.template);
        draft.key = format!("{start}{{sha}}");
        draft.restore_keys = vec![start];
        vars = translated.vars;
    }
    let how = How::Beside(vec![Switch { input: "save", becomes: Some(("save", "false")) }]);
    let mut plan = scene.plan(how, Some(draft))?;
    plan.vars = vars;
    match step.input("save").map(|value| bare(value.text)) {
        None | Some("true") => {}
        Some(condition) => plan.save_if = Some(condition.to_owned()),
    }
    Ok(plan)
}

/// The upper bound for the size, in the units of the configuration.
fn max_size(scene: &InitScene<'_>) -> Result<String, Refusal> {
    let Some(given) = scene.step.input("max-size") else { return Ok("500MB".to_owned()) };
    let number = given.text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &given.text[number.len()..];
    let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let unit = match unit {
        "M" | "MB" => "MB",
        "G" | "GB" | "" => "GB",
        "Mi" | "MiB" => "MiB",
        "Gi" | "GiB" => "GiB",
        _ => "",
    };
    if is_number && !unit.is_empty() {
        return Ok(format!("{number}{unit}"));
    }
    Err(Refusal::new(
        "`max-size` is neither a number of megabytes nor of gigabytes",
        "write it as `500M` or `2G`",
    )
    .at(Some(given.place)))
}
