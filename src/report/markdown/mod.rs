//! Summaries of a step, as Markdown.

pub mod clean;
pub(crate) mod outcome;

use std::fmt::Write as _;

use crate::domain::shown::Shown;

/// Foreign text on one line in which nothing is markup of Markdown or HTML, a formula, a mention or a link.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in Shown::value(text).chars() {
        match character {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            // What Markdown would take for markup, as entities that it leaves alone.
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '!' | '#' | '~' | '@' | '$' => {
                let _ = write!(plain, "&#{};", u32::from(character));
            }
            other => plain.push(other),
        }
    }
    // Addresses become links without any markup.
    let mut unlinked = String::with_capacity(plain.len());
    for (index, piece) in plain.replace("://", "&#58;//").split('.').enumerate() {
        if index > 0 {
            let is_host = unlinked
                .get(unlinked.len().saturating_sub(3)..)
                .is_some_and(|w| w.eq_ignore_ascii_case("www"));
            unlinked.push_str(if is_host { "&#46;" } else { "." });
        }
        unlinked.push_str(piece);
    }
    unlinked
}
