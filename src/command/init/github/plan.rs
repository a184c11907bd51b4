//! How steps that keep caches are moved.

use std::collections::BTreeMap;

use crate::command::init::draft::Draft;

/// How a step that keeps a cache is moved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts about a step")]
pub(in crate::command::init) struct StepPlan {
    /// Which job of the workflow.
    pub(in crate::command::init) job: usize,
    /// Which step of the job.
    pub(in crate::command::init) step: usize,
    pub(in crate::command::init) how: How,
    /// The cache; `None` for a step that keeps its inputs.
    pub(in crate::command::init) draft: Option<Draft>,
    /// Values of `{var.NAME}`.
    pub(in crate::command::init) vars: BTreeMap<String, String>,
    /// The condition of the step, without `${{ }}`.
    pub(in crate::command::init) condition: Option<String>,
    /// Whether a step at the end of the job saves it.
    pub(in crate::command::init) is_saved: bool,
    /// The condition under which it is saved, beside that of the step.
    pub(in crate::command::init) save_if: Option<String>,
    /// Whether it is saved after a failure as well.
    pub(in crate::command::init) is_always: bool,
    /// Whether entries of different jobs have been apart, although the key does not say so.
    pub(in crate::command::init) is_by_job: bool,
    /// The name of the job.
    pub(in crate::command::init) job_name: String,
    /// The systems that the job runs on, as far as they are known.
    pub(in crate::command::init) systems: Vec<&'static str>,
    /// Whether entries of different systems have been apart, although the key does not say so.
    pub(in crate::command::init) is_apart: bool,
    /// Why it keeps its inputs, if it does.
    pub(in crate::command::init) keeps_inputs: Option<&'static str>,
}

/// What takes the place of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::command::init) enum How {
    /// It restores; a step at the end of the job saves.
    Restore,
    /// It restores, and nothing more.
    RestoreOnly,
    /// It saves.
    Save,
    /// It uses this part of the action with the same inputs and outputs.
    DropIn(&'static str),
    /// It stays, with its own cache switched off; a step behind it restores, and one at the end of the job saves.
    Beside(Vec<Switch>),
}

/// An input that switches a cache off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::command::init) struct Switch {
    pub(in crate::command::init) input: &'static str,
    /// The input that takes its place, with its value; `None` if it goes.
    pub(in crate::command::init) becomes: Option<(&'static str, &'static str)>,
}

impl StepPlan {
    /// Whether the step restores or saves alone, so that it depends on steps elsewhere.
    pub(in crate::command::init) fn is_half(&self) -> bool {
        matches!(self.how, How::RestoreOnly | How::Save) || self.is_drop_in() && !self.is_saved
    }

    /// Whether it keeps its inputs.
    pub(in crate::command::init) fn is_drop_in(&self) -> bool {
        matches!(self.how, How::DropIn(_))
    }

    /// Has the step keep its inputs, for a reason.
    pub(in crate::command::init) fn drop_in(&mut self, why: &'static str) {
        self.how = match self.how {
            How::Restore | How::RestoreOnly => How::DropIn("restore"),
            How::Save => How::DropIn("save"),
            _ => return,
        };
        self.keeps_inputs = Some(why);
        self.draft = None;
        self.vars.clear();
    }

    /// Takes the draft of the restore that this save belongs to.
    pub(in crate::command::init) fn pair(&mut self, others: &[Draft]) {
        let Some(draft) = self.draft.as_mut().filter(|_| self.how == How::Save) else { return };
        if let Some(other) = others.iter().find(|other| other.paths == draft.paths && other.key == draft.key)
        {
            *draft = other.clone();
        }
    }

    /// Whether entries of different jobs have been apart, although the key does not say so.
    pub(in crate::command::init) fn is_by_job(&self) -> bool {
        self.is_by_job
    }

    /// Puts the job into the key.
    pub(in crate::command::init) fn by_job(&mut self) {
        if let Some(draft) = &mut self.draft {
            draft.of_cargo("{var.job}-");
            self.vars.insert("job".to_owned(), "${{ github.job }}".to_owned());
        }
    }

    /// Whether the step restores, with a draft of its own.
    pub(in crate::command::init) fn restores(&self) -> bool {
        self.how != How::Save
    }

    /// The systems whose entries have been apart; `None` if the key tells them apart.
    pub(in crate::command::init) fn systems_apart(&self) -> Option<&[&'static str]> {
        self.is_apart.then_some(&self.systems)
    }

    /// What will be different, beside what holds for every cache.
    pub(in crate::command::init) fn differences(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(why) = self.keeps_inputs {
            found.push(format!("the step keeps its inputs, and has the same outputs: {why}"));
        }
        if self.is_saved {
            found.push(
                "a step at the end of the job saves it, if the job has succeeded until then and no entry has the key".to_owned(),
            );
        }
        if let How::Beside(switches) = &self.how
            && switches.iter().any(|switch| switch.input == "save")
        {
            found.push("the action goes on to restore its own old entries until they are evicted".to_owned());
        }
        if let Some(condition) = &self.save_if {
            found.push(format!("it is saved only if `{condition}`, as before"));
        }
        found
    }
}
