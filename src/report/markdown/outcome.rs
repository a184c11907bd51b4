//! A step's summary: what was restored and saved, from where, how large, how long, and what the disks say.
//!
//! Markdown as GitHub renders it. Keys, refs and reasons are foreign text: they stand in code spans that they
//! cannot leave.

use std::fmt::Write as _;
use std::time::Duration;

use super::disk::bar;
use super::{code, plain, short};
use crate::domain::freeable::Freed;
use crate::domain::outcome::{CacheOutcome, JobOutcome};
use crate::domain::quota::QuotaOutcome;
use crate::domain::unit::ByteSize;
use crate::domain::volume::DiskChange;

/// GitHub takes one mebibyte of summary from a step; what other programs write in the same step needs room too.
const MAX_BYTES: usize = 768 << 10;

/// Upper bound for the caches of a chart; more are not readable.
const CHARTED: usize = 12;

/// The summary of a command; nothing where no cache was worked on.
pub(crate) fn markdown(outcome: &JobOutcome, store: &str) -> Option<String> {
    if outcome.caches.is_empty() && outcome.broken.is_empty() {
        return None;
    }
    let mut text = format!("### cachekeep {}\n\nStore: {}\n", outcome.command, code(store));
    skipped(&mut text, &outcome.broken);
    restores(&mut text, &outcome.caches);
    seeds(&mut text, &outcome.caches);
    tools(&mut text, &outcome.caches);
    trims(&mut text, &outcome.caches);
    saves(&mut text, &outcome.caches);
    quota(&mut text, outcome.quota.as_ref());
    chart(&mut text, &outcome.caches);
    freed(&mut text, &outcome.freed);
    volumes(&mut text, &outcome.disks);
    Some(bounded(text))
}

/// Caches that were not worked on.
fn skipped(text: &mut String, names: &[String]) {
    if !names.is_empty() {
        let names: Vec<String> = names.iter().map(|name| code(name)).collect();
        let _ = writeln!(text, "\nSkipped: {}; the log says why.", names.join(", "));
    }
}

fn restores(text: &mut String, caches: &[CacheOutcome]) {
    let rows: Vec<_> =
        caches.iter().filter_map(|cache| Some((&cache.name, cache.restore.as_ref()?))).collect();
    if rows.is_empty() {
        return;
    }
    text.push_str("\n| Restored | Hit | From key | Of ref | Files | Size | Archive | Seconds |\n");
    text.push_str("|---|---|---|---|--:|--:|--:|--:|\n");
    for (cache, restore) in rows {
        let matched = restore.matched.as_ref();
        let from = match (matched, &restore.miss) {
            (Some(matched), _) if restore.earlier => {
                format!("{}, by an earlier step", code(matched.key.as_str()))
            }
            (Some(matched), _) => code(matched.key.as_str()),
            (None, Some(reason)) => cell(reason),
            (None, None) => format!("nothing for {}", code(restore.key.as_str())),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {from} | {} | {} | {} | {} | {:.1} |",
            code(cache),
            restore.hit,
            matched
                .and_then(|matched| matched.scope.as_ref())
                .map(|scope| code(scope.as_str()))
                .unwrap_or_default(),
            restore.files,
            restore.unpacked,
            matched.and_then(|matched| matched.size).map(|size| size.to_string()).unwrap_or_default(),
            restore.elapsed.as_secs_f64(),
        );
    }
}

fn seeds(text: &mut String, caches: &[CacheOutcome]) {
    if caches.iter().all(|cache| cache.seed.is_none() && cache.gate.is_none()) {
        return;
    }
    text.push_str("\n| Objects | Seed | Added | Size | Present | Missing |\n|---|---|--:|--:|--:|--:|\n");
    for cache in caches.iter().filter(|cache| cache.seed.is_some() || cache.gate.is_some()) {
        let (seed, added, size) = cache.seed.as_ref().map_or_else(Default::default, |seed| {
            let why = seed.reason.as_deref().or(seed.source.as_deref()).map(cell).unwrap_or_default();
            let added = seed.added + seed.fetched;
            let bytes = ByteSize(seed.added_bytes.0 + seed.fetched_bytes.0);
            (format!("{} {why}", seed.result), added.to_string(), bytes.to_string())
        });
        let (present, missing) = cache.gate.as_ref().map_or_else(Default::default, |gate| {
            (format!("{} of {}", gate.present, gate.wanted), gate.missing_count().to_string())
        });
        let name = code(&cache.name);
        let _ = writeln!(text, "| {name} | {seed} | {added} | {size} | {present} | {missing} |");
    }
}

