//! Foreign text on its way to a log, a terminal or a summary: names, keys, refs, paths, messages of servers, words of a
//! command line.
//!
//! Runners of every platform read commands from the output of a step, and terminals obey escape sequences. [`Shown`] is
//! text in which neither is left, and which hides nothing: what would act is written as `\u{1b}`. The rules do not
//! depend on the platform, since a log of one is often shown by another.

use std::fmt::{self, Write as _};
use std::ops::Deref;

/// Commands of GitHub's runner. Other names between colons act only at the start of a line.
const GITHUB_COMMANDS: [&str; 15] = [
    "add-mask",
    "add-matcher",
    "add-path",
    "debug",
    "echo",
    "endgroup",
    "error",
    "group",
    "notice",
    "remove-matcher",
    "save-state",
    "set-env",
    "set-output",
    "stop-commands",
    "warning",
];

/// Text that is safe to print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    /// One value on one line: line breaks are escaped like every other control character.
    pub fn value(text: &str) -> Self {
        let mut shown = String::with_capacity(text.len());
        escape(text, Notation::Braces, &mut shown);
        Shown(shown)
    }

    /// A message: its first line, and lines below it that are indented or begin with the number of a source line. Every
    /// other line break comes from a value and is escaped.
    pub fn message(text: &str) -> Self {
        let mut lines: Vec<String> = Vec::new();
        for line in text.split('\n') {
            match lines.last_mut() {
                Some(last) if !is_continuation(line) => {
                    last.push('\n');
                    last.push_str(line);
                }
                _ => lines.push(line.to_owned()),
            }
        }
        Shown(join(&lines))
    }

    /// A text of several lines, such as a table.
    pub fn lines(text: &str) -> Self {
        Shown(join(&text.split('\n').collect::<Vec<_>>()))
    }

    /// A JSON document whose strings do not contain anything that acts either. Its values are the same.
    pub fn json(document: &str) -> Self {
        let mut shown = String::with_capacity(document.len());
        for (index, line) in document.split('\n').enumerate() {
            if index > 0 {
                shown.push('\n');
            }
            escape(line, Notation::Json, &mut shown);
        }
        Shown(shown)
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Deref for Shown {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text is printed as it is.
pub fn is_plain(text: &str) -> bool {
    *Shown::value(text) == *text
}

/// Whether a character is invisible, or changes the order of those around it.
pub fn is_deceptive(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'
            | '\u{1160}'
            | '\u{17b4}'
            | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// How an escaped character is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notation {
    /// `\u{1b}`.
    Braces,
    /// `\u001b`, in UTF-16, as in a string of JSON.
    Json,
}

impl Notation {
    fn push(self, c: char, out: &mut String) {
        match self {
            Notation::Braces => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            Notation::Json => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
}

fn is_continuation(line: &str) -> bool {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with(' ') || (number.len() < line.len() && number.starts_with(" |"))
}

fn join(lines: &[impl AsRef<str>]) -> String {
    let mut shown = String::new();
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            shown.push('\n');
        }
        escape(line.as_ref(), Notation::Braces, &mut shown);
    }
    shown
}

fn escape(text: &str, notation: Notation, out: &mut String) {
    let mut before = None;
    let mut is_start = true;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let escaped = if acts(c, before, &rest[c.len_utf8()..]) {
            c.len_utf8()
        } else {
            command(rest, before.filter(|_| notation == Notation::Braces), is_start)
        };
        for c in rest[..escaped].chars() {
            notation.push(c, out);
        }
        if escaped == 0 {
            out.push(c);
        }
        let (taken, left) = rest.split_at(escaped.max(c.len_utf8()));
        before = taken.chars().next_back();
        is_start &= c.is_whitespace();
        rest = left;
    }
}

/// Whether a character acts by itself.
fn acts(c: char, before: Option<char>, after: &str) -> bool {
    match c {
        // Between letters of scripts that need them, and in emoji, joiners are part of the spelling.
        '\u{200c}' | '\u{200d}' => {
            let is_foreign = |c: char| !c.is_ascii() && !c.is_whitespace() && !acts_alone(c);
            !(before.is_some_and(is_foreign) && after.chars().next().is_some_and(is_foreign))
        }
        c => acts_alone(c),
    }
}

fn acts_alone(c: char) -> bool {
    c.is_control() || is_deceptive(c) || matches!(c, '\u{200c}' | '\u{200d}')
}

/// How many bytes must be escaped so that no command starts here.
fn command(rest: &str, before: Option<char>, is_start: bool) -> usize {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if let Some(name) = rest.strip_prefix("##") {
        // `##[group]`, `##vso[task.complete]`, and `##teamcity[…]`, anywhere in a line.
        return usize::from(name.trim_start_matches(word).starts_with('['));
    }
    if rest.starts_with("::") {
        let name = rest.trim_start_matches(':');
        let colons = rest.len() - name.len();
        // In `std::vec` the colons are part of a name.
        let is_inside = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let is_known = || {
            let end = name.find(|c| !word(c)).unwrap_or(name.len());
            GITHUB_COMMANDS.contains(&name[..end].to_ascii_lowercase().as_str())
                && (name[end..].starts_with("::") || name[end..].starts_with(' '))
        };
        let is_command =
            is_start || (!is_inside && name.starts_with(|c: char| c.is_ascii_alphabetic())) || is_known();
        return if is_command { colons - 1 } else { 0 };
    }
    for section in ["section_start:", "section_end:"] {
        let time = rest.strip_prefix(section);
        if time.is_some_and(|time| time.starts_with(|c: char| c.is_ascii_digit())) {
            return 1;
        }
    }
    0
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> String {
        Shown::value(text).into_string()
    }

    #[test]
    fn ordinary_text_is_shown_as_it_is() {
        for text in [
            "ccache-v4-linux",
            "größe שלום 🙂 👩\u{200d}💻 می\u{200c}خواهم",
            "std::vec::Vec, https://[fe80::1]:80/x",
            r"C:\tmp\a.txt",
            "a # b ## c #[d] 100% | `x`",
            "refs/heads/main: 1 :: 2",
            "## heading [link]",
        ] {
            assert_eq!(value(text), text);
            assert!(is_plain(text));
        }
    }

    #[test]
    fn every_control_character_is_escaped_everywhere() {
        let controls = (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| c.is_control());
        let mut count = 0;
        for c in controls {
            count += 1;
            let escaped = format!("\\u{{{:x}}}", u32::from(c));
            for (text, expect) in [
                (format!("{c}"), escaped.clone()),
                (format!("a{c}b"), format!("a{escaped}b")),
                (format!("{c}{c}"), format!("{escaped}{escaped}")),
            ] {
                assert_eq!(value(&text), expect);
                assert_eq!(*Shown::message(&text), expect, "a line break inside of a value");
                if c != '\n' {
                    assert_eq!(*Shown::lines(&text), expect);
                }
            }
        }
        assert_eq!(count, 65, "C0, DEL and C1");
    }

    #[test]
    fn invisible_and_reordering_characters_are_escaped() {
        for c in
            "\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{200b}\u{200e}\u{200f}\u{61c}\u{feff}\u{e0041}"
                .chars()
        {
            assert_eq!(value(&format!("a{c}b")), format!("a\\u{{{:x}}}b", u32::from(c)));
        }
        assert_eq!(value("ma\u{200d}in"), "ma\\u{200d}in");
        assert_eq!(value("\u{200c}"), "\\u{200c}");
    }

    #[test]
    fn commands_of_every_platform_are_escaped_anywhere() {
        for (text, expect) in [
            ("::set-env name=X::y", r"\u{3a}:set-env name=X::y"),
            ("  ::x", r"  \u{3a}:x"),
            ("\u{3000}::1", "\u{3000}\\u{3a}:1"),
            ("a ::x::", r"a \u{3a}:x::"),
            ("a::error::b", r"a\u{3a}:error::b"),
            ("a::Set-Output name=b::c", r"a\u{3a}:Set-Output name=b::c"),
            ("::::x", r"\u{3a}\u{3a}\u{3a}:x"),
            ("x ##[error]y", r"x \u{23}#[error]y"),
            ("###[x", r"#\u{23}#[x"),
            ("x##vso[task.complete]", r"x\u{23}#vso[task.complete]"),
            ("##VSO[x]", r"\u{23}#VSO[x]"),
            ("##teamcity[x]", r"\u{23}#teamcity[x]"),
            ("section_start:1:x", r"\u{73}ection_start:1:x"),
            ("\r\u{1b}[0Ksection_end:1:x", r"\u{d}\u{1b}[0K\u{73}ection_end:1:x"),
        ] {
            assert_eq!(value(text), expect);
        }
    }

    #[test]
    fn a_message_keeps_the_lines_that_are_indented_or_numbered() {
        let excerpt = "no\n  --> a:12:1\n   |\n12 | key = 7\n   | ^";
        assert_eq!(*Shown::message(excerpt), *excerpt);
        assert_eq!(*Shown::message("a\nerror: b\n12 c\n  ::d"), *"a\\u{a}error: b\\u{a}12 c\n  \\u{3a}:d");
        assert_eq!(*Shown::lines("a\n::b\n\nc\n"), *"a\n\\u{3a}:b\n\nc\n");
    }

    /// Whether a runner would find a command in a line, or a terminal something to obey.
    pub(crate) fn is_harmful(line: &str) -> bool {
        let word_then_bracket =
            |after: &str| after.trim_start_matches(|c: char| c.is_ascii_alphanumeric()).starts_with('[');
        line.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202e}'))
            || line.trim_start().starts_with("::")
            || line.match_indices("##").any(|(at, _)| word_then_bracket(&line[at + 2..]))
    }

    pub(crate) fn hostile() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("#".to_owned()),
            Just(":".to_owned()),
            Just("[".to_owned()),
            Just("vso".to_owned()),
            Just("section_end:1:".to_owned()),
            Just("\n".to_owned()),
            Just(" ".to_owned()),
            Just("\\".to_owned()),
            Just("\"".to_owned()),
            any::<char>().prop_map(String::from),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn nothing_acts_and_showing_twice_changes_nothing(text in hostile()) {
            for shown in [Shown::value(&text), Shown::message(&text), Shown::lines(&text)] {
                prop_assert!(!shown.split('\n').any(is_harmful), "{}", shown);
                prop_assert_eq!(&*Shown::lines(&shown), &*shown);
            }
            prop_assert!(!Shown::value(&text).contains('\n'));
        }
    }
}
