//! What came of cleaning, for people: a sentence for the log, and Markdown for the summary of a step.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::domain::clean::{CleanOutcome, End, Fate};
use crate::domain::retention::Verdict;
use crate::domain::retention::plan::Amount;

/// Rows of a table before the rest is summed up; GitHub takes 1 MiB for a step.
const ROWS: usize = 25;

/// Slices of the chart before the rest is summed up.
const SLICES: usize = 8;

/// What happened to the bytes of a ref or a pattern.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    freed: Amount,
    kept: Amount,
    left: Amount,
}

impl Row {
    fn bytes(&self) -> u64 {
        self.freed.bytes.0.saturating_add(self.kept.bytes.0).saturating_add(self.left.bytes.0)
    }

    fn add(&mut self, other: &Row) {
        for (own, more) in
            [(&mut self.freed, other.freed), (&mut self.kept, other.kept), (&mut self.left, other.left)]
        {
            own.entries += more.entries;
            own.bytes.0 = own.bytes.0.saturating_add(more.bytes.0);
        }
    }
}

/// What came of it, in a few lines for the log.
pub fn text(outcome: &CleanOutcome) -> String {
    let mut text = headline(outcome);
    for (rule, amount) in &outcome.plan.totals().by_rule {
        let _ = write!(text, "\n  {rule}: {amount}");
    }
    if let Some(budget) = &outcome.plan.budget {
        let _ = write!(text, "\n  budget: {budget}");
    }
    for later in outcome.rounds.iter().skip(1).filter(|round| !round.attempts.is_empty()) {
        let _ = write!(text, "\n  {} more became due meanwhile", later.attempts.len());
    }
    if let Some(calls) = &outcome.calls {
        let _ = write!(text, "\n  {calls}");
    }
    text
}

/// One sentence: what was freed, what stays.
fn headline(outcome: &CleanOutcome) -> String {
    let planned = outcome.plan.totals().all;
    let location = &outcome.location;
    match &outcome.end {
        End::DryRun if planned.freed.entries == 0 => {
            format!("nothing to delete from {location}; {} stay", planned.kept)
        }
        End::DryRun => format!("{} would be deleted from {location}; {} stay", planned.freed, planned.kept),
        _ if outcome.attempts().next().is_none() => {
            format!("nothing to delete from {location}; {} stay", planned.kept)
        }
        end => {
            let mut text = format!("{} deleted from {location}; {} stay", outcome.freed(), planned.kept);
            let (failed, not_tried) = (outcome.failed(), outcome.not_tried());
            if failed.entries > 0 {
                let _ = write!(text, "; {failed} could not be deleted");
            }
            if not_tried.entries > 0 {
                let _ = write!(text, "; {not_tried} not tried");
            }
            if let End::NotPermitted(why) | End::Stopped(why) = end {
                let _ = write!(text, ": {why}");
            }
            text
        }
    }
}

/// What came of it, as Markdown with a chart.
pub fn markdown(outcome: &CleanOutcome) -> String {
    let mut text = String::from("## Caches cleaned\n\n");
    let _ = writeln!(text, "{}\n", plain(&headline(outcome)));
    if let Some(budget) = &outcome.plan.budget {
        let _ = writeln!(text, "Budget: {}\n", plain(&budget.to_string()));
    }
    for note in &outcome.notes {
        let _ = writeln!(text, "> {}\n", plain(note));
    }
    let by_pattern = rows(outcome, |subject| subject.1.to_owned());
    chart(&mut text, &by_pattern);
    table(&mut text, "Key pattern", &by_pattern);
    table(&mut text, "Ref", &rows(outcome, |subject| subject.0.to_owned()));
    reasons(&mut text, outcome);
    failures(&mut text, outcome);
    if let Some(calls) = &outcome.calls {
        let _ = writeln!(text, "{}", plain(&calls.to_string()));
    }
    text
}

