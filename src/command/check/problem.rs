//! Broken rules, before their places are looked up.

use std::ops::Range;

use crate::domain::finding::Severity;

/// A broken rule, before its place is looked up.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) rule: &'static str,
    pub(super) severity: Severity,
    pub(super) place: Range<usize>,
    pub(super) message: String,
    pub(super) hint: String,
}

/// The broken rules of a job or a file.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<Problem>);

impl Problems {
    pub(super) fn error(&mut self, rule: &'static str, place: &Range<usize>, message: String, hint: &str) {
        self.add(Severity::Error, rule, place, message, hint);
    }

    pub(super) fn warning(&mut self, rule: &'static str, place: &Range<usize>, message: String, hint: &str) {
        self.add(Severity::Warning, rule, place, message, hint);
    }

    fn add(
        &mut self,
        severity: Severity,
        rule: &'static str,
        place: &Range<usize>,
        message: String,
        hint: &str,
    ) {
        self.0.push(Problem { rule, severity, place: place.clone(), message, hint: hint.to_owned() });
    }
}
