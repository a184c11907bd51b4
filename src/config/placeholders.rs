//! Which placeholders may stand in which field, and what was meant by one that does not exist.

use super::findings::{Findings, Text};
use super::lint::globs;
use super::similar::closest;
use crate::domain::template::{Placeholder, Template, TemplateError};

/// A field that holds a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// `key`, and each of `restore-keys`; with whether the cache has links.
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

impl Field {
    fn name(self) -> &'static str {
        match self {
            Field::Key { .. } => "a key",
            Field::Path => "a path",
            Field::Export => "an exported variable",
            Field::Object => "`object`",
            Field::Mirror => "a mirror",
            Field::Harvest => "a folder of `harvest`",
            Field::Seed => "the source of a seed",
        }
    }

    /// Why the placeholder may not stand here: the rest of the message, and the cure.
    fn refuse(self, placeholder: &Placeholder) -> Option<(&'static str, &'static str)> {
        use Placeholder as P;
        let in_key = matches!(self, Field::Key { .. });
        match placeholder {
            P::Temp | P::Workspace | P::Home | P::Path if in_key => Some((
                "differs from machine to machine, so that no other would ever find the entry",
                "leave it out: entries are found wherever the folders of a cache lie",
            )),
            P::Links if self == (Field::Key { links: false }) => Some((
                "needs content links, and the cache has none",
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
                "would make the store look different from job to job",
                "use `{hash}`, `{ALGO}` and `{algo}` only",
            )),
            P::Links | P::Git(_) | P::Files(_) | P::HashFiles(_) if !in_key => {
                Some(("stands for a digest of files", "use it in `key` and `restore-keys`"))
            }
            P::Path if self != Field::Export => {
                Some(("stands for the cache's folder", "use it in the values of `export`"))
            }
            _ => None,
        }
    }
}

/// Reads a template and checks its placeholders; all that is wrong is reported.
pub(super) fn template(text: &Text, field: Field, findings: &mut Findings<'_>) -> Option<Template> {
    if let Some(at) = text.get_ref().find("${{").filter(|_| !findings.lenient()) {
        let rest = &text.get_ref()[at..];
        let end = rest.find("}}").map_or(rest.len(), |end| end + 2);
        let place = findings.place_of(&text.span(), &rest[..end]);
        findings
            .error(
                &place,
                format!("`{}` is an expression of GitHub, and stands for itself here", &rest[..end]),
            )
            .cure("use a placeholder such as `{os}` or `{temp}`, or hand the value over as `{var.NAME}`");
        return None;
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
        if let Some((why, cure)) = field.refuse(placeholder) {
            let place = findings.place_of(&text.span(), &placeholder.to_string());
            findings.error(&place, format!("`{placeholder}` in {} {why}", field.name())).cure(cure);
            valid = false;
        } else if let Placeholder::Git(list) | Placeholder::Files(list) = placeholder
            && let Some((message, cure)) = globs::in_key(list)
        {
            findings.error(&text.span(), message).cure(cure);
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
    // The first brace in the text need not be the one without its other half.
    let place = match error {
        TemplateError::Unbalanced { .. } => text.span(),
        TemplateError::Unknown(_) => findings.place_of(&text.span(), &part),
    };
    let finding = findings.error(&place, error.to_string());
    if let TemplateError::Unknown(name) = error {
        finding.cure(meant(name));
    }
}

/// What to write instead of an unknown placeholder.
pub(super) fn meant(name: &str) -> String {
    const VALUES: [&str; 2] = ["env", "var"];
    const GLOBS: [&str; 3] = ["git", "files", "hash-files"];
    let trimmed = name.trim();
    if let Some((head, tail)) = trimmed.split_once(['.', ':']) {
        let (head, tail) = (head.trim(), tail.trim());
        if VALUES.contains(&head) {
            let kept: String = tail
                .chars()
                .map(|c| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' })
                .collect();
            let name = if kept.is_empty() { "NAME" } else { &kept };
            return format!("did you mean `{{{head}.{name}}}`? a name has letters, digits, `_` and `-`");
        }
        if GLOBS.contains(&head) && trimmed.contains(':') {
            return format!("write globs between commas, such as `{{{head}:**/*.lock,!vendor/**}}`");
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
            format!("did you mean `{{{word}}}`? for the braces themselves, write `{{{{` and `}}}}`")
        }
        None => format!("there are {}; for a brace itself, write `{{{{` or `}}}}`", known.join(" ")),
    }
}
