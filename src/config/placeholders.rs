//! Which placeholders are allowed in which field, and suggestions for unknown ones.

use super::findings::{Findings, Text};
use super::foreign;
use super::lint::globs;
use super::similar::closest;
use crate::domain::secret::is_secret_name;
use crate::domain::template::{Placeholder, Template, TemplateError};

/// A field that holds a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// `key`, and each of `restore-keys`; `links` tells whether the cache declares content links.
    Key { links: bool },
    /// `path`, and each of `paths`.
    Path,
    /// A value of `export`.
    Export,
    /// `links.object`.
    Object,
    /// One of `links.mirrors`.
    Mirror,
    /// One of `links.harvest`.
    Harvest,
    /// One of `seed.from`.
    Seed,
}

/// Why a variable with the name of a secret is not expanded, and the hint.
pub(super) const SECRET: (&str, &str) = (
    "would show a secret: variables with such names are only expanded as the user and password of a mirror",
    "use a variable with another name, or pass a value that may be known with `--var` and use `{var.NAME}`",
);

impl Field {
    fn name(self) -> &'static str {
        match self {
            Field::Key { .. } => "a key",
            Field::Path => "a path",
            Field::Export => "an exported variable",
            Field::Object => "`object`",
            Field::Mirror => "a mirror",
            Field::Harvest => "a directory of `harvest`",
            Field::Seed => "the source of a seed",
        }
    }

    /// Why the placeholder is not allowed here: the predicate of the message, and the hint.
    fn refuse(self, placeholder: &Placeholder) -> Option<(&'static str, &'static str)> {
        use Placeholder as P;
        let in_key = matches!(self, Field::Key { .. });
        match placeholder {
            // A mirror may have secrets as its user and password, which `lint::sources` checks.
            P::Env(name) if self != Field::Mirror && is_secret_name(name) => Some(SECRET),
            P::Temp | P::Workspace | P::Home | P::Path if in_key => Some((
                "differs between machines, so other machines would never find the entry",
                "remove it: an entry can be restored to any directory",
            )),
            P::Links if self == (Field::Key { links: false }) => Some((
                "needs content links, which the cache does not declare",
                "add a `links` table with `files = [\"**/*.sha512\"]`, or use `{files:GLOBS}`",
            )),
            P::Hash | P::AlgorithmUpper | P::AlgorithmLower
                if !matches!(self, Field::Object | Field::Mirror) =>
            {
                Some((
                    "stands for a part of an object's name",
                    "use it in `links.object` and `links.mirrors`",
                ))
            }
            P::Hash | P::AlgorithmUpper | P::AlgorithmLower => None,
            _ if self == Field::Object => Some((
                "would make the layout differ between jobs",
                "use only `{hash}`, `{ALGO}` and `{algo}`",
            )),
            P::Links | P::Git(_) | P::Files(_) | P::HashFiles(_) if !in_key => {
                Some(("stands for a digest of files", "use it in `key` and `restore-keys`"))
            }
            P::Path if self != Field::Export => {
                Some(("stands for the cache's directory", "use it in the values of `export`"))
            }
            _ => None,
        }
    }
}

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
        if GLOBS.contains(&head) && trimmed.contains(':') {
            return format!("write globs separated by commas, such as `{{{head}:**/*.lock,!vendor/**}}`");
        }
        let known = VALUES.map(|v| (v, '.')).into_iter().chain(GLOBS.map(|g| (g, ':')));
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
