//! One path component of a `hashFiles` pattern, matched as `minimatch` matches it.
//!
//! GitHub's `hashFiles` compares in UTF-16 units (JavaScript's strings): `?` and a character set stand for
//! one unit, so that a character outside the basic plane needs two of them.

use std::borrow::Cow;

/// Windows compares without regard to case, as the peer does there.
const IGNORES_CASE: bool = cfg!(windows);

/// Windows has no escapes: its backslashes separate.
const ESCAPES: bool = !cfg!(windows);

/// Characters after which the peer's short cuts for `*.ext` and `??.ext` do not apply.
const SPECIAL: [char; 7] = ['+', '@', '!', '?', '*', '[', '('];

/// One component of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// `**`: any number of components.
    GlobStar,
    /// Text without wildcards.
    Literal(String),
    /// `*` or `*.ext`: anything not empty that ends so. An escape in the ending stays a backslash.
    EndsWith(String),
    /// `??` or `??.ext`: so many units, ending so.
    Length(usize, String),
    /// Anything else.
    Tokens(Vec<Token>),
    /// A set that holds nothing, as `[z-a]`: matches nothing.
    Never,
}

/// A piece of a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Unit(u16),
    Any,
    Star,
    Set { negated: bool, ranges: Vec<(u16, u16)> },
}

/// What a `[` begins.
enum Set {
    /// No set: the bracket stands for itself.
    None,
    /// Nothing can be in it.
    Empty,
    /// A token, and the units that it took.
    Token(Token, usize),
}

/// A POSIX class such as `[:alpha:]`, which GitHub's runner and the npm package read differently.
#[derive(Debug)]
pub(super) struct PosixClass(pub(super) String);

const POSIX_CLASSES: [&str; 14] = [
    "[:alnum:]",
    "[:alpha:]",
    "[:ascii:]",
    "[:blank:]",
    "[:cntrl:]",
    "[:digit:]",
    "[:graph:]",
    "[:lower:]",
    "[:print:]",
    "[:punct:]",
    "[:space:]",
    "[:upper:]",
    "[:word:]",
    "[:xdigit:]",
];

const BACKSLASH: u16 = b'\\' as u16;
const BRACKET: u16 = b'[' as u16;
const DASH: u16 = b'-' as u16;

impl Segment {
    /// Reads one component.
    pub(super) fn parse(text: &str) -> Result<Self, PosixClass> {
        if text == "**" {
            return Ok(Segment::GlobStar);
        }
        let folded = fold(text);
        let ending = |wildcard: char| {
            let rest = folded.trim_start_matches(wildcard);
            (rest.len() < folded.len() && !rest.contains(SPECIAL)).then(|| rest.to_owned())
        };
        if let Some(end) = ending('*') {
            return Ok(Segment::EndsWith(end));
        }
        if let Some(end) = ending('?') {
            return Ok(Segment::Length(folded.encode_utf16().count(), end));
        }
        tokens_of(&folded)
    }

    /// Whether a component of a path matches; never asked of `**`.
    pub(super) fn matches(&self, name: &str) -> bool {
        let name = fold(name);
        match self {
            Segment::GlobStar => true,
            Segment::Literal(text) => *text == name,
            Segment::EndsWith(end) => !name.is_empty() && name.ends_with(end.as_str()),
            Segment::Length(units, end) => {
                name.encode_utf16().count() == *units && name.ends_with(end.as_str())
            }
            Segment::Tokens(tokens) => {
                let units: Vec<u16> = name.encode_utf16().collect();
                tokens_match(tokens, &units)
            }
            Segment::Never => false,
        }
    }

    /// A component that is this text and nothing else.
    pub(super) fn literal(text: &str) -> Self {
        Segment::Literal(fold(text).into_owned())
    }
}

fn fold(text: &str) -> Cow<'_, str> {
    if IGNORES_CASE { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) }
}

