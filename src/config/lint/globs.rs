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
        let glob = text.get_ref().trim();
        let body = glob.strip_prefix('!').unwrap_or(glob).trim_start();
        let absolute = body.starts_with(['/', '\\']) || body.as_bytes().get(1) == Some(&b':');
        if body.is_empty() {
            findings.error(&text.span(), "a glob is empty").cure("write one such as `**/*.sha512`");
        } else if absolute || body.split(['/', '\\']).any(|part| part == "..") {
            findings
                .error(&text.span(), format!("the glob `{body}` leaves the workspace"))
                .cure("write it relative to the workspace, without `..`");
        } else if let Some(why) = wrong(body) {
            findings.error(&text.span(), format!("`{body}` is not a glob: {why}"));
        } else {
            if body == glob {
                warn_of_extension(body, text, findings);
            }
            globs.push(glob.to_owned());
        }
    }
    globs
}

/// Why a text is no glob.
pub(super) fn wrong(glob: &str) -> Option<String> {
    let parsed = GlobBuilder::new(glob).literal_separator(true).build();
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
