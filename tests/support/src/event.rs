//! The event that started a job.

use std::fs;
use std::path::Path;

/// The variables of a GitHub job that this event started. Its payload, that of a repository without anything else, is written to
/// `directory`.
pub fn started_by(event: &str, directory: &Path) -> [(&'static str, String); 3] {
    let file = directory.join(format!("{event}.json"));
    let payload = r#"{"repository": {"full_name": "o/r", "default_branch": "main"}}"#;
    fs::write(&file, payload).expect("a payload");
    [
        ("GITHUB_ACTIONS", "true".to_owned()),
        ("GITHUB_EVENT_NAME", event.to_owned()),
        ("GITHUB_EVENT_PATH", file.display().to_string()),
    ]
}
