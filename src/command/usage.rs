//! `ls` and `usage`: what a store holds, where its bytes went, and what would be evicted next.

use std::cmp::Reverse;
use std::fmt::Write as _;
use std::path::Path;

use super::context::Context;
use crate::domain::entry::Entry;
use crate::domain::entry_filter::EntryQuery;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::retention::parents::bases_among;
use crate::domain::retention::plan::Amount;
use crate::domain::retention::usage::{Forecast, Usage, eviction_order};
use crate::domain::retention::{Elapsed, Facts, Policy};
use crate::domain::scope::Scope;
use crate::domain::thin::{self, ThinKey};
use crate::domain::unit::counted;
use crate::fs::atomic;
use crate::report::json;
use crate::report::json::usage::{EntryDocument, ListDocument, UsageDocument};
use crate::report::page::{self, UsagePage};
use crate::report::text::list::{self, Line};
use crate::store::{Catalog, CatalogError, Survey};

/// Rows of a list for people before the rest is counted.
const ROWS: usize = 15;

/// The order of a list of entries, and its length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListOrder {
    /// What it is sorted by.
    pub by: ListedBy,
    /// Whether it is sorted the other way round.
    pub reverse: bool,
    /// How many entries are listed; `None` for all.
    pub limit: Option<usize>,
}

/// What a list of entries is sorted by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ListedBy {
    /// The next to be evicted first.
    Eviction,
    /// The oldest first.
    Saved,
    /// The largest first.
    Size,
    /// The key.
    Key,
    /// The ref.
    Ref,
}

/// The entries of a store that were asked for; as text or as JSON.
pub(crate) fn list(
    ctx: &Context<'_>,
    target: &dyn Catalog,
    query: &EntryQuery,
    order: &ListOrder,
) -> Result<String, Fault> {
    let facts = survey(ctx, target).map_err(|why| not_surveyed(target, why))?;
    let mut entries = eviction_order(&facts);
    let bases = bases_among(&entries);
    let filter = query.at(facts.now);
    entries.retain(|entry| filter.matches(entry));
    // Stable: equal entries stay in the order of eviction.
    match order.by {
        ListedBy::Eviction => {}
        ListedBy::Saved => entries.sort_by_key(|entry| entry.created_at),
        ListedBy::Size => entries.sort_by_key(|entry| Reverse(entry.size)),
        ListedBy::Key => entries.sort_by_key(|entry| &entry.key),
        ListedBy::Ref => entries.sort_by_key(|entry| &entry.scope),
    }
    if order.reverse {
        entries.reverse();
    }
    let all = entries.len();
    entries.truncate(order.limit.unwrap_or(all));
    if entries.len() < all {
        let text = format!("{} of {} listed", entries.len(), counted(all, "entry"));
        ctx.report_about_job(Level::Info, text);
    }
    if ctx.stdout_is_json {
        return Ok(json::render(&ListDocument {
            command: "ls",
            store: target.location(),
            complete: facts.listing_complete,
            entries: entries.into_iter().map(|entry| EntryDocument::listed(entry, &bases)).collect(),
        }));
    }
    let line = |entry: &Entry| {
        let (key, size) = named(entry, bases.get(&entry.id).copied());
        let used = format!("{} ago", Elapsed::between(facts.last_use(entry), facts.now));
        Line { size, used, scope: entry.scope.to_string(), key }
    };
    let lines: Vec<Line> = entries.into_iter().map(line).collect();
    Ok(list::render(&lines, ctx.env.columns))
}

/// An entry's key and size in a list: of a thin one the key that it was saved for and its base, and the sizes of the two.
fn named(entry: &Entry, base: Option<&Entry>) -> (String, String) {
    let Some(thin) = ThinKey::parse(&entry.key) else {
        return (entry.key.to_string(), entry.size.to_string());
    };
    let base = base
        .map_or_else(|| "an entry that is gone".to_owned(), |base| thin::saved_for(&base.key).to_string());
    (format!("{} on {base}", thin.key), format!("{} of {}", entry.size, thin.whole()))
}

