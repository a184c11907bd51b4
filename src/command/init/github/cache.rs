//! `actions/cache` and its two parts.

use super::outputs::{Readers, readers};
use super::plan::{How, StepPlan};
use super::scene::{InitScene, bare, place_of};
use crate::command::init::candidate::Refusal;
use crate::command::init::draft::{self, Draft};
use crate::command::init::translate::{self, Translation};

/// Which of the actions a step uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// `actions/cache`, which saves after the job.
    Both,
    /// `actions/cache/restore`.
    Restore,
    /// `actions/cache/save`.
    Save,
}

/// What a user can do about a key that cannot be said.
const BY_HAND: &str = "`cachekeep/cachekeep/restore@v1` and `…/save@v1` take the inputs as they are";

/// Expressions that differ from system to system.
const SYSTEMS: [&str; 5] = ["runner.os", "matrix.os", "matrix.platform", "matrix.runner", "matrix.target"];

pub(super) fn plan(scene: &InitScene<'_>, part: Part) -> Result<StepPlan, Refusal> {
    let step = scene.step;
    let Some(key) = step.input("key") else {
        return Err(Refusal::new("it has no key", "give it a `key`"));
    };
    let how = match part {
        Part::Both => How::Restore,
        Part::Restore => How::RestoreOnly,
        Part::Save => How::Save,
    };
    let mut plan = scene.plan(how, None)?;
    let id = step.node.value("id");
    let is_read = id.is_some_and(|id| readers(scene.job, id.text) == Readers::Others);
    if is_read {
        plan.drop_in("the job reads its outputs in another way than `cache-hit == 'true'`");
        return Ok(plan);
    }
    if part == Part::Save && is_primary_key(key.text) {
        plan.drop_in("its key is an output of the step that restores");
        return Ok(plan);
    }
    let translated = translate::key(key.text).map_err(|reason| refused("key", &reason, step))?;
    let mut draft = Draft { key: translated.template, ..Draft::default() };
    plan.vars = translated.vars;
    for line in step.lines("restore-keys") {
        let translated = translate::key(line).map_err(|reason| refused("restore-keys", &reason, step))?;
        // An exact hit is found without it.
        if translated.template != draft.key {
            draft.restore_keys.push(translated.template);
        }
        plan.vars.extend(translated.vars);
    }
    let mut paths = Vec::new();
    for line in step.lines("path") {
        let Translation { template, vars } =
            translate::path(line).map_err(|reason| refused("path", &reason, step))?;
        paths.push(template);
        plan.vars.extend(vars);
    }
    draft.name = draft::name_of(&paths, &draft.key);
    (draft.kind, draft.paths) = match draft::kind_of(&paths) {
        Some((kind, paths)) => (Some(kind), paths),
        None => (None, paths),
    };
    let is = |input: &str| step.input(input).is_some_and(|value| value.text == "true");
    plan.is_always = is("save-always");
    draft.saves_always = plan.is_always;
    plan.is_apart = !is("enableCrossOsArchive") && !SYSTEMS.iter().any(|part| key.text.contains(part));
    plan.draft = Some(draft);
    Ok(plan)
}

/// Whether a key is the one that a step of the job looked for.
fn is_primary_key(key: &str) -> bool {
    bare(key)
        .strip_prefix("steps.")
        .and_then(|rest| rest.strip_suffix(".outputs.cache-primary-key"))
        .is_some()
}

fn refused(
    input: &'static str,
    reason: &str,
    step: &crate::command::pipelines::workflow::Step<'_>,
) -> Refusal {
    Refusal::new(format!("`{input}` cannot be said in cachekeep.toml: {reason}"), BY_HAND)
        .at(place_of(step, input))
}
