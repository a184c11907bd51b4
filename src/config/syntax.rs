//! Cures for the syntax errors that people make who do not know TOML.

/// What to write instead, for a syntax error at this byte of the text.
pub(super) fn hint(text: &str, at: usize) -> Option<String> {
    let at = (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at))?;
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next()?.trim();
    if let Some((name, value)) = line.split_once('=') {
        let (name, value) = (name.trim(), value.trim());
        return is_name(name).then(|| of_value(name, value)).flatten();
    }
    let (name, value) = line.split_once(':')?;
    let value = value.trim().trim_matches(['"', '\'']);
    is_name(name).then(|| format!("this is TOML: write `{name} = {}`", quoted(value)))
}

fn of_value(name: &str, value: &str) -> Option<String> {
    let inner = value.strip_prefix('"');
    match inner {
        Some(inner) if inner.contains('\\') && !inner.starts_with('"') => {
            let path = inner.strip_suffix('"').unwrap_or(inner);
            (!path.contains('\''))
                .then(|| format!("use single quotes, in which `\\` has no meaning: `'{path}'`"))
        }
        None if value.starts_with(|c: char| c.is_alphabetic() || "~$./{*!\\".contains(c)) => {
            Some(format!("put text in quotes: `{name} = {}`", quoted(value)))
        }
        _ => None,
    }
}

/// A TOML string; in single quotes if the text has characters with a meaning in double ones.
fn quoted(text: &str) -> String {
    if text.contains(['\\', '"']) { format!("'{text}'") } else { format!("\"{text}\"") }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
