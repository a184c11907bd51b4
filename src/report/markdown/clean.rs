//! The outcome of cleaning, for people: a sentence for the log, and Markdown for the summary of a step.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::plain;
use crate::domain::clean::{CleanOutcome, End, Fate};
use crate::domain::retention::Verdict;
use crate::domain::retention::plan::Amount;
use crate::domain::thin;

/// Rows of a table before the rest is summed up; GitHub takes 1 MiB for a step.
const ROWS: usize = 25;

/// Slices of the chart before the rest is summed up.
const SLICES: usize = 8;

/// What happened to the bytes of a ref or a pattern.
#[derive(Debug, Clone, Copy, Default)]
struct CleanRow {
    freed: Amount,
    kept: Amount,
    left: Amount,
}

impl CleanRow {
    fn bytes(&self) -> u64 {
        self.freed.bytes.0.saturating_add(self.kept.bytes.0).saturating_add(self.left.bytes.0)
    }

    fn add(&mut self, other: &CleanRow) {
        for (own, more) in
            [(&mut self.freed, other.freed), (&mut self.kept, other.kept), (&mut self.left, other.left)]
        {
            own.entries += more.entries;
            own.bytes.0 = own.bytes.0.saturating_add(more.bytes.0);
        }
    }
}

/// The outcome in a few lines for the log.
pub fn text(outcome: &CleanOutcome) -> String {
    let mut text = headline(outcome);
    if outcome.end == End::DryRun {
        let planned = outcome.plan.decisions.iter().filter(|decision| decision.verdict == Verdict::Delete);
        for decision in planned {
            let entry = &decision.entry;
            let rules: Vec<String> = decision.reasons.iter().map(ToString::to_string).collect();
            let rules = rules.join(", ");
            let name = thin::quoted(&entry.key);
            // Keys are long: why each is deleted has a line of its own.
            let _ = write!(text, "\n  {name} of {}: {}\n    {rules}", entry.scope, entry.size);
        }
    }
    for (rule, amount) in &outcome.plan.totals().by_rule {
        let _ = write!(text, "\n  {rule}: {amount}");
    }
    for line in notable(outcome) {
        let _ = write!(text, "\n  {line}");
    }
    for later in outcome.rounds.iter().skip(1).filter(|round| !round.attempts.is_empty()) {
        let _ = write!(text, "\n  {} more became due meanwhile", later.attempts.len());
    }
    if let Some(calls) = &outcome.calls {
        let _ = write!(text, "\n  {calls}");
    }
    text
}

