//! Names of caches and of exported variables.

use crate::config::findings::{Findings, Text};
use crate::domain::names;

/// Maximum characters of a cache's name, which becomes a directory in archives.
const MAX_NAME: usize = 100;

/// Checks the name of a cache.
pub(in crate::config) fn cache(name: &Text, findings: &mut Findings<'_>) -> bool {
    let text = name.get_ref().as_str();
    let refused = if text.is_empty() {
        Some("is empty")
    } else if text.len() > MAX_NAME {
        Some("has more than 100 characters")
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Some("does not start with a letter or digit")
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        Some("contains a character other than letters, digits, `-`, `_` and `.`")
    } else if text.ends_with('.') {
        Some("ends with `.`, which Windows removes")
    } else if names::is_windows_device(text.as_bytes()) {
        Some("is a device name on Windows")
    } else {
        None
    };
    if let Some(why) = refused {
        findings
            .error(&name.span(), format!("the name of the cache `{}` {why}", text.escape_debug()))
            .with_hint("use letters, digits, `-`, `_` and `.`: the name becomes a directory in archives");
    }
    refused.is_none()
}

/// Prefixes of variables that belong to the runner or to cachekeep: no workflow can allow them. Other dangerous names are
/// refused where they would be exported, unless the workflow lists them (`domain::export`).
const RESERVED_PREFIXES: [&str; 5] = ["GITHUB_", "RUNNER_", "ACTIONS_", "INPUT_", "CACHEKEEP_"];

/// Checks that an exported variable can have this name.
pub(in crate::config) fn export(name: &Text, findings: &mut Findings<'_>) -> bool {
    let text = name.get_ref().as_str();
    let upper = text.to_ascii_uppercase();
    let valid = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !valid {
        findings
            .error(&name.span(), format!("`{}` is not a valid variable name", text.escape_debug()))
            .with_hint("use letters, digits and `_`, and do not start with a digit");
        return false;
    }
    let reserved = RESERVED_PREFIXES.iter().any(|prefix| upper.starts_with(prefix));
    if reserved {
        findings
            .error(
                &name.span(),
                format!("`{text}` is not exported: it belongs to the runner or to cachekeep"),
            )
            .with_hint("export a variable that only the build reads, or set this one in the job");
    }
    !reserved
}
