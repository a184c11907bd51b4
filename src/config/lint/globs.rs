//! Globs of content links and of key placeholders.

use globset::GlobBuilder;
use toml::Spanned;

use crate::config::findings::{Findings, Text};
use crate::domain::content_link;
use crate::domain::digest::Algorithm;
use crate::domain::path_pattern::BACKSLASH_ESCAPES;

/// The valid globs of content links; reports the others.
pub(in crate::config) fn link_files(files: &Spanned<Vec<Text>>, findings: &mut Findings<'_>) -> Vec<String> {
    let includes = files.get_ref().iter().any(|glob| !glob.get_ref().trim_start().starts_with('!'));
    if !includes {
        findings
            .error(&files.span(), "`files` matches no content links")
            .with_hint("add a glob such as `**/*.sha512`");
    }
    let mut globs = Vec::new();
    for text in files.get_ref() {
        let written = text.get_ref().trim();
        let body = written.strip_prefix('!').unwrap_or(written).trim_start();
        if let Some((message, hint)) = refused(body) {
            findings.error(&text.span(), message).with_hint(hint);
        } else if body.len() < written.len() {
            globs.push(format!("!{body}"));
        } else {
            warn_of_extension(body, text, findings);
            globs.push(body.to_owned());
        }
    }
    globs
}

/// The problem with the globs of a placeholder in a key, with its hint.
pub(in crate::config) fn in_key(globs: &[String]) -> Option<(String, &'static str)> {
    if globs.iter().all(|glob| glob.starts_with('!')) {
        let message = format!("`{}` contains only exclusions", globs.join(","));
        return Some((message, "add a glob first; `!` excludes from the preceding ones"));
    }
    globs.iter().find_map(|glob| refused(glob.strip_prefix('!').unwrap_or(glob)))
}

/// Why a glob relative to the workspace is invalid, with its hint.
fn refused(glob: &str) -> Option<(String, &'static str)> {
    let absolute = glob.starts_with(['/', '\\']) || glob.as_bytes().get(1) == Some(&b':');
    let mut parts = glob.strip_prefix("./").unwrap_or(glob).split('/');
    if glob.is_empty() {
        Some(("empty glob".to_owned(), "write a glob such as `**/*.sha512`"))
    } else if absolute || parts.any(|part| part == ".." || part == ".") {
        let message = format!("the glob `{glob}` is not relative to the workspace");
        Some((message, "write a relative path without `.` and `..`"))
    } else {
        let parsed = GlobBuilder::new(glob).literal_separator(true).empty_alternates(true).build();
        let error = parsed.err()?;
        Some((
            format!("`{glob}` is not a glob: {}", error.kind()),
            "escape special characters with brackets: `[*]`, `[[]`",
        ))
    }
}

/// Why the pattern of a path is not a valid glob. A `\` is a separator on Windows and an escape elsewhere.
pub(super) fn invalid(glob: &str) -> Option<String> {
    let parsed = GlobBuilder::new(glob).literal_separator(true).backslash_escape(BACKSLASH_ESCAPES).build();
    parsed.err().map(|error| error.kind().to_string())
}

/// Warns of a glob whose extension is not the name of an algorithm: such files are not content links.
fn warn_of_extension(glob: &str, text: &Text, findings: &mut Findings<'_>) {
    let name = glob.rsplit('/').next().unwrap_or(glob);
    let Some((_, extension)) = name.rsplit_once('.') else { return };
    let plain = extension.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain && content_link::algorithm_of(name).is_none() {
        let known: Vec<&str> = Algorithm::all().map(Algorithm::name).collect();
        findings
            .warning(&text.span(), format!("files in `.{extension}` are not content links"))
            .with_hint(format!("the extension of a content link is its algorithm: {}", known.join(", ")));
    }
}