fn tools(text: &mut String, caches: &[CacheOutcome]) {
    let rows: Vec<_> = caches.iter().filter_map(|cache| Some((&cache.name, cache.tool.as_ref()?))).collect();
    if rows.is_empty() {
        return;
    }
    text.push_str("\n| Used | By | Hits | Misses | Hit rate | Size | Limit | Fill | Clean-ups |\n");
    text.push_str("|---|---|--:|--:|--:|--:|--:|--:|---|\n");
    for (cache, used) in rows {
        let percent = |value: Option<f64>| value.map(|value| format!("{value:.1} %")).unwrap_or_default();
        let limit = used.limit.map(|limit| limit.to_string()).unwrap_or_default();
        let thrashing = if used.is_thrashing() { ", thrashing" } else { "" };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {limit} | {} | {}{thrashing} |",
            code(cache),
            cell(&used.tool),
            used.hits,
            used.misses,
            percent(used.hit_rate()),
            used.size,
            percent(used.fill()),
            used.cleanups,
        );
    }
}

fn trims(text: &mut String, caches: &[CacheOutcome]) {
    let rows: Vec<_> = caches.iter().filter_map(|cache| Some((&cache.name, cache.trimmed()?))).collect();
    if rows.is_empty() {
        return;
    }
    text.push_str(
        "\n| Trimmed | Removed | Freed | Before | After | What stays |\n|---|--:|--:|--:|--:|---|\n",
    );
    for (cache, trim) in rows {
        let freed = ByteSize(trim.before.0.saturating_sub(trim.after.0));
        let stays = trim.stays.first().map(|(unit, why)| format!("{unit}: {why}"));
        let note = trim.blocked.as_ref().or(stays.as_ref()).map(|why| cell(why)).unwrap_or_default();
        let name = code(cache);
        let _ = writeln!(
            text,
            "| {name} | {} | {freed} | {} | {} | {note} |",
            trim.units, trim.before, trim.after
        );
    }
}

fn saves(text: &mut String, caches: &[CacheOutcome]) {
    let rows: Vec<_> = caches.iter().filter_map(|cache| Some((&cache.name, cache.save.as_ref()?))).collect();
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
            save.result,
            code(save.key.as_str()),
            save.files,
            save.unpacked,
            save.archive,
            save.elapsed.as_secs_f64(),
            save.reason.as_deref().map(cell).unwrap_or_default(),
        );
    }
}

/// How full the store is, where it has a quota.
fn quota(text: &mut String, outcome: Option<&QuotaOutcome>) {
    let Some(QuotaOutcome { limit, before, after, deleted, blocked, only_warned, .. }) = outcome else {
        return;
    };
    text.push_str("\n| Store | Quota | Before | After | Deleted | What stays |\n|---|--:|--:|--:|--:|---|\n");
    let note = match blocked {
        Some(why) => cell(why),
        None if *only_warned => "nothing is deleted this time".to_owned(),
        None => String::new(),
    };
    let _ = writeln!(text, "| entries | {limit} | {before} | {after} | {deleted} | {note} |");
}

