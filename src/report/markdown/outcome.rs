//! A step's summary: what was restored and saved, from where, how large, how long, and what the disks say.
//!
//! Markdown as GitHub renders it. Keys, refs and reasons are foreign text: they stand in code spans that they
//! cannot leave.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::domain::unit::ByteSize;
use crate::report::json::{CacheReport, Document};

/// GitHub takes one mebibyte of summary from a step; what other programs write in the same step needs room too.
const MAX_BYTES: usize = 768 << 10;

/// A chart of more caches says nothing.
const CHARTED: usize = 12;

/// So many characters of a reason or key are shown.
const LONGEST: usize = 240;

/// A volume before and after the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskChange {
    /// A path on it.
    pub at: PathBuf,
    /// Its size.
    pub total: ByteSize,
    /// What was free before.
    pub before: ByteSize,
    /// What is free after.
    pub after: ByteSize,
}

/// The summary of a command; nothing where no cache was worked on.
pub fn markdown(document: &Document, store: &str, disks: &[DiskChange]) -> Option<String> {
    if document.caches.is_empty() {
        return None;
    }
    let mut text = format!("### cachekeep {}\n\nStore: {}\n", document.command, code(store));
    restores(&mut text, &document.caches);
    seeds(&mut text, &document.caches);
    saves(&mut text, &document.caches);
    chart(&mut text, &document.caches);
    volumes(&mut text, disks);
    Some(bounded(text))
}

fn restores(text: &mut String, caches: &[CacheReport]) {
    let rows: Vec<_> =
        caches.iter().filter_map(|cache| Some((&cache.cache, cache.restore.as_ref()?))).collect();
    if rows.is_empty() {
        return;
    }
    text.push_str("\n| Restored | Hit | From key | Of ref | Files | Size | Archive | Seconds |\n");
    text.push_str("|---|---|---|---|--:|--:|--:|--:|\n");
    for (cache, restore) in rows {
        let from = restore.matched_key.as_deref().map_or_else(
            || match &restore.reason {
                Some(reason) => cell(reason),
                None => format!("nothing for {}", code(&restore.key)),
            },
            code,
        );
        let _ = writeln!(
            text,
            "| {} | {} | {from} | {} | {} | {} | {} | {:.1} |",
            code(cache),
            restore.hit,
            restore.matched_ref.as_deref().map(code).unwrap_or_default(),
            restore.files,
            ByteSize(restore.bytes),
            restore.archive_bytes.map(|bytes| ByteSize(bytes).to_string()).unwrap_or_default(),
            restore.seconds,
        );
    }
}

fn seeds(text: &mut String, caches: &[CacheReport]) {
    if caches.iter().all(|cache| cache.seed.is_none() && cache.gate.is_none()) {
        return;
    }
    text.push_str("\n| Objects | Seed | Added | Size | Present | Missing |\n|---|---|--:|--:|--:|--:|\n");
    for cache in caches.iter().filter(|cache| cache.seed.is_some() || cache.gate.is_some()) {
        let (seed, added, size) = cache.seed.as_ref().map_or_else(Default::default, |seed| {
            let why = seed.reason.as_deref().or(seed.source.as_deref()).map(cell).unwrap_or_default();
            (format!("{} {why}", seed.result), seed.added.to_string(), ByteSize(seed.added_bytes).to_string())
        });
        let (present, missing) = cache.gate.as_ref().map_or_else(Default::default, |gate| {
            (format!("{} of {}", gate.present, gate.wanted), gate.missing_count.to_string())
        });
        let name = code(&cache.cache);
        let _ = writeln!(text, "| {name} | {seed} | {added} | {size} | {present} | {missing} |");
    }
}

fn saves(text: &mut String, caches: &[CacheReport]) {
    let rows: Vec<_> = caches.iter().filter_map(|cache| Some((&cache.cache, cache.save.as_ref()?))).collect();
    if rows.is_empty() {
        return;
    }
    text.push_str("\n| Saved | Result | Key | Files | Size | Archive | Seconds | Why not |\n");
    text.push_str("|---|---|---|--:|--:|--:|--:|---|\n");
    for (cache, save) in rows {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {:.1} | {} |",
            code(cache),
            save.save_result,
            code(&save.key),
            save.files,
            ByteSize(save.bytes),
            ByteSize(save.archive_bytes),
            save.seconds,
            save.reason.as_deref().map(cell).unwrap_or_default(),
        );
    }
}

/// Seconds by cache, where there is something to compare.
fn chart(text: &mut String, caches: &[CacheReport]) {
    let seconds = |cache: &CacheReport| {
        cache.restore.as_ref().map_or(0.0, |restore| restore.seconds)
            + cache.seed.as_ref().map_or(0.0, |seed| seed.seconds)
            + cache.save.as_ref().map_or(0.0, |save| save.seconds)
    };
    let bars: Vec<(&str, f64)> = caches.iter().map(|cache| (cache.cache.as_str(), seconds(cache))).collect();
    if bars.len() < 2 || bars.len() > CHARTED || bars.iter().all(|(_, seconds)| *seconds < 1.0) {
        return;
    }
    // Names of caches are letters, digits, `-`, `_` and `.`: they cannot leave their quotes.
    let names: Vec<String> = bars.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    let values: Vec<String> = bars.iter().map(|(_, seconds)| format!("{seconds:.1}")).collect();
    let _ = writeln!(
        text,
        "\n```mermaid\nxychart-beta horizontal\n  title \"Seconds by cache\"\n  x-axis [{}]\n  bar [{}]\n```",
        names.join(", "),
        values.join(", "),
    );
}

