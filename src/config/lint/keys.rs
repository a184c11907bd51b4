//! Keys and restore keys.

use std::ops::Range;

use crate::config::field::Field;
use crate::config::findings::{Findings, Text};
use crate::config::placeholders::template;
use crate::domain::key::{MAX_KEY_LENGTH, MAX_KEYS};
use crate::domain::template::{Piece, Template};

/// Separators between the parts of keys. A key that ends with one probably lacks its last part.
const SEPARATORS: [char; 6] = ['-', '_', '.', '/', '|', ':'];

/// Parses and checks a primary key.
pub(in crate::config) fn key(text: &Text, field: Field, findings: &mut Findings<'_>) -> Option<Template> {
    let key = template(text, field, findings)?;
    if !literals(&key, "key", text, findings) {
        return None;
    }
    let end = match key.pieces().last() {
        Some(Piece::Literal(literal)) => literal.chars().last().filter(|c| SEPARATORS.contains(c)),
        _ => None,
    };
    let Some(end) = end else { return Some(key) };
    let message =
        format!("the key `{}` ends in `{end}`, so its last part seems to be missing", text.get_ref());
    let hint = "add the last part or remove the separator; only restore keys may end in one";
    if findings.lenient() {
        findings.warning(&text.span(), message).with_hint(hint);
        return Some(key);
    }
    findings.error(&text.span(), message).with_hint(hint);
    None
}

/// Parses and checks the restore keys of a cache.
pub(in crate::config) fn restore_keys(
    texts: &[Text],
    field: Field,
    key: Option<&Template>,
    findings: &mut Findings<'_>,
) -> Vec<Template> {
    if let Some(first) = texts.get(MAX_KEYS - 1) {
        let message = format!("{} restore keys and the key exceed the limit of {MAX_KEYS} keys", texts.len());
        findings
            .error(&first.span(), message)
            .with_hint(format!("keep {} restore keys: no cache service accepts more", MAX_KEYS - 1));
    }
    let mut prefixes: Vec<Template> = Vec::new();
    for text in texts {
        let Some(prefix) = template(text, field, findings) else { continue };
        if !literals(&prefix, "restore key", text, findings) {
            continue;
        }
        if let Some(stem) = prefix.source().strip_suffix('*') {
            let stem = stem.trim_end_matches('*');
            findings
                .warning(
                    &text.span(),
                    format!("the restore key `{prefix}` ends in `*`, which is an ordinary character here"),
                )
                .with_hint(format!("write `{stem}`: a restore key is a prefix already"));
        } else if key.is_some_and(|key| never_prefix(&prefix, key)) {
            findings
                .warning(
                    &text.span(),
                    format!("the restore key `{prefix}` never matches an entry of this cache"),
                )
                .with_hint("start it like the key: it must be a prefix of keys");
        } else if prefixes.contains(&prefix) {
            findings
                .warning(&text.span(), format!("the restore key `{prefix}` is listed twice"))
                .with_hint("remove one");
        }
        prefixes.push(prefix);
    }
    prefixes
}

/// Checks the literal parts against the rules for keys.
fn literals(key: &Template, what: &str, text: &Text, findings: &mut Findings<'_>) -> bool {
    let place: Range<usize> = text.span();
    let literals =
        || key.pieces().iter().filter_map(|piece| if let Piece::Literal(l) = piece { Some(l) } else { None });
    let length: usize = literals().map(|literal| literal.chars().count()).sum();
    let starts_blank =
        matches!(key.pieces().first(), Some(Piece::Literal(l)) if l.starts_with(char::is_whitespace));
    let ends_blank =
        matches!(key.pieces().last(), Some(Piece::Literal(l)) if l.ends_with(char::is_whitespace));
    let (message, hint) = if key.pieces().is_empty() {
        (format!("the {what} is empty"), "write text and placeholders, such as `deps-v1-{os}`")
    } else if literals().any(|literal| literal.contains(',')) {
        (
            format!("the {what} `{key}` has a comma, which no cache service accepts"),
            "use `-` between its parts",
        )
    } else if literals().any(|literal| literal.chars().any(char::is_control)) {
        (
            format!("the {what} has a control character, which no cache service accepts"),
            "write it on one line",
        )
    } else if starts_blank || ends_blank {
        (format!("the {what} `{key}` has leading or trailing whitespace"), "remove the whitespace")
    } else if length > MAX_KEY_LENGTH {
        let message = format!("the {what} has {length} characters; the limit is {MAX_KEY_LENGTH}");
        (message, "shorten it, or replace the long part with a digest such as `{files:GLOBS}`")
    } else {
        return true;
    };
    findings.error(&place, message).with_hint(hint);
    false
}