/// Sums by what `name` makes of a ref and a pattern; the largest first.
fn rows(outcome: &CleanOutcome, name: impl Fn((&str, &str)) -> String) -> Vec<(String, Row)> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    for decision in &outcome.plan.decisions {
        let row = rows.entry(name((decision.entry.scope.as_str(), decision.pattern.as_str()))).or_default();
        match decision.verdict {
            Verdict::Keep => row.kept.add(decision.entry.size),
            Verdict::Delete if outcome.end == End::DryRun => row.freed.add(decision.entry.size),
            Verdict::Delete => {}
        }
    }
    for attempt in outcome.attempts() {
        let row = rows.entry(name((attempt.entry.scope.as_str(), attempt.pattern.as_str()))).or_default();
        match attempt.fate {
            Fate::Deleted => row.freed.add(attempt.entry.size),
            Fate::AlreadyGone => {}
            Fate::Failed(_) | Fate::NotTried => row.left.add(attempt.entry.size),
        }
    }
    let mut rows: Vec<(String, Row)> = rows.into_iter().collect();
    rows.sort_by(|a, b| b.1.bytes().cmp(&a.1.bytes()).then_with(|| a.0.cmp(&b.0)));
    rows
}

fn table(text: &mut String, name: &str, rows: &[(String, Row)]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "| {name} | Freed | Kept | Left undone |\n|---|--:|--:|--:|");
    let mut line = |name: &str, row: &Row| {
        let cell = |amount: &Amount| match amount.entries {
            0 => String::new(),
            entries => format!("{} ({entries})", amount.bytes),
        };
        let _ =
            writeln!(text, "| {name} | {} | {} | {} |", cell(&row.freed), cell(&row.kept), cell(&row.left));
    };
    rows.iter().take(ROWS).for_each(|(name, row)| line(&code(name), row));
    if rows.len() > ROWS {
        let mut rest = Row::default();
        rows[ROWS..].iter().for_each(|(_, row)| rest.add(row));
        line(&format!("and {} more", rows.len() - ROWS), &rest);
    }
    text.push('\n');
}

/// A pie of what was freed and kept by pattern. The tables say the same in text.
fn chart(text: &mut String, rows: &[(String, Row)]) {
    let mut slices: Vec<(String, u64)> = Vec::new();
    for (name, row) in rows {
        for (what, amount) in [("freed", row.freed), ("kept", row.kept)] {
            slices.push((format!("{what} {}", label(name)), amount.bytes.0 / 1_000_000));
        }
    }
    slices.retain(|(_, megabytes)| *megabytes > 0);
    slices.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if slices.is_empty() {
        return;
    }
    let rest: u64 = slices.iter().skip(SLICES).map(|(_, megabytes)| megabytes).sum();
    slices.truncate(SLICES);
    if rest > 0 {
        slices.push(("all others".to_owned(), rest));
    }
    text.push_str("```mermaid\npie showData title Megabytes by key pattern\n");
    for (name, megabytes) in slices {
        let _ = writeln!(text, "    \"{name}\" : {megabytes}");
    }
    text.push_str("```\n\n");
}

fn reasons(text: &mut String, outcome: &CleanOutcome) {
    let totals = outcome.plan.totals();
    if totals.by_rule.is_empty() {
        return;
    }
    text.push_str("| First reason | Entries | Bytes |\n|---|--:|--:|\n");
    for (rule, amount) in &totals.by_rule {
        let _ = writeln!(text, "| {rule} | {} | {} |", amount.entries, amount.bytes);
    }
    text.push('\n');
}

fn failures(text: &mut String, outcome: &CleanOutcome) {
    let failed: Vec<(String, &str)> = outcome
        .attempts()
        .filter_map(|attempt| match &attempt.fate {
            Fate::Failed(why) => {
                Some((format!("{} of {}", attempt.entry.key, attempt.entry.scope), why.as_str()))
            }
            _ => None,
        })
        .collect();
    if failed.is_empty() {
        return;
    }
    text.push_str("### Could not be deleted\n\n");
    for (name, why) in failed.iter().take(ROWS) {
        let _ = writeln!(text, "- {}: {}", code(name), plain(why));
    }
    if failed.len() > ROWS {
        let _ = writeln!(text, "- and {} more", failed.len() - ROWS);
    }
    text.push('\n');
}

/// Foreign text as code, also in a cell of a table.
fn code(text: &str) -> String {
    format!("<code>{}</code>", plain(text))
}

/// Foreign text in which nothing is markup.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            // What Markdown would take for markup, as entities that it leaves alone.
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '!' | '#' | '~' | '@' | '$' => {
                let _ = write!(plain, "&#{};", u32::from(character));
            }
            control if control.is_control() => plain.push(' '),
            other => plain.push(other),
        }
    }
    plain
}

/// Foreign text as the label of a slice.
fn label(text: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '*' | ' ' | ':');
    text.chars().take(60).map(|c| if fits(c) { c } else { '_' }).collect()
}
