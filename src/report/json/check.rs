//! What `check` found, as JSON.

use serde::Serialize;

use crate::domain::finding::{CheckOutcome, Finding};

/// The outcome of `check`.
#[derive(Debug, Serialize)]
pub(crate) struct CheckDocument<'a> {
    files: usize,
    findings: Vec<FindingDocument<'a>>,
}

/// A finding.
#[derive(Debug, Serialize)]
pub(super) struct FindingDocument<'a> {
    rule: &'static str,
    severity: String,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
}

impl<'a> From<&'a CheckOutcome> for CheckDocument<'a> {
    fn from(outcome: &'a CheckOutcome) -> Self {
        CheckDocument { files: outcome.files, findings: outcome.findings.iter().map(Into::into).collect() }
    }
}

impl<'a> From<&'a Finding> for FindingDocument<'a> {
    fn from(finding: &'a Finding) -> Self {
        let location = finding.location.as_ref();
        FindingDocument {
            rule: finding.rule,
            severity: finding.severity.to_string(),
            message: &finding.message,
            hint: finding.hint.as_deref(),
            file: location.map(|location| location.file.display().to_string()),
            line: location.map(|location| location.line),
            column: location.map(|location| location.column),
        }
    }
}
