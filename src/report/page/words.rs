//! Numbers and names as the page shows them.

use crate::domain::unit::noun;

/// `1 entry`, `2 entries`.
pub(super) fn count(number: usize, thing: &str) -> String {
    format!("{} {}", thousands(number), noun(number == 1, thing))
}

/// `12 345`, with a narrow space that does not break.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// Percent with one digit behind the point below ten.
pub(super) fn percent(part: u64, whole: u64) -> String {
    let share = share(part, whole);
    match share {
        share if part > 0 && share < 0.1 => "< 0.1".to_owned(),
        share if share < 10.0 => format!("{share:.1}"),
        share => format!("{share:.0}"),
    }
}

/// Percent.
#[expect(clippy::cast_precision_loss, reason = "a picture need not be exact to the byte")]
pub(super) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// The first characters of a name, at most `most`, with an ellipsis for the rest.
pub(super) fn cut(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    let head: String = name.chars().take(most - 1).collect();
    format!("{head}…")
}
