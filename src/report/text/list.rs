//! The entries of a store as a table for people.

use std::fmt::Write as _;

use console::{measure_text_width, truncate_str};

use crate::domain::shown::Shown;

/// A key is never shortened below this, in columns of a terminal.
const SHORTEST_KEY: usize = 24;

/// An entry of the list.
#[derive(Debug)]
pub(crate) struct Line {
    /// The size of its archive.
    pub size: String,
    /// How long ago it was used.
    pub used: String,
    /// Its scope.
    pub scope: String,
    /// Its key.
    pub key: String,
}

/// The table, with a heading if there are entries. Keys are shortened in their middle to fit a terminal of this width, and are
/// whole where it is `None`.
pub(crate) fn render(lines: &[Line], width: Option<usize>) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let heading = |text: &str| text.to_owned();
    let head =
        Line { size: heading("SIZE"), used: heading("USED"), scope: heading("REF"), key: heading("KEY") };
    let cells = |line: &Line| {
        [&line.size, &line.used, &line.scope, &line.key].map(|text| Shown::value(text).into_string())
    };
    let rows: Vec<[String; 4]> = std::iter::once(&head).chain(lines).map(cells).collect();
    let widest = |column: usize| rows.iter().map(|row| measure_text_width(&row[column])).max().unwrap_or(0);
    let widths = [widest(0), widest(1), widest(2)];
    let before: usize = widths.iter().sum::<usize>() + 6;
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(before).max(SHORTEST_KEY));
    let mut text = String::new();
    for [size, used, scope, key] in &rows {
        let pad = |text: &str, column: usize| " ".repeat(widths[column] - measure_text_width(text));
        let _ = writeln!(
            text,
            "{}{size}  {}{used}  {scope}{}  {}",
            pad(size, 0),
            pad(used, 1),
            pad(scope, 2),
            shortened(key, room)
        );
    }
    text
}

/// A key in so many columns: its middle is left out, since keys of a cache begin alike and end in what tells them apart.
fn shortened(key: &str, room: usize) -> String {
    let width = measure_text_width(key);
    if width <= room {
        return key.to_owned();
    }
    let end = (room - 1) / 2;
    let tail: String = key.chars().skip(key.chars().count() - end).collect();
    let head = truncate_str(key, room - measure_text_width(&tail), "…").into_owned();
    format!("{head}{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(size: &str, used: &str, scope: &str, key: &str) -> Line {
        let [size, used, scope, key] = [size, used, scope, key].map(str::to_owned);
        Line { size, used, scope, key }
    }

    #[test]
    fn columns_are_aligned_and_keys_fit_a_terminal() {
        let hash = "0123456789abcdef".repeat(4);
        let lines = [
            line("6.1 MB", "2 h ago", "refs/heads/main", &format!("ccache-linux-{hash}")),
            line("928 B", "14 min ago", "refs/pull/7/merge", "deps-v1"),
        ];
        let wide = format!(
            "  SIZE        USED  REF                KEY
6.1 MB     2 h ago  refs/heads/main    ccache-linux-{hash}
 928 B  14 min ago  refs/pull/7/merge  deps-v1
"
        );
        assert_eq!(render(&lines, None), wide);
        let narrow = "  SIZE        USED  REF                KEY
6.1 MB     2 h ago  refs/heads/main    ccache-linux-01234…ef0123456789abcdef
 928 B  14 min ago  refs/pull/7/merge  deps-v1
";
        assert_eq!(render(&lines, Some(76)), narrow);
        assert!(render(&lines, Some(76)).lines().all(|line| measure_text_width(line) <= 76));
        assert_eq!(render(&[], Some(80)), "");
    }

    #[test]
    fn names_take_the_columns_that_they_have_on_a_terminal() {
        let lines = [line("1 B", "now", "日本", "k"), line("1 B", "now", "main", "k\u{1b}[2J")];
        let text = render(&lines, Some(10));
        assert_eq!(text, "SIZE  USED  REF   KEY\n 1 B   now  日本  k\n 1 B   now  main  k\\u{1b}[2J\n");
    }
}
