//! Redaction of messages of a service: short, on one line, without signatures and tokens.

use crate::domain::secret::Secret;

/// Maximum length of a redacted text in characters.
const MAX_LENGTH: usize = 300;

/// Query parameters of signed URLs whose values are secret.
const SIGNATURES: [&str; 2] = ["sig=", "signature="];

/// The text without control characters, signatures and this token, truncated.
pub(crate) fn redacted(text: &str, token: &Secret) -> String {
    let mut shown = text.to_owned();
    if !token.expose().is_empty() {
        shown = shown.replace(token.expose(), "***");
    }
    for name in SIGNATURES {
        shown = without_values_of(&shown, name);
    }
    let mut line: String =
        shown.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_LENGTH).collect();
    if shown.chars().count() > MAX_LENGTH {
        line.push('…');
    }
    line.trim().to_owned()
}

fn without_values_of(text: &str, name: &str) -> String {
    // Offsets are preserved, since only ASCII letters change.
    let lower = text.to_ascii_lowercase();
    let mut shown = String::with_capacity(text.len());
    let mut position = 0;
    while let Some(found) = lower[position..].find(name) {
        let value = position + found + name.len();
        shown.push_str(&text[position..value]);
        shown.push_str("***");
        let ends = |c: char| c.is_whitespace() || matches!(c, '&' | '"' | '\'' | '<' | '>' | ')' | ',' | ';');
        position = lower[value..].find(ends).map_or(text.len(), |length| value + length);
    }
    shown.push_str(&text[position..]);
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn signatures_tokens_and_line_breaks_are_not_shown() {
        let check = |text: &str, expect: &str| assert_eq!(redacted(text, &Secret::new("tok.en")), expect);
        check("see https://b/x?se=1&sig=abc%2B&sp=r now", "see https://b/x?se=1&sig=***&sp=r now");
        check("\"SIG=abc\", Signature=d", "\"SIG=***\", Signature=***");
        check("Bearer tok.en\n::set-env", "Bearer *** ::set-env");
        check("cache write denied: ü", "cache write denied: ü");
        check(&"x".repeat(400), &format!("{}…", "x".repeat(300)));
    }

    proptest! {
        #[test]
        fn a_signature_is_never_shown(before in "\\PC{0,20}", after in "\\PC{0,20}") {
            let shown = redacted(&format!("{before}sig=hushhush&{after}"), &Secret::new("token"));
            prop_assert!(!shown.contains("hushhush"), "{shown}");
        }
    }
}
