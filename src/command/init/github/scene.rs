//! A step of a workflow with what is around it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::plan::{How, StepPlan};
use crate::command::init::candidate::Refusal;
use crate::command::init::draft::Draft;
use crate::command::init::edit::Layout;
use crate::command::pipelines::workflow::{Job, Step};

/// A step with what is around it.
pub(super) struct InitScene<'a> {
    pub(super) text: &'a str,
    pub(super) job: &'a Job<'a>,
    pub(super) step: &'a Step<'a>,
    pub(super) place: (usize, usize),
}

/// The plan for a step; `None` if it keeps no cache.
pub(super) type Looked = Option<Result<StepPlan, Refusal>>;

impl InitScene<'_> {
    /// A plan for the step.
    pub(super) fn plan(&self, how: How, draft: Option<Draft>) -> Result<StepPlan, Refusal> {
        Ok(StepPlan {
            job: self.place.0,
            step: self.place.1,
            is_saved: matches!(how, How::Restore | How::Beside(_)),
            how,
            draft,
            vars: BTreeMap::new(),
            condition: self.condition()?,
            save_if: None,
            is_always: false,
            is_by_job: false,
            job_name: self.job.name.to_owned(),
            systems: self.job.systems(),
            is_apart: false,
            keeps_inputs: None,
        })
    }

    /// The condition of the step, which the step that saves has as well.
    fn condition(&self) -> Result<Option<String>, Refusal> {
        let Some(condition) = self.step.condition() else { return Ok(None) };
        let text = bare(condition.text);
        if ["always()", "failure()", "cancelled()", "success()"].iter().any(|status| text.contains(status)) {
            return Err(Refusal::new(
                format!("its condition `{text}` asks how the job goes, which is different where it is saved"),
                "restore and save in steps with conditions of their own",
            ));
        }
        Ok(Some(text.to_owned()))
    }

    /// Whether steps can be changed and added here without touching anything else.
    pub(super) fn check_layout(&self) -> Result<(), Refusal> {
        let layout = Layout::of(self.text);
        let steps = self.job.node.get("steps");
        let is_block = steps.is_some_and(|steps| !steps.is_flow(self.text));
        let has_dashes = self.job.steps.iter().all(|step| layout.dash(step.node).is_some());
        let with = self.step.node.get("with");
        let is_short = with.is_none_or(|with| {
            !with.is_flow(self.text) || !self.text[with.place.start..with.end].contains(['\n', '#'])
        });
        if is_block && has_dashes && is_short {
            return Ok(());
        }
        Err(Refusal::new(
            "the steps are written in a way that cannot be changed without touching others",
            "write each step with a `-` and its fields in lines of their own",
        ))
    }

    /// The major version of the action, by its tag or the comment behind its commit.
    pub(super) fn major(&self) -> Option<u32> {
        let uses = self.step.node.value("uses")?;
        let layout = Layout::of(self.text);
        let behind = &self.text[uses.place.start..layout.line_end(uses.place.start)];
        let version = |mark: &str| {
            let (_, after) = behind.split_once(mark)?;
            let digits: String =
                after.trim_start().strip_prefix('v')?.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().ok()
        };
        version("@").or_else(|| version("#"))
    }
}

/// An expression without `${{ }}`.
pub(super) fn bare(text: &str) -> &str {
    let inner = text.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}"));
    inner.filter(|inner| !inner.contains("${{")).unwrap_or(text).trim()
}

/// The place of a value in a text, for refusals.
pub(super) fn place_of(step: &Step<'_>, input: &str) -> Option<Range<usize>> {
    step.input(input).map(|value| value.place)
}
