//! What `check` found, for people, and as annotations of a job of GitHub Actions.

use std::fmt::Write as _;

use crate::domain::finding::{CheckOutcome, Finding, Severity};
use crate::domain::shown::Shown;
use crate::domain::unit::counted;
use crate::platform::github_actions::{escape_data, escape_property};

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

/// Each finding as a workflow command, which GitHub shows beside the line. Foreign text in it is shown and not obeyed.
pub(crate) fn annotations(outcome: &CheckOutcome) -> String {
    outcome.findings.iter().map(annotation).collect()
}

fn annotation(finding: &Finding) -> String {
    let mut properties = format!("title=cachekeep {}", escape_property(finding.rule));
    if let Some(place) = &finding.location {
        let file = place.file.to_string_lossy();
        let (file, line, column) = (escape_property(&Shown::value(&file)), place.line, place.column);
        let end = column + place.width;
        properties = format!("file={file},line={line},col={column},endColumn={end},{properties}");
    }
    let hint = finding.hint.as_ref().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
    let text = Shown::message(&format!("{}{hint}", finding.message));
    format!("::{} {properties}::{}\n", finding.severity, escape_data(&text))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::domain::finding::Location;

    #[test]
    fn an_annotation_is_one_command_whatever_is_in_it() {
        let text = "a: b\n";
        let finding = Finding {
            rule: "github-wrong-value",
            severity: Severity::Warning,
            message: "it cannot be `x\n::error::y 100%`".to_owned(),
            hint: Some("write `z`".to_owned()),
            location: Some(Location::of(Path::new("a,b:c.yml"), text, &(3..4))),
        };
        let outcome = CheckOutcome { files: 1, findings: vec![finding] };
        let shown = annotations(&outcome);
        assert_eq!(
            shown,
            "::warning file=a%2Cb%3Ac.yml,line=1,col=4,endColumn=5,title=cachekeep github-wrong-value::it cannot be \
             `x\\u{a}\\u{3a}:error::y 100%25`%0A  hint: write `z`\n"
        );
    }
}
