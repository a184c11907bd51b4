//! `check`: the configuration with the content links and key files of the checkout, and the workflows and pipelines that use it, before they run.
//!
//! A workflow or pipeline is read as it is written. What an expression of its language will be is not known, so rules that depend
//! on it say nothing.

mod azure;
mod checkout;
mod github;
mod pipeline;
mod problem;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub(crate) use github::ActionFacts;
use github::SavedCaches;

use super::pipelines::{find, yaml};
use crate::domain::fault::Fault;
use crate::domain::finding::{CheckOutcome, Finding, Location, Severity};
use crate::domain::spec::Spec;
use crate::fs::open::Links;
use crate::fs::read;

/// Upper bound for workflows and pipelines, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// What files that use cachekeep contain.
const MARKS: [&str; 7] = [
    "azure-task/",
    "cachekeep@",
    "Cachekeep@",
    "cachekeep/restore@",
    "cachekeep/save@",
    "cachekeep/.github/workflows/",
    "cachekeep run",
];

/// What to look at.
#[derive(Debug)]
pub(crate) struct CheckInput<'a> {
    /// The checkout.
    pub workspace: &'a Path,
    /// Absolute paths of workflows and pipelines; those of the checkout if there are none.
    pub files: &'a [PathBuf],
    /// The configuration, as far as there is one.
    pub configuration: Configuration<'a>,
    /// The inputs and modes of the GitHub action.
    pub action: &'a ActionFacts,
}

/// The configuration, as far as there is one.
#[derive(Debug)]
pub(crate) enum Configuration<'a> {
    /// It can be used.
    Usable(&'a Spec, &'a [Finding]),
    /// It has errors. What depends on it is not checked.
    Wrong(&'a [Finding]),
    /// There is none.
    Absent,
}

/// Checks the configuration, the workflows and the pipelines.
///
/// # Errors
/// A named file cannot be read, or there is nothing to check.
pub(crate) fn check(input: &CheckInput<'_>) -> Result<CheckOutcome, Fault> {
    let (mut outcome, spec) = match input.configuration {
        Configuration::Usable(spec, warnings) => {
            let findings = [warnings.to_vec(), checkout::check(input.workspace, spec)].concat();
            (CheckOutcome { files: 1, findings }, Some(spec))
        }
        Configuration::Wrong(findings) => (CheckOutcome { files: 1, findings: findings.to_vec() }, None),
        Configuration::Absent => (CheckOutcome::default(), None),
    };
    let is_named = !input.files.is_empty();
    let found = if is_named { input.files.to_vec() } else { find::files(input.workspace, &[]) };
    let saved = saved_in_checkout(input.workspace);
    for path in &found {
        let text = match read::text(path, Links::Followed, MAX_BYTES) {
            Ok(text) => text,
            Err(fault) if is_named => return Err(fault),
            Err(_) => continue,
        };
        let name = path.strip_prefix(input.workspace).unwrap_or(path);
        let Some(findings) = of_pipeline(&text, name, spec, input.action, &saved, is_named) else { continue };
        outcome.files += 1;
        outcome.findings.extend(findings);
    }
    if outcome.files == 0 {
        let text = format!("nothing to check in `{}`", input.workspace.display());
        return Err(Fault::usage(text).with_hint(
            "name the workflows or pipelines to check: there is no cachekeep.toml here, and no file that uses cachekeep was found"
                .to_owned(),
        ));
    }
    Ok(outcome)
}

/// The errors in the text of a workflow or pipeline.
pub(in crate::command) fn errors_in(
    text: &str,
    name: &Path,
    spec: Option<&Spec>,
    action: &ActionFacts,
) -> Vec<Finding> {
    // What is saved elsewhere has a say in warnings alone.
    let findings = of_pipeline(text, name, spec, action, &SavedCaches::default(), true).unwrap_or_default();
    findings.into_iter().filter(|finding| finding.severity == Severity::Error).collect()
}

/// What the workflows save that GitHub runs for a checkout, whichever are checked.
fn saved_in_checkout(workspace: &Path) -> SavedCaches {
    let directory = workspace.join(".github/workflows");
    let mut saved = SavedCaches::default();
    for path in find::files(workspace, &[]).iter().filter(|path| path.parent() == Some(&directory)) {
        // One that cannot be read saves nothing that could be known.
        let text = read::text(path, Links::Followed, MAX_BYTES).unwrap_or_default();
        if let Ok(Some(root)) = yaml::read(&text) {
            saved.add(&root);
        }
    }
    saved
}

/// The findings in a workflow or pipeline, in the order of the file; `None` if it does not use cachekeep.
fn of_pipeline(
    text: &str,
    name: &Path,
    spec: Option<&Spec>,
    action: &ActionFacts,
    saved: &SavedCaches,
    is_named: bool,
) -> Option<Vec<Finding>> {
    let is_about_caches = MARKS.iter().any(|mark| text.contains(mark));
    if !is_about_caches && !is_named {
        return None;
    }
    let at = |place| Some(Location::of(name, text, &place));
    let root = match yaml::read(text) {
        Ok(root) => root,
        Err(error) => {
            let (severity, message) = (Severity::Error, error.message);
            let location = at(error.place);
            return Some(vec![Finding { rule: "yaml", severity, message, hint: None, location }]);
        }
    };
    let mut problems: Vec<_> = match &root {
        None => Vec::new(),
        Some(root) => github::check(root, spec, action, saved)
            .unwrap_or_else(|| pipeline::jobs(root).iter().flat_map(|job| azure::check(job, spec)).collect()),
    };
    problems.sort_by_key(|problem| problem.place.start);
    let findings = problems.into_iter().map(|problem| Finding {
        rule: problem.rule,
        severity: problem.severity,
        message: problem.message,
        hint: Some(problem.hint),
        location: at(problem.place),
    });
    Some(findings.collect())
}