/// Whether no expansion of the key can start with an expansion of the prefix.
///
/// Literals are compared with literals, and a placeholder equals itself. A placeholder against anything else may
/// match, so the answer is `false`.
fn never_prefix(prefix: &Template, key: &Template) -> bool {
    let mut key_pieces = key.pieces().iter();
    // The rest of the key's current literal.
    let mut left = "";
    for piece in prefix.pieces() {
        match piece {
            Piece::Literal(text) => {
                let mut text = text.as_str();
                while !text.is_empty() {
                    if left.is_empty() {
                        match key_pieces.next() {
                            Some(Piece::Literal(literal)) => left = literal,
                            Some(Piece::Placeholder(_)) => return false,
                            None => return true,
                        }
                    }
                    let shared = shared_length(text, left);
                    if shared < text.len() && shared < left.len() {
                        return true;
                    }
                    (text, left) = (&text[shared..], &left[shared..]);
                }
            }
            Piece::Placeholder(placeholder) => match (left, key_pieces.next()) {
                ("", Some(Piece::Placeholder(other))) if placeholder == other => {}
                // Placeholders never expand to nothing, so this prefix is longer than the key.
                ("", None) => return true,
                _ => return false,
            },
        }
    }
    false
}

/// Length of the common prefix of two texts, in bytes.
fn shared_length(one: &str, other: &str) -> usize {
    one.chars().zip(other.chars()).take_while(|(a, b)| a == b).map(|(c, _)| c.len_utf8()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_prefix_is_compared_with_the_possible_expansions_of_the_key() {
        let check = |prefix: &str, key: &str, never: bool| {
            let parse = |text| Template::parse(text).expect("a template");
            assert_eq!(never_prefix(&parse(prefix), &parse(key)), never, "{prefix} {key}");
        };
        check("deps-v1-", "deps-v1-{os}", false);
        check("deps-v1-{os}", "deps-v1-{os}-{sha}", false);
        check("deps-v1-{os}-", "deps-v1-{os}-{sha}", false);
        check("deps-v1-linux-", "deps-v1-{os}-{sha}", false);
        check("deps-v1-{arch}-", "deps-v1-{os}-{sha}", false);
        check("deps-{os}", "deps-v1-{os}", false);
        check("deps-v0-", "deps-v1-{os}", true);
        check("deps-v1-{os}_", "deps-v1-{os}-{sha}", true);
        check("deps-v1-{os}", "deps-v1-", true);
        check("deps-v1-x", "deps-v1-", true);
        check("{os}-a", "{os}-b", true);
        check("ü", "ö", true);
    }

    proptest! {
        #[test]
        fn every_prefix_of_the_written_key_can_match(key in "[a-c]{0,4}(\\{os\\}|\\{sha\\}|[a-c-]){0,5}") {
            let whole = Template::parse(&key).expect("a template");
            for end in (0..=key.len()).filter(|end| key.is_char_boundary(*end)) {
                if let Ok(prefix) = Template::parse(&key[..end]) {
                    prop_assert!(!never_prefix(&prefix, &whole), "{prefix} {whole}");
                }
            }
        }
    }
}