fn volumes(text: &mut String, disks: &[DiskChange]) {
    if disks.is_empty() {
        return;
    }
    text.push_str("\n| Disk | Size | Free before | Free after |\n|---|--:|--:|--:|\n");
    for disk in disks {
        let at = code(&disk.at.display().to_string());
        let _ = writeln!(text, "| {at} | {} | {} | {} |", disk.total, disk.before, disk.after);
    }
}

/// Foreign text as a code span in a table: one line, no backtick, no bar that would end the cell.
fn code(text: &str) -> String {
    format!("`{}`", plain(text).replace('|', "¦"))
}

/// Foreign text as it is, with nothing in it that Markdown or HTML would act on.
fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in plain(text).chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\\' | '*' | '_' | '[' | ']' | '#' | '!' | '~' | '@' | '|' => {
                let _ = write!(safe, "&#{};", u32::from(character));
            }
            other => safe.push(other),
        }
    }
    safe
}

/// One line of bounded length without control characters; backticks become quotes.
fn plain(text: &str) -> String {
    let mut line: String = text
        .chars()
        .take(LONGEST)
        .map(|character| match character {
            '`' => '\'',
            control if control.is_control() => ' ',
            other => other,
        })
        .collect();
    if text.chars().count() > LONGEST {
        line.push('…');
    }
    line
}

/// Cut at the end of a line: half a row would break the table.
fn bounded(mut text: String) -> String {
    const CUT: &str = "\n… the rest is in the log\n";
    if text.len() > MAX_BYTES {
        let end =
            text.as_bytes()[..MAX_BYTES - CUT.len()].iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
        text.truncate(end);
        text.push_str(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::json::{Restore, Save};

    fn restored(name: &str, key: &str, seconds: f64) -> CacheReport {
        let restore = Restore {
            key: key.to_owned(),
            hit: "exact".to_owned(),
            matched_key: Some(key.to_owned()),
            matched_ref: Some("refs/heads/main".to_owned()),
            archive_bytes: Some(2_000_000),
            files: 12,
            bytes: 5_000_000,
            reason: None,
            seconds,
        };
        CacheReport { cache: name.to_owned(), restore: Some(restore), ..CacheReport::default() }
    }

    fn document(caches: Vec<CacheReport>) -> Document {
        Document { command: "run", caches, exit_code: None }
    }

    #[test]
    fn a_summary_tells_what_came_from_where_and_what_was_saved() {
        let save = Save {
            key: "ccache-2".to_owned(),
            save_result: "denied-mode".to_owned(),
            reason: Some("this job is a consumer of the cache".to_owned()),
            files: 0,
            bytes: 0,
            archive_bytes: 0,
            seconds: 0.1,
        };
        let second = CacheReport { save: Some(save), ..restored("ccache", "ccache-1", 3.0) };
        let disk = DiskChange {
            at: "/home".into(),
            total: ByteSize(10_000_000_000),
            before: ByteSize(5_000_000_000),
            after: ByteSize(4_000_000_000),
        };
        let text = markdown(&document(vec![restored("data", "data-1", 61.0), second]), "a store", &[disk]);
        insta::assert_snapshot!(text.expect("a summary"), @r#"
### cachekeep run

Store: `a store`

| Restored | Hit | From key | Of ref | Files | Size | Archive | Seconds |
|---|---|---|---|--:|--:|--:|--:|
| `data` | exact | `data-1` | `refs/heads/main` | 12 | 5.00 MB | 2.00 MB | 61.0 |
| `ccache` | exact | `ccache-1` | `refs/heads/main` | 12 | 5.00 MB | 2.00 MB | 3.0 |

| Saved | Result | Key | Files | Size | Archive | Seconds | Why not |
|---|---|---|--:|--:|--:|--:|---|
| `ccache` | denied-mode | `ccache-2` | 0 | 0 B | 0 B | 0.1 | this job is a consumer of the cache |

```mermaid
xychart-beta horizontal
  title "Seconds by cache"
  x-axis ["data", "ccache"]
  bar [61.0, 3.1]
```

| Disk | Size | Free before | Free after |
|---|--:|--:|--:|
| `/home` | 10.0 GB | 5.00 GB | 4.00 GB |
"#);
    }

    #[test]
    fn nothing_done_is_nothing_said() {
        assert_eq!(markdown(&document(vec![]), "a store", &[]), None);
    }

    #[test]
    fn a_summary_is_never_too_large() {
        let caches = (0..9000).map(|index| restored(&format!("c{index}"), &"k".repeat(512), 1.0)).collect();
        let text = markdown(&document(caches), "s", &[]).expect("a summary");
        assert!(text.len() <= MAX_BYTES && text.ends_with("in the log\n"));
    }

    proptest! {
        #[test]
        fn foreign_text_stays_in_its_cell(text in any::<String>()) {
            let spanned = code(&text);
            prop_assert_eq!(spanned.matches('`').count(), 2);
            prop_assert!(!spanned.contains(['|', '\n', '\r']));
            let told = cell(&text);
            prop_assert!(!told.contains(['|', '\n', '<', '>', '`', '[']));
        }
    }
}
