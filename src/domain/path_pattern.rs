//! The text of path patterns: what separates their components, and which components are plain names.
//!
//! On Windows `\` separates components as `/` does; elsewhere it escapes the character behind it. Both the check of a
//! configuration and the selection of files read patterns through this module.

use std::borrow::Cow;

/// A name or path as a pattern that matches it alone: the inverse of [`literal`].
pub fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '*' | '?' | '[' | ']' | '{' | '}' => escaped.extend(['[', c, ']']),
            '\\' if BACKSLASH_ESCAPES => escaped.push_str("\\\\"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// Whether `\` escapes the next character in path patterns of this OS. On Windows it separates components.
pub const BACKSLASH_ESCAPES: bool = cfg!(not(windows));

/// A pattern with `/` as its only separator.
///
/// A pattern that begins with a drive can only be meant for Windows and is read as there on every OS, also behind `\\?\`, with
/// which Windows writes paths of any length.
pub fn with_slashes(pattern: &str) -> Cow<'_, str> {
    let has_drive = |text: &str| matches!(text.as_bytes(), [drive, b':', ..] if drive.is_ascii_alphabetic());
    let pattern = pattern.strip_prefix(r"\\?\").filter(|rest| has_drive(rest)).unwrap_or(pattern);
    if has_drive(pattern) || !BACKSLASH_ESCAPES {
        Cow::Owned(pattern.replace('\\', "/"))
    } else {
        Cow::Borrowed(pattern)
    }
}

/// The name that a component stands for, with escapes such as `[*]` and `\*` resolved; `None` if it has wildcards.
pub fn literal(component: &str) -> Option<String> {
    let mut name = String::new();
    let mut chars = component.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '{' | '}' | ']' => return None,
            '[' => {
                name.push(chars.next().filter(|inner| !matches!(inner, '!' | '^'))?);
                chars.next().filter(|end| *end == ']')?;
            }
            '\\' => name.push(chars.next()?),
            other => name.push(other),
        }
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_without_wildcards_is_a_name() {
        let check = |component: &str, expect: Option<&str>| {
            assert_eq!(literal(component).as_deref(), expect, "{component}");
        };
        check("a b.c", Some("a b.c"));
        check("", Some(""));
        check("[*]a[[]", Some("*a["));
        check(r"a\*b\\", Some(r"a*b\"));
        check("job[[]1[]]", Some("job[1]"));
        for wild in ["*", "a?", "{a,b}", "[ab]", "[!a]", "[]", "a]", "[a", r"a\"] {
            check(wild, None);
        }
    }

    #[test]
    fn every_name_can_be_escaped() {
        for name in ["plain", "job[1]", "{a,b}", "*?", "[!x]", "^", "é]["] {
            assert_eq!(literal(&escape(name)).as_deref(), Some(name));
        }
        if BACKSLASH_ESCAPES {
            assert_eq!(literal(&escape(r"a\b")).as_deref(), Some(r"a\b"));
        }
    }

    #[test]
    fn a_backslash_separates_only_on_windows_and_behind_drives() {
        assert_eq!(with_slashes(r"c:\x\y"), "c:/x/y");
        assert_eq!(with_slashes(r"\\?\C:\x\y"), "C:/x/y");
        assert_eq!(with_slashes(r"a\*b"), if cfg!(windows) { "a/*b" } else { r"a\*b" });
    }
}