/// What there is to say besides: what may not go though a rule asks for it, the budget, unfinished uploads.
fn notable(outcome: &CleanOutcome) -> Vec<String> {
    let blocked = outcome.plan.blocked().into_iter();
    let mut lines: Vec<String> =
        blocked.map(|(rule, amount)| format!("{amount} would go, but: {rule}")).collect();
    lines.extend(outcome.plan.budget.iter().map(|budget| format!("budget: {budget}")));
    let swept = outcome.swept.filter(|swept| swept.removed + swept.live > 0);
    lines.extend(swept.map(|swept| swept.to_string()));
    lines
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
        End::Stopped(why) if outcome.attempts().next().is_none() => {
            format!("nothing was deleted from {location}: {why}")
        }
        _ if outcome.attempts().next().is_none() => {
            format!("nothing to delete from {location}; {} stay", planned.kept)
        }
        end => {
            let mut text = format!("{} deleted from {location}; {} stay", outcome.freed(), planned.kept);
            let (spared, failed, not_tried) = (outcome.kept(), outcome.failed(), outcome.not_tried());
            if spared.entries > 0 {
                let _ = write!(text, "; {spared} spared, since they came into use");
            }
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

/// The outcome as Markdown with a chart.
pub fn markdown(outcome: &CleanOutcome) -> String {
    let title = if outcome.by_hand { "Entries deleted" } else { "Caches cleaned" };
    let mut text = format!("## {title}\n\n");
    let _ = writeln!(text, "{}\n", plain(&headline(outcome)));
    let notable = notable(outcome);
    for line in &notable {
        let _ = writeln!(text, "- {}", plain(line));
    }
    text.push_str(if notable.is_empty() { "" } else { "\n" });
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
fn rows(outcome: &CleanOutcome, name: impl Fn((&str, &str)) -> String) -> Vec<(String, CleanRow)> {
    let mut rows: BTreeMap<String, CleanRow> = BTreeMap::new();
    for decision in &outcome.plan.decisions {
        let row =
            rows.entry(name((&decision.entry.scope.to_string(), decision.pattern.as_str()))).or_default();
        match decision.verdict {
            Verdict::Keep => row.kept.add(decision.entry.size),
            Verdict::Delete if outcome.end == End::DryRun => row.freed.add(decision.entry.size),
            Verdict::Delete => {}
        }
    }
    for attempt in outcome.attempts() {
        let row = rows.entry(name((&attempt.entry.scope.to_string(), attempt.pattern.as_str()))).or_default();
        match attempt.fate {
            Fate::Deleted => row.freed.add(attempt.entry.size),
            Fate::AlreadyGone => {}
            Fate::Kept(_) => row.kept.add(attempt.entry.size),
            Fate::Failed(_) | Fate::NotTried => row.left.add(attempt.entry.size),
        }
    }
    let mut rows: Vec<(String, CleanRow)> = rows.into_iter().collect();
    rows.sort_by(|a, b| b.1.bytes().cmp(&a.1.bytes()).then_with(|| a.0.cmp(&b.0)));
    rows
}

fn table(text: &mut String, name: &str, rows: &[(String, CleanRow)]) {
    if rows.is_empty() {
        return;
    }
    let _ = writeln!(text, "| {name} | Freed | Kept | Left undone |\n|---|--:|--:|--:|");
    let mut line = |name: &str, row: &CleanRow| {
        let cell = |amount: &Amount| match amount.entries {
            0 => String::new(),
            entries => format!("{} ({entries})", amount.bytes),
        };
        let _ =
            writeln!(text, "| {name} | {} | {} | {} |", cell(&row.freed), cell(&row.kept), cell(&row.left));
    };
    rows.iter().take(ROWS).for_each(|(name, row)| line(&code(name), row));
    if rows.len() > ROWS {
        let mut rest = CleanRow::default();
        rows[ROWS..].iter().for_each(|(_, row)| rest.add(row));
        line(&format!("and {} more", rows.len() - ROWS), &rest);
    }
    text.push('\n');
}

/// A pie of what was freed and kept by pattern. The tables say the same in text.
fn chart(text: &mut String, rows: &[(String, CleanRow)]) {
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
                let name = thin::title(&attempt.entry.key);
                Some((format!("{name} of {}", attempt.entry.scope), why.as_str()))
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

/// Foreign text as the label of a slice.
fn label(text: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '*' | ' ' | ':');
    text.chars().take(60).map(|c| if fits(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta, Utc};

    use super::*;
    use crate::domain::clean::{ApiCalls, Attempt, Round};
    use crate::domain::entry::{Entry, EntryId};
    use crate::domain::key::Key;
    use crate::domain::retention::{Facts, Policy, PullRequestState};
    use crate::domain::scope::Scope;
    use crate::domain::unit::ByteSize;
    use crate::domain::version::Version;

    fn outcome() -> CleanOutcome {
        let now: DateTime<Utc> = "2026-11-20T12:00:00Z".parse().expect("a time");
        let scope = |name: &str| Scope::new(name).expect(name);
        let mut facts = Facts::new(scope("main"), now);
        let mut add = |id: &str, name: &str, key: &str, megabytes: u64| {
            facts.entries.push(Entry {
                id: EntryId(id.to_owned()),
                scope: scope(name),
                key: Key::new(key).expect(key),
                version: Version::of_roots(["x"]),
                created_at: now - TimeDelta::days(10),
                last_used_at: Some(now - TimeDelta::days(9)),
                size: ByteSize(megabytes * 1_000_000),
            });
        };
        add("1", "main", "ccache-20261101", 500);
        add("2", "refs/pull/7/merge", "ccache-20261102", 300);
        add("3", "refs/pull/7/head", "a|b<script>`x`", 20);
        add("4", "refs/pull/7/head", "late\"; drop", 7);
        facts.pull_requests.insert(7, PullRequestState::Closed { at: now - TimeDelta::days(8) });
        let plan = Policy::unreachable().plan(&facts);
        CleanOutcome {
            by_hand: false,
            location: "GitHub's caches of octo/hello".to_owned(),
            plan,
            rounds: Vec::new(),
            end: End::DryRun,
            swept: None,
            calls: Some(ApiCalls { requests: 9, graphql: 2, deletions: 3, ..ApiCalls::default() }),
            notes: vec!["cache 9 is kept".to_owned()],
        }
    }

    fn carried_out() -> CleanOutcome {
        let mut outcome = outcome();
        let mut fates = vec![Fate::Deleted, Fate::Failed("HTTP 500: \"<b>\"".to_owned()), Fate::NotTried];
        let attempts = outcome.plan.deletions().map(|decision| Attempt {
            entry: decision.entry.clone(),
            pattern: decision.pattern.clone(),
            fate: fates.pop().expect("three go"),
        });
        outcome.rounds = vec![Round { attempts: attempts.collect() }];
        outcome.end = End::Failed;
        outcome
    }

    #[test]
    fn the_log_says_what_was_done_and_why() {
        insta::assert_snapshot!(text(&outcome()), @r#"
327.0 MB in 3 entries would be deleted from GitHub's caches of octo/hello; 500.0 MB in 1 entry stay
  `a|b<script>`x`` of refs/pull/7/head: 20.0 MB
    pull request 7 closed 8 d ago (grace 3 d)
  `late"; drop` of refs/pull/7/head: 7.00 MB
    pull request 7 closed 8 d ago (grace 3 d)
  `ccache-20261102` of refs/pull/7/merge: 300.0 MB
    pull request 7 closed 8 d ago (grace 3 d)
  closed-pull-request: 327.0 MB in 3 entries
  current: 500.0 MB in 1 entry
  9 requests (3 deletions, 2 in GraphQL, 0 repeated)
"#);
        insta::assert_snapshot!(text(&carried_out()), @r#"
300.0 MB in 1 entry deleted from GitHub's caches of octo/hello; 500.0 MB in 1 entry stay; 7.00 MB in 1 entry could not be deleted; 20.0 MB in 1 entry not tried
  closed-pull-request: 327.0 MB in 3 entries
  current: 500.0 MB in 1 entry
  9 requests (3 deletions, 2 in GraphQL, 0 repeated)
"#);
    }

    #[test]
    fn the_summary_shows_refs_and_patterns_with_a_chart() {
        insta::assert_snapshot!(markdown(&carried_out()), @r#"
## Caches cleaned

300.0 MB in 1 entry deleted from GitHub's caches of octo/hello; 500.0 MB in 1 entry stay; 7.00 MB in 1 entry could not be deleted; 20.0 MB in 1 entry not tried

> cache 9 is kept

```mermaid
pie showData title Megabytes by key pattern
    "kept ccache-*" : 500
    "freed ccache-*" : 300
```

| Key pattern | Freed | Kept | Left undone |
|---|--:|--:|--:|
| <code>ccache-&#42;</code> | 300.0 MB (1) | 500.0 MB (1) |  |
| <code>a&#124;b&lt;script&gt;&#96;x&#96;</code> |  |  | 20.0 MB (1) |
| <code>late"; drop</code> |  |  | 7.00 MB (1) |

| Ref | Freed | Kept | Left undone |
|---|--:|--:|--:|
| <code>refs/heads/main</code> |  | 500.0 MB (1) |  |
| <code>refs/pull/7/merge</code> | 300.0 MB (1) |  |  |
| <code>refs/pull/7/head</code> |  |  | 27.0 MB (2) |

| First reason | Entries | Bytes |
|---|--:|--:|
| closed-pull-request | 3 | 327.0 MB |
| current | 1 | 500.0 MB |

### Could not be deleted

- <code>late"; drop of refs/pull/7/head</code>: HTTP 500: "&lt;b&gt;"

9 requests (3 deletions, 2 in GraphQL, 0 repeated)
"#);
    }

    #[test]
    fn foreign_text_is_no_markup() {
        let text = markdown(&carried_out());
        assert!(!text.contains("<script>") && !text.contains("<b>") && !text.contains("`x`"), "{text}");
        let table: Vec<&str> = text.lines().filter(|line| line.starts_with("| <code>")).collect();
        assert!(table.iter().all(|line| line.matches('|').count() == 5), "{table:?}");
    }
}
