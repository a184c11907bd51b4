//! Redaction of messages of a service: short, on one line, without signatures and tokens.
//!
//! A signed URL may be quoted in a message as it is, percent-encoded as the parameter of another URL, once or several
//! times, or escaped for JSON or HTML. Names are therefore looked for in the decoded text, and what is found is replaced
//! in the text as it was written.

use std::ops::Range;

use crate::domain::secret::Secret;
use crate::domain::shown::Shown;

/// Maximum length of a redacted text in characters.
const MAX_LENGTH: usize = 300;

/// Ends of the names of parameters and fields whose values are secret, or tell of what a signature permits and how long.
const SECRET_ENDINGS: [&str; 6] =
    ["sig", "signature", "token", "credential", "accesskeyid", "googleaccessid"];

/// Names that are secret as a whole: as endings they would be found in other words.
const SECRET_NAMES: [&str; 3] = ["se", "skoid", "sktid"];

/// How often a text is decoded at most.
const MAX_DEPTH: u8 = 8;

/// A character of the decoded text.
#[derive(Debug, Clone)]
struct Decoded {
    character: char,
    /// How many encodings were undone.
    depth: u8,
    /// Where it stands in the text, in bytes.
    written: Range<usize>,
}

/// The text without signatures and this token, on one line on which nothing acts, truncated.
pub(crate) fn redacted(text: &str, token: &Secret) -> String {
    let decoded = decode(text);
    let mut secrets = values(&decoded);
    secrets.extend(occurrences(&decoded, token.expose()));
    secrets.sort_by_key(|secret| (secret.start, secret.end));
    let mut line = String::with_capacity(text.len());
    let mut position = 0;
    for secret in secrets {
        if secret.start >= position {
            line.push_str(&text[position..secret.start]);
            line.push_str("***");
        }
        position = position.max(secret.end);
    }
    line.push_str(&text[position..]);
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut shown: String = line.trim().chars().take(MAX_LENGTH).collect();
    if line.trim().chars().count() > MAX_LENGTH {
        shown.push('…');
    }
    Shown::value(&shown).into_string()
}

/// Undoes encodings until none is left, or [`MAX_DEPTH`] were undone.
fn decode(text: &str) -> Vec<Decoded> {
    let single = |(at, character): (usize, char)| Decoded {
        character,
        depth: 0,
        written: at..at + character.len_utf8(),
    };
    let mut decoded: Vec<Decoded> = text.char_indices().map(single).collect();
    for _ in 0..MAX_DEPTH {
        let mut next = Vec::with_capacity(decoded.len());
        let mut rest = decoded.as_slice();
        while let Some(first) = rest.first() {
            let (character, length) = escape(rest).unwrap_or((first.character, 1));
            let (taken, left) = rest.split_at(length);
            let depth = taken.iter().map(|one| one.depth).max().unwrap_or(0) + u8::from(length > 1);
            let end = taken.last().map_or(first.written.end, |last| last.written.end);
            next.push(Decoded { character, depth, written: first.written.start..end });
            rest = left;
        }
        let is_done = next.len() == decoded.len();
        decoded = next;
        if is_done {
            break;
        }
    }
    decoded
}

/// The ASCII character that an escape at the start of the text stands for, and the length of the escape. Others cannot be part of a
/// name, and stay as they are.
fn escape(text: &[Decoded]) -> Option<(char, usize)> {
    const LONGEST: usize = 10;
    let start: String = text.iter().take(LONGEST).map(|one| one.character).collect();
    if !start.starts_with(['%', '\\', '&']) {
        return None;
    }
    let hexadecimal = |prefix: &str, digits: usize| {
        let number = start.strip_prefix(prefix)?.get(..digits)?;
        Some((u32::from_str_radix(number, 16).ok()?, prefix.len() + digits))
    };
    let entity = |prefix: &str, radix| {
        let (number, _) = start.strip_prefix(prefix)?.split_once(';')?;
        Some((u32::from_str_radix(number, radix).ok()?, prefix.len() + number.len() + 1))
    };
    let (number, length) = hexadecimal("%", 2)
        .or_else(|| hexadecimal("\\u", 4))
        .or_else(|| hexadecimal("\\x", 2))
        .or_else(|| entity("&#x", 16))
        .or_else(|| entity("&#X", 16))
        .or_else(|| entity("&#", 10))
        .or_else(|| start.starts_with("&amp;").then_some((u32::from('&'), 5)))
        .or_else(|| start.starts_with("&equals;").then_some((u32::from('='), 8)))?;
    let character = char::from_u32(number).filter(|c| c.is_ascii() && !c.is_ascii_control())?;
    Some((character, length))
}