fn tokens_of(text: &str) -> Result<Segment, PosixClass> {
    let units: Vec<u16> = text.encode_utf16().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < units.len() {
        let unit = units[at];
        at += 1;
        let token = match char::from_u32(u32::from(unit)) {
            Some('*') => Token::Star,
            Some('?') => Token::Any,
            Some('\\') if ESCAPES && at < units.len() => {
                at += 1;
                Token::Unit(units[at - 1])
            }
            Some('[') => match set_at(&units, at - 1)? {
                Set::None => Token::Unit(BRACKET),
                Set::Empty => return Ok(Segment::Never),
                Set::Token(set, taken) => {
                    at += taken - 1;
                    set
                }
            },
            _ => Token::Unit(unit),
        };
        if token != Token::Star || tokens.last() != Some(&Token::Star) {
            tokens.push(token);
        }
    }
    let literal: Option<Vec<u16>> = tokens
        .iter()
        .map(|token| match token {
            Token::Unit(unit) => Some(*unit),
            _ => None,
        })
        .collect();
    Ok(match literal {
        Some(units) => Segment::Literal(String::from_utf16_lossy(&units)),
        None => Segment::Tokens(tokens),
    })
}

/// Reads the set whose bracket is at `start`.
fn set_at(units: &[u16], start: usize) -> Result<Set, PosixClass> {
    let starts_with = |at: usize, text: &str| {
        units[at.min(units.len())..].iter().copied().take(text.len()).eq(text.encode_utf16())
    };
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    let mut at = start + 1;
    let negated = starts_with(at, "!") || starts_with(at, "^");
    at += usize::from(negated);
    let mut begun = false;
    let mut escaped = false;
    let mut range_from: Option<u16> = None;
    while at < units.len() {
        let unit = units[at];
        if unit == u16::from(b']') && begun && !escaped {
            return Ok(finished(negated, ranges, at + 1 - start));
        }
        begun = true;
        if unit == BACKSLASH && !escaped {
            escaped = true;
            at += 1;
            continue;
        }
        if unit == BRACKET
            && !escaped
            && let Some(class) = POSIX_CLASSES.iter().find(|class| starts_with(at, class))
        {
            return Err(PosixClass((*class).to_owned()));
        }
        escaped = false;
        if let Some(from) = range_from.take() {
            // A range that runs backwards holds nothing; the others still count.
            if from <= unit {
                ranges.push((from, unit));
            }
            at += 1;
        } else if starts_with(at + 1, "-]") {
            ranges.extend([(unit, unit), (DASH, DASH)]);
            at += 2;
        } else if starts_with(at + 1, "-") {
            range_from = Some(unit);
            at += 2;
        } else {
            ranges.push((unit, unit));
            at += 1;
        }
    }
    Ok(Set::None)
}

fn finished(negated: bool, ranges: Vec<(u16, u16)>, taken: usize) -> Set {
    match ranges[..] {
        [] => Set::Empty,
        // A set of one character is how a wildcard is quoted.
        [(from, to)] if from == to && !negated => Set::Token(Token::Unit(from), taken),
        _ => Set::Token(Token::Set { negated, ranges }, taken),
    }
}