/// Seconds by cache, where there is something to compare.
fn chart(text: &mut String, caches: &[CacheOutcome]) {
    let seconds = |cache: &CacheOutcome| {
        let restore = cache.restore.as_ref().map(|restore| restore.elapsed);
        let seed = cache.seed.as_ref().map(|seed| seed.elapsed);
        let save = cache.save.as_ref().map(|save| save.elapsed);
        [restore, seed, save].into_iter().flatten().sum::<Duration>().as_secs_f64()
    };
    let bars: Vec<(&str, f64)> = caches.iter().map(|cache| (cache.name.as_str(), seconds(cache))).collect();
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

fn freed(text: &mut String, freed: &[Freed]) {
    if freed.is_empty() {
        return;
    }
    text.push_str("\n| Removed for room | Size | What stays |\n|---|--:|---|\n");
    for Freed { what, bytes, blocked } in freed {
        let why = blocked.as_deref().map(cell).unwrap_or_default();
        let _ = writeln!(text, "| {} | {} | {why} |", code(what), ByteSize(*bytes));
    }
}

fn volumes(text: &mut String, disks: &[DiskChange]) {
    if disks.is_empty() {
        return;
    }
    text.push_str("\n| Disk | Size | Used after | Free before | Free after | Inodes free after |\n");
    text.push_str("|---|--:|---|--:|--:|--:|\n");
    for disk in disks {
        let at = code(&disk.at.display().to_string());
        let bar = bar(disk.total.0.saturating_sub(disk.after.0), disk.total.0);
        let inodes = disk.inodes.map(|inodes| inodes.after.to_string()).unwrap_or_default();
        let _ =
            writeln!(text, "| {at} | {} | {bar} | {} | {} | {inodes} |", disk.total, disk.before, disk.after);
    }
}

/// Foreign text as it is, with nothing in it that Markdown or HTML would act on.
fn cell(text: &str) -> String {
    // What is listed in further lines is in the log.
    let line = text.lines().next().unwrap_or_default();
    plain(&short(line.trim_end_matches(':')).replace('`', "'"))
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
    use crate::domain::outcome::{Hit, RestoreOutcome, SaveOutcome, SaveResult, testing};

    fn restored(name: &str, key: &str, seconds: u64) -> CacheOutcome {
        let restore = testing::restored(key, Hit::Exact, Some(key));
        let restore = RestoreOutcome { elapsed: Duration::from_secs(seconds), ..restore };
        CacheOutcome { name: name.to_owned(), restore: Some(restore), ..CacheOutcome::default() }
    }

    fn job(caches: Vec<CacheOutcome>) -> JobOutcome {
        JobOutcome { caches, ..JobOutcome::new("run") }
    }

    #[test]
    fn a_summary_tells_what_came_from_where_and_what_was_saved() {
        let save = SaveOutcome {
            reason: Some("this job is a consumer of the cache".to_owned()),
            elapsed: Duration::from_millis(100),
            ..testing::saved("ccache-2", SaveResult::DeniedMode)
        };
        let second = CacheOutcome { save: Some(save), ..restored("ccache", "ccache-1", 3) };
        let disk = DiskChange {
            at: "/home".into(),
            total: ByteSize(10_000_000_000),
            before: ByteSize(5_000_000_000),
            after: ByteSize(4_000_000_000),
            inodes: None,
        };
        let job = JobOutcome { disks: vec![disk], ..job(vec![restored("data", "data-1", 61), second]) };
        let text = markdown(&job, "a store");
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

| Disk | Size | Used after | Free before | Free after | Inodes free after |
|---|--:|---|--:|--:|--:|
| `/home` | 10.0 GB | ████████████░░░░░░░░ | 5.00 GB | 4.00 GB |  |
"#);
    }

    #[test]
    fn nothing_done_is_nothing_said() {
        assert_eq!(markdown(&job(vec![]), "a store"), None);
    }

    #[test]
    fn a_summary_is_never_too_large() {
        let caches = (0..9000).map(|index| restored(&format!("c{index}"), &"k".repeat(512), 1)).collect();
        let text = markdown(&job(caches), "s").expect("a summary");
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

        #[test]
        fn no_address_becomes_a_link(text in "(https?://|www\\.|WWW\\.|<a href=x>|\\[a\\]\\(b\\)|[a-z.:/]){0,12}") {
            let told = cell(&text);
            prop_assert!(!told.contains("://") && !told.to_lowercase().contains("www."), "{told}");
            prop_assert!(!told.contains(['<', '[']), "{told}");
        }
    }
}
