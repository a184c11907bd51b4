//! Names of caches and of exported variables.

use crate::config::findings::{Findings, Text};

/// The most characters of a cache's name: it is a folder in archives, below other folders.
const MAX_NAME: usize = 100;

/// File names that Windows keeps for devices, with any extension.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// Whether a cache may have this name.
pub(in crate::config) fn cache(name: &Text, findings: &mut Findings<'_>) -> bool {
    let text = name.get_ref().as_str();
    let refused = if text.is_empty() {
        Some("is empty")
    } else if text.len() > MAX_NAME {
        Some("has more than 100 characters")
    } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Some("does not start with a letter or digit")
    } else if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        Some("has a character that is no letter, digit, `-`, `_` or `.`")
    } else if text.ends_with('.') {
        Some("ends in a `.`, which Windows drops")
    } else if is_device(text) {
        Some("is the name of a device on Windows")
    } else {
        None
    };
    if let Some(why) = refused {
        findings
            .error(&name.span(), format!("the name of the cache `{}` {why}", text.escape_debug()))
            .cure("the name is a folder in archives: choose letters, digits, `-`, `_` and `.`");
    }
    refused.is_none()
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).to_ascii_lowercase();
    let numbered = |prefix| {
        stem.strip_prefix(prefix).is_some_and(|n: &str| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    DEVICES.contains(&stem.as_str()) || numbered("com") || numbered("lpt")
}

/// Variables by which a cache could take over the job, and those that belong to the platform.
const DANGEROUS: [&str; 11] = [
    "PATH",
    "PATHEXT",
    "HOME",
    "SHELL",
    "ENV",
    "BASH_ENV",
    "IFS",
    "NODE_OPTIONS",
    "PYTHONSTARTUP",
    "PERL5OPT",
    "RUBYOPT",
];

/// Prefixes of such variables.
const DANGEROUS_PREFIXES: [&str; 7] =
    ["LD_", "DYLD_", "GITHUB_", "RUNNER_", "ACTIONS_", "INPUT_", "CACHEKEEP_"];

/// Whether a variable of this name may be exported.
pub(in crate::config) fn export(name: &Text, findings: &mut Findings<'_>) -> bool {
    let text = name.get_ref().as_str();
    let upper = text.to_ascii_uppercase();
    let valid = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !valid {
        findings
            .error(&name.span(), format!("`{}` is no name of a variable", text.escape_debug()))
            .cure("use letters, digits and `_`, and no digit first");
        return false;
    }
    let dangerous = DANGEROUS.contains(&upper.as_str())
        || DANGEROUS_PREFIXES.iter().any(|prefix| upper.starts_with(prefix));
    if dangerous {
        findings
            .error(
                &name.span(),
                format!("`{text}` is not exported: it steers the shell, the loader or the platform"),
            )
            .cure("export a variable of the build's own, and set this one in the job");
    }
    !dangerous
}