fn tokens_match(tokens: &[Token], units: &[u16]) -> bool {
    let (mut token, mut unit) = (0, 0);
    // After a mismatch, the last star takes one unit more.
    let mut retry: Option<(usize, usize)> = None;
    while unit < units.len() {
        match tokens.get(token) {
            Some(Token::Star) => {
                retry = Some((token + 1, unit));
                token += 1;
            }
            Some(other) if one_matches(other, units[unit]) => {
                token += 1;
                unit += 1;
            }
            _ => match &mut retry {
                Some((after, from)) => {
                    *from += 1;
                    (token, unit) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    tokens[token..].iter().all(|rest| *rest == Token::Star)
}

fn one_matches(token: &Token, unit: u16) -> bool {
    match token {
        Token::Unit(wanted) => *wanted == unit,
        Token::Any => true,
        Token::Star => false,
        Token::Set { negated, ranges } => {
            ranges.iter().any(|(from, to)| (*from..=*to).contains(&unit)) != *negated
        }
    }
}

/// The text that a component stands for if it has no wildcards: what a walk can begin at.
pub(super) fn literal_of(segment: &str) -> Option<String> {
    let mut literal = String::new();
    let mut rest = segment.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' if ESCAPES => literal.push(rest.next().unwrap_or('\\')),
            '*' | '?' => return None,
            '[' => match set_text(rest.as_str()) {
                Some((set, after)) if set.encode_utf16().count() == 1 => {
                    literal.push_str(&set);
                    rest = after.chars();
                }
                Some((set, _)) if !set.is_empty() => return None,
                _ => literal.push('['),
            },
            other => literal.push(other),
        }
    }
    Some(literal)
}

/// The unescaped text up to the closing bracket, and what follows it.
fn set_text(text: &str) -> Option<(String, &str)> {
    let mut set = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' if ESCAPES => set.push(rest.next().unwrap_or('\\')),
            ']' => return Some((set, rest.as_str())),
            other => set.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let segment = Segment::parse(pattern).expect(pattern);
        for name in yes {
            assert!(segment.matches(name), "`{pattern}` matches `{name}`: {segment:?}");
        }
        for name in no {
            assert!(!segment.matches(name), "`{pattern}` does not match `{name}`: {segment:?}");
        }
    }

    #[test]
    fn wildcards_match_within_a_component() {
        check("*", &["a", ".a", "ü"], &[""]);
        check("*.lock", &["a.lock", ".lock"], &["a.lock2", "lock"]);
        check("a*b*c", &["abc", "axxbyyc", "abcbc"], &["abcd", "ab"]);
        check("a?c", &["abc", "aüc"], &["ac", "abbc", "a😀c"]);
        check("a??c", &["a😀c"], &[]);
        check("??.t", &["ab.t", ".a.t"], &["a.t", "abc.t"]);
        check(".*", &[".a", "."], &["a"]);
    }

    #[test]
    fn sets_hold_characters_and_ranges() {
        check("[ab]", &["a", "b"], &["c", "ab", "[ab]"]);
        check("[!ab]x", &["cx"], &["ax", "x"]);
        check("[^a-c]x", &["dx"], &["bx"]);
        check("x[]]", &["x]"], &["x"]);
        check("x[a-]", &["xa", "x-"], &["xb"]);
        check("x[z-a]y", &[], &["xzy", "x[z-a]y", "xy"]);
        check("x[z-ab]y", &["xby"], &["xzy", "xay"]);
    }

    #[test]
    fn what_is_no_set_stands_for_itself() {
        check("a[b", &["a[b"], &["ab"]);
        check("a[]", &["a[]"], &["a"]);
        check("[*]", &["*"], &["a"]);
    }

    #[test]
    #[cfg(unix)]
    fn a_backslash_takes_away_the_meaning() {
        check(r"a\*b", &["a*b"], &["axb"]);
        check(r"a\[b]*", &["a[b]", "a[b]c"], &["ab"]);
        check(r"a\", &[r"a\"], &["a"]);
        assert_eq!(literal_of(r"a\*b").as_deref(), Some("a*b"));
    }

    #[test]
    fn classes_on_which_the_peers_differ_are_refused() {
        assert_eq!(Segment::parse("x[[:alpha:]]").expect_err("a class").0, "[:alpha:]");
        assert!(Segment::parse("[:alpha:]").is_ok(), "a plain set");
    }

    #[test]
    fn literals_are_known_where_a_walk_can_begin() {
        for (segment, literal) in [
            ("abc", Some("abc")),
            ("a[b]c", Some("abc")),
            ("a[bc]", None),
            ("a*", None),
            ("a[]b", Some("a[]b")),
            ("a[b", Some("a[b")),
        ] {
            assert_eq!(literal_of(segment).as_deref(), literal, "{segment}");
        }
    }
}
