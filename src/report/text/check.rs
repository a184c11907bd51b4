//! What `check` found, for people.

use std::fmt::Write as _;

use crate::domain::finding::{CheckOutcome, Severity};
use crate::domain::unit::counted;

/// Each finding with the name of its rule, and a line that counts them.
pub(crate) fn checked(outcome: &CheckOutcome) -> String {
    let mut text = String::new();
    for finding in &outcome.findings {
        _ = writeln!(text, "{}[{}]: {}\n", finding.severity, finding.rule, finding.body());
    }
    let count = |severity| outcome.findings.iter().filter(|finding| finding.severity == severity).count();
    let found = match (count(Severity::Error), count(Severity::Warning)) {
        (0, 0) => "no problems".to_owned(),
        (0, warnings) => counted(warnings, "warning"),
        (errors, 0) => counted(errors, "error"),
        (errors, warnings) => format!("{} and {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    _ = writeln!(text, "{found} in {}", counted(outcome.files, "file"));
    text
}