/// Where the bytes of a store went; as text or as JSON, and as a page if a file is named for it.
pub(crate) fn usage(
    ctx: &Context<'_>,
    target: &dyn Catalog,
    policy: &Policy,
    html: Option<&Path>,
    only: Option<&Scope>,
) -> Result<String, Fault> {
    if html.is_some() && only.is_some() {
        return Err(Fault::usage("`--html` shows the whole store: it does not go with `--ref`"));
    }
    let mut facts = survey(ctx, target).map_err(|why| not_surveyed(target, why))?;
    if let Some(scope) = only {
        facts.entries.retain(|entry| entry.scope == *scope);
        // The limit is about all refs together.
        facts.limit = None;
    }
    if let Some(path) = html {
        write_page(ctx, target, &facts, policy, path)?;
    }
    let usage = Usage::of(&facts, &policy.patterns);
    let mut next = eviction_order(&facts);
    next.truncate(ROWS);
    let forecast = facts.limit.map(|limit| Forecast::of(&facts, limit));
    if ctx.stdout_is_json {
        let limit = facts.limit.map(|limit| limit.0);
        let complete = facts.listing_complete;
        return Ok(json::render(&UsageDocument::new(
            &target.location(),
            complete,
            &usage,
            limit,
            &next,
            forecast,
        )));
    }
    if usage.total.entries == 0 {
        return Ok(format!("no entries in {}\n", target.location()));
    }
    let mut text = format!("{} in {}", usage.total, target.location());
    if let Some(limit) = facts.limit {
        let _ = write!(text, ", of {limit}");
    }
    text.push('\n');
    if let Some(Forecast { window, per_day, runs_out_at: Some(at) }) = forecast {
        let left = Elapsed::between(facts.now, at);
        let _ = writeln!(text, "{per_day} a day over the last {window}: full in {left}");
    }
    section(&mut text, "By key pattern", &usage.by_pattern);
    section(&mut text, "By ref", &usage.by_ref);
    section(&mut text, "By last use", &usage.by_age);
    section(&mut text, "Who can still restore it", &usage.by_reach);
    text.push_str("\nEvicted next\n");
    for entry in next {
        let _ =
            writeln!(text, "{:>12}  {} of {}", entry.size.to_string(), thin::title(&entry.key), entry.scope);
    }
    Ok(text)
}

/// Writes the page, with what this policy would delete now.
fn write_page(
    ctx: &Context<'_>,
    target: &dyn Catalog,
    facts: &Facts,
    policy: &Policy,
    path: &Path,
) -> Result<(), Fault> {
    let plan = policy.plan(facts);
    let forecast = facts.limit.or(policy.budget).map(|limit| Forecast::of(facts, limit));
    let store = target.location();
    let html = page::render(&UsagePage { store: &store, facts, plan: &plan, policy, forecast });
    atomic::write(path, html.as_bytes(), ctx.now).map_err(|why| {
        Fault::from(why).with_hint("name a file in a directory that exists and is writable".to_owned())
    })?;
    ctx.report_about_job(Level::Info, format!("wrote `{}`, a page for any browser", path.display()));
    Ok(())
}

fn section<N: ToString>(text: &mut String, title: &str, rows: &[(N, Amount)]) {
    let _ = writeln!(text, "\n{title}");
    for (name, amount) in rows.iter().take(ROWS).filter(|(_, amount)| amount.entries > 0) {
        let _ =
            writeln!(text, "{:>12}  {:>5}  {}", amount.bytes.to_string(), amount.entries, name.to_string());
    }
    if rows.len() > ROWS {
        let _ = writeln!(text, "{:>12}  {:>5}  and {} more", "", "", rows.len() - ROWS);
    }
}

/// A survey that failed, as a fault of the command.
pub(crate) fn not_surveyed(target: &dyn Catalog, why: CatalogError) -> Fault {
    Fault::from(why).in_context(format!("cannot find out what is in {}", target.location()))
}

/// Surveys a store and reports what could not be found out.
pub(crate) fn survey(ctx: &Context<'_>, target: &dyn Catalog) -> Result<Facts, CatalogError> {
    let Survey { facts, notes } = ctx.wait(&ctx.deadline(), target.survey(&ctx.survey_request(None)))?;
    for note in notes {
        ctx.report_about_job(Level::Warning, note);
    }
    Ok(facts)
}
