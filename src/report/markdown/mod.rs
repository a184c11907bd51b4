//! Summaries of a step, as Markdown.

pub mod clean;
pub(crate) mod disk;
pub(crate) mod outcome;

use std::fmt::Write as _;

use crate::domain::shown::Shown;

/// Upper bound for the characters of a reason or key.
const LONGEST: usize = 240;

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

/// Foreign text as a code span in a table: one line, no backtick, no bar that would end the cell.
fn code(text: &str) -> String {
    format!("`{}`", Shown::value(&short(text)).replace('`', "'").replace('|', "¦"))
}

/// The text, of bounded length.
fn short(text: &str) -> String {
    let mut short: String = text.chars().take(LONGEST).collect();
    if text.chars().count() > LONGEST {
        short.push('…');
    }
    short
}
