//! What `check` found, as SARIF 2.1.0: the format that code scanning and editors read.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Url;
use serde_json::{Value, json};

use crate::domain::finding::{CheckOutcome, Finding};

/// The outcome of `check` as a log with one run.
pub(crate) fn sarif(outcome: &CheckOutcome) -> Value {
    let rules: BTreeSet<&str> = outcome.findings.iter().map(|finding| finding.rule).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "cachekeep",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules.iter().map(|rule| json!({ "id": rule })).collect::<Vec<_>>(),
            } },
            // Columns are counted in characters, not in units of UTF-16.
            "columnKind": "unicodeCodePoints",
            "results": outcome.findings.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(finding: &Finding) -> Value {
    let hint = finding.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    let mut result = json!({
        "ruleId": finding.rule,
        "level": finding.severity.to_string(),
        "message": { "text": format!("{}{hint}", finding.message) },
    });
    if let Some(place) = &finding.location {
        result["locations"] = json!([{ "physicalLocation": {
            "artifactLocation": { "uri": uri(&place.file) },
            "region": {
                "startLine": place.line,
                "startColumn": place.column,
                "endColumn": place.column + place.width,
            },
        } }]);
    }
    result
}

/// A relative path as a relative URI, an absolute one as a `file:` URL.
fn uri(path: &Path) -> String {
    if let Ok(url) = Url::from_file_path(path) {
        return url.into();
    }
    let mut url = Url::parse("file:///").expect("a URL");
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    url.path_segments_mut().expect("URLs of files have paths").pop_if_empty().extend(&parts);
    url.path().trim_start_matches('/').to_owned()
}
