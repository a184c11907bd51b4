//! Parses templates: checks their placeholders, and suggests known ones for unknown.

use super::field::Field;
use super::findings::{Findings, Text};
use super::foreign;
use super::lint::globs;
use super::similar::closest;
use crate::domain::template::{Placeholder, Template, TemplateError};

/// Parses a template and checks its placeholders. Reports every problem; returns `None` if there is one.
pub(super) fn template(text: &Text, field: Field, findings: &mut Findings<'_>) -> Option<Template> {
    if let Some(found) = foreign::find(text.get_ref(), field, !findings.lenient()) {
        let place = findings.place_of(&text.span(), found.written);
        let message = format!("`{}` is {}, which is not expanded here", found.written, found.kind);
        if findings.lenient() {
            findings.warning(&place, message).with_hint(found.hint);
        } else {
            findings.error(&place, message).with_hint(found.hint);
            return None;
        }
    }
    let template = match Template::parse(text.get_ref()) {
        Ok(template) => template,
        Err(error) => {
            report(text, &error, findings);
            return None;
        }
    };
    let mut valid = true;
    for placeholder in template.placeholders() {
        if let Some((why, hint)) = field.refuse(placeholder) {
            let place = findings.place_of(&text.span(), &placeholder.to_string());
            findings.error(&place, format!("`{placeholder}` in {} {why}", field.name())).with_hint(hint);
            valid = false;
        } else if let Placeholder::Git(list) | Placeholder::Files(list) = placeholder
            && let Some((message, hint)) = globs::in_key(list)
        {
            findings.error(&text.span(), message).with_hint(hint);
            valid = false;
        }
    }
    valid.then_some(template)
}

fn report(text: &Text, error: &TemplateError, findings: &mut Findings<'_>) {
    let part = match error {
        TemplateError::Unbalanced { brace, .. } => brace.to_string(),
        TemplateError::Unknown(name) => format!("{{{name}}}"),
    };
    // The first brace in the text need not be the unmatched one.
    let place = match error {
        TemplateError::Unbalanced { .. } => text.span(),
        TemplateError::Unknown(_) => findings.place_of(&text.span(), &part),
    };
    let finding = findings.error(&place, error.to_string());
    if let TemplateError::Unknown(name) = error {
        finding.with_hint(suggestion(name));
    }
}

/// The hint for an unknown placeholder.
pub(super) fn suggestion(name: &str) -> String {
    const VALUES: [&str; 2] = ["env", "var"];
    const GLOBS: [&str; 3] = ["git", "files", "hash-files"];
    const TOOL: &str = "tool";
    let trimmed = name.trim();
    if let Some(placeholder) = foreign::replacement(trimmed) {
        return format!("did you mean `{placeholder}`?");
    }
    if trimmed.starts_with("hashFiles(") || trimmed.starts_with("hash-files(") {
        return "write globs after a colon, such as `{hash-files:**/*.lock}`".to_owned();
    }
    if let Some((head, tail)) = trimmed.split_once(['.', ':']) {
        let (head, tail) = (head.trim(), tail.trim());
        if VALUES.contains(&head) {
            let kept: String = tail
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' })
                .collect();
            let name = if kept.is_empty() { "NAME" } else { &kept };
            return format!(
                "did you mean `{{{head}.{name}}}`? names consist of letters, digits, `_` and `-`"
            );
        }
        if head == TOOL {
            return "write the name of a program on PATH, such as `{tool:rustc}`".to_owned();
        }
        if GLOBS.contains(&head) && trimmed.contains(':') {
            return format!("write globs separated by commas, such as `{{{head}:**/*.lock,!vendor/**}}`");
        }
        let known = VALUES.map(|v| (v, '.')).into_iter().chain(GLOBS.map(|g| (g, ':'))).chain([(TOOL, ':')]);
        for (known, separator) in known {
            if closest(head, [known]).is_some() || head == known {
                return format!("did you mean `{{{known}{separator}{tail}}}`?");
            }
        }
    }
    let known = Placeholder::known();
    let words = known.iter().map(|word| word.trim_matches(['{', '}']));
    match words.clone().find(|word| *word == trimmed).or_else(|| closest(trimmed, words)) {
        Some(word) => {
            format!("did you mean `{{{word}}}`? write `{{{{` and `}}}}` for literal braces")
        }
        None => {
            format!("known placeholders: {}; write `{{{{` or `}}}}` for a literal brace", known.join(" "))
        }
    }
}
