//! Globs of content links.

use globset::GlobBuilder;
use toml::Spanned;

use crate::config::findings::{Findings, Text};
use crate::domain::content_link;
use crate::domain::digest::Algorithm;

/// The globs that find content links, without those that are wrong.
pub(in crate::config) fn link_files(files: &Spanned<Vec<Text>>, findings: &mut Findings<'_>) -> Vec<String> {
    let includes = files.get_ref().iter().any(|glob| !glob.get_ref().trim_start().starts_with('!'));
    if !includes {
        findings
            .error(&files.span(), "`files` names no content links")
            .cure("add a glob such as `**/*.sha512`");
    }
    let mut globs = Vec::new();
    for text in files.get_ref() {
        let written = text.get_ref().trim();
        let body = written.strip_prefix('!').unwrap_or(written).trim_start();
        if let Some((message, cure)) = refused(body) {
            findings.error(&text.span(), message).cure(cure);
        } else if body.len() < written.len() {
            globs.push(format!("!{body}"));
        } else {
            warn_of_extension(body, text, findings);
            globs.push(body.to_owned());
        }
    }
    globs
}

/// What is wrong with the globs of a placeholder in a key, and its cure.
pub(in crate::config) fn in_key(globs: &[String]) -> Option<(String, &'static str)> {
    if globs.iter().all(|glob| glob.starts_with('!')) {
        let message = format!("`{}` only excludes", globs.join(","));
        return Some((message, "name files first; `!` takes away from what stands before it"));
    }
    globs.iter().find_map(|glob| refused(glob.strip_prefix('!').unwrap_or(glob)))
}

/// Why a glob below the workspace cannot be used, and the cure.
fn refused(glob: &str) -> Option<(String, &'static str)> {
    let absolute = glob.starts_with(['/', '\\']) || glob.as_bytes().get(1) == Some(&b':');
    let mut parts = glob.strip_prefix("./").unwrap_or(glob).split('/');
    if glob.is_empty() {
        Some(("a glob is empty".to_owned(), "write one such as `**/*.sha512`"))
    } else if absolute || parts.any(|part| part == ".." || part == ".") {
        let message = format!("the glob `{glob}` is not one below the workspace");
        Some((message, "write it relative to the workspace, without `.` and `..`"))
    } else {
        let parsed = GlobBuilder::new(glob).literal_separator(true).empty_alternates(true).build();
        let error = parsed.err()?;
        Some((
            format!("`{glob}` is not a glob: {}", error.kind()),
            "put a special character in brackets: `[*]`, `[[]`",
        ))
    }
}

/// Why the pattern of a path is no glob. Its `\` is a separator on Windows and an escape elsewhere.
pub(super) fn wrong(glob: &str) -> Option<String> {
    let parsed = GlobBuilder::new(glob).literal_separator(true).backslash_escape(cfg!(not(windows))).build();
    parsed.err().map(|error| error.kind().to_string())
}

/// The extension names the algorithm; files with another one are no content links.
fn warn_of_extension(glob: &str, text: &Text, findings: &mut Findings<'_>) {
    let name = glob.rsplit('/').next().unwrap_or(glob);
    let Some((_, extension)) = name.rsplit_once('.') else { return };
    let plain = extension.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain && content_link::algorithm_of(name).is_none() {
        let known: Vec<&str> = Algorithm::all().map(Algorithm::name).collect();
        findings
            .warning(&text.span(), format!("files in `.{extension}` are no content links"))
            .cure(format!("the extension of a link names its algorithm: {}", known.join(", ")));
    }
}