/// The values of secret parameters and fields.
fn values(decoded: &[Decoded]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut position = 0;
    while position < decoded.len() {
        let start = position;
        position += 1;
        if !matches!(decoded[start].character, '=' | ':') || !is_secret(&decoded[..start]) {
            continue;
        }
        let depth = decoded[start].depth;
        let opens = |one: &&Decoded| one.character == ' ' || is_quote(one.character);
        let first = start + 1 + decoded[start + 1..].iter().take_while(opens).count();
        // What is encoded once more than the name is part of the value.
        let ends = |one: &Decoded| one.depth <= depth && is_end(one.character);
        let length = decoded[first..].iter().position(ends).unwrap_or(decoded.len() - first);
        if length > 0 {
            found.push(decoded[first].written.start..decoded[first + length - 1].written.end);
            position = first + length;
        }
    }
    found
}

/// Whether the name at the end of this text is that of a secret. Fields of JSON may have a quote and blanks behind it.
fn is_secret(before: &[Decoded]) -> bool {
    let characters = || before.iter().rev().map(|one| one.character);
    let blanks = characters().take_while(|c| *c == ' ' || is_quote(*c)).count();
    let name = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let mut letters: Vec<char> = characters().skip(blanks).take_while(name).collect();
    letters.reverse();
    let name: String = letters.into_iter().collect::<String>().to_ascii_lowercase();
    SECRET_NAMES.contains(&name.as_str()) || SECRET_ENDINGS.iter().any(|ending| name.ends_with(ending))
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\')
}

fn is_end(c: char) -> bool {
    c.is_whitespace() || is_quote(c) || matches!(c, '&' | '<' | '>' | ')' | ',' | ';')
}

/// Where the token stands, encoded or not.
fn occurrences(decoded: &[Decoded], token: &str) -> Vec<Range<usize>> {
    let token: Vec<char> = token.chars().collect();
    if token.is_empty() {
        return Vec::new();
    }
    let windows = decoded.windows(token.len());
    windows
        .filter(|window| window.iter().map(|one| one.character).eq(token.iter().copied()))
        .map(|window| window[0].written.start..window[window.len() - 1].written.end)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expect: &str) {
        assert_eq!(redacted(text, &Secret::new("tok.en")), expect, "{text}");
    }

    #[test]
    fn signatures_tokens_and_line_breaks_are_not_shown() {
        check("see https://b/x?sv=1&sig=abc%2B&sp=r now", "see https://b/x?sv=1&sig=***&sp=r now");
        check("https://b/x?se=2026-01-01&x=1", "https://b/x?se=***&x=1");
        check("\"SIG=abc\", Signature=d", "\"SIG=***\", Signature=***");
        check("{\"signature\": \"abc\", \"a\": 1}", "{\"signature\": \"***\", \"a\": 1}");
        check("Bearer tok.en\n::set-env", "Bearer *** \\u{3a}:set-env");
        check("Bearer tok%2Een, tok%252een", "Bearer ***, ***");
        check("cache write denied: ü", "cache write denied: ü");
        check("100% of %zz, %, &#; and \\u12", "100% of %zz, %, &#; and \\u12");
        check(&"x".repeat(400), &format!("{}…", "x".repeat(300)));
    }

    #[test]
    fn a_signature_is_found_below_every_encoding() {
        check("?a=1&%73ig=hush&b=2", "?a=1&%73ig=***&b=2");
        check("?%73%69%67%3Dhush&b=2", "?%73%69%67%3D***&b=2");
        check("?u=https%3A%2F%2Fb%3Fsig%3Dhush%252B%26b%3D2", "?u=https%3A%2F%2Fb%3Fsig%3D***%26b%3D2");
        check("%253Fsig%253Dhush%2526b", "%253Fsig%253D***%2526b");
        check("?sig=hu%26sh&b", "?sig=***&b");
        check(r"\u0026sig\u003dhush\u0026b", r"\u0026sig\u003d***\u0026b");
        check("&amp;sig=hush&amp;b=2", "&amp;sig=***");
        check("&#115;ig&#x3D;hush", "&#115;ig&#x3D;***");
        check("?X-Amz-Signature=hush&X-Amz-Credential=hush", "?X-Amz-Signature=***&X-Amz-Credential=***");
        check("?X-Goog-%53ignature=hush", "?X-Goog-%53ignature=***");
    }

    proptest! {
        #[test]
        fn a_signature_is_never_shown(
            before in "\\PC{0,20}",
            after in "\\PC{0,20}",
            depth in 0..4_usize,
            encoded in proptest::collection::vec(any::<bool>(), 4),
        ) {
            let mut name: String = "sig=".chars().zip(encoded)
                .map(|(c, is_encoded)| if is_encoded { format!("%{:02x}", u32::from(c)) } else { c.to_string() })
                .collect();
            for _ in 0..depth {
                name = name.replace('%', "%25");
            }
            let shown = redacted(&format!("{before}?{name}hushhush&{after}"), &Secret::new("token"));
            prop_assert!(!shown.contains("hush"), "{shown}");
        }

        #[test]
        fn every_text_can_be_redacted(text in any::<String>(), pieces in "[%&#x;u0-9a-f=sig\\\\]{0,40}") {
            prop_assert!(redacted(&text, &Secret::new("t")).chars().all(|c| !c.is_control()));
            redacted(&pieces, &Secret::new("%"));
        }
    }
}
