//! The tables behind the pictures, each bounded: a long tail is one row.

use super::input::UsagePage;
use super::markup::Html;
use super::model::{self, Sides};
use super::words::{cut, percent, thousands};
use crate::domain::entry::Entry;
use crate::domain::retention::plan::{Amount, Decision};
use crate::domain::retention::usage::{Reach, eviction_order};
use crate::domain::retention::{Elapsed, Verdict};
use crate::domain::thin;

/// Rows of sums before the rest is one.
const SUMS: usize = 40;

/// Entries that are named one by one.
const ENTRIES: usize = 100;

/// Entries of the order of eviction.
const NEXT: usize = 25;

/// Characters of a key or ref; the rest of a longer one does not help people.
const LONGEST: usize = 120;

/// A column: its heading, and whether it holds numbers.
type Column = (&'static str, bool);

/// All of them.
pub(super) fn all(html: &mut Html, page: &UsagePage<'_>) {
    html.raw("<div id=\"tables\" tabindex=\"-1\">\n");
    patterns(html, page);
    refs(html, page);
    ages(html, page);
    going(html, page);
    next(html, page);
    html.raw("</div>\n");
}

fn begin(html: &mut Html, id: &'static str, title: &'static str, note: &str, columns: &[Column]) {
    html.raw("<section>\n<h2 id=\"").raw(id).raw("\">").raw(title).raw("</h2>\n");
    if !note.is_empty() {
        html.raw("<p>").text(note).raw("</p>\n");
    }
    html.raw("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-labelledby=\"").raw(id);
    html.raw("\">\n<table>\n<thead><tr>");
    for (name, is_number) in columns {
        html.raw(if *is_number { "<th scope=\"col\" class=\"number\">" } else { "<th scope=\"col\">" });
        html.raw(name).raw("</th>");
    }
    html.raw("</tr></thead>\n<tbody>\n");
}

fn end(html: &mut Html) {
    html.raw("</tbody>\n</table>\n</div>\n</section>\n");
}

fn name_cell(html: &mut Html, name: &str) {
    html.raw("<th scope=\"row\"><code>").name(cut(name, LONGEST)).raw("</code></th>");
}

/// A number with what it sorts by.
fn number_cell(html: &mut Html, sort_by: u64, shown: &str) {
    html.raw("<td class=\"number\" data-sort=\"").text(sort_by).raw("\">").text(shown).raw("</td>");
}

fn amount_cells(html: &mut Html, amount: Amount, whole: u64) {
    number_cell(html, amount.entries as u64, &thousands(amount.entries));
    number_cell(html, amount.bytes.0, &amount.bytes.to_string());
    number_cell(html, amount.bytes.0, &format!("{} %", percent(amount.bytes.0, whole)));
}

fn goes_cell(html: &mut Html, goes: Amount) {
    if goes.entries == 0 {
        html.raw("<td class=\"number\" data-sort=\"0\">–</td>");
    } else {
        let text = format!("{} ({})", goes.bytes, thousands(goes.entries));
        html.raw("<td class=\"number going\" data-sort=\"")
            .text(goes.bytes.0)
            .raw("\">")
            .text(text)
            .raw("</td>");
    }
}

const SUM_COLUMNS: &[Column] = &[("Entries", true), ("Size", true), ("Share", true), ("Goes", true)];

fn rest(rows: impl Iterator<Item = Sides>) -> Sides {
    let mut rest = Sides::default();
    rows.for_each(|sides| rest.add_all(&sides));
    rest
}

fn patterns(html: &mut Html, page: &UsagePage<'_>) {
    let whole = model::total(page.plan).all().bytes.0;
    let rows = model::by(page.plan, |decision| decision.pattern.as_str().to_owned());
    let note = "What changes from generation to generation in a key is shown as *.";
    begin(html, "patterns", "By key pattern", note, &[&[("Key pattern", false)], SUM_COLUMNS].concat());
    for (name, sides) in rows.iter().take(SUMS) {
        html.raw("<tr>").with(|html| name_cell(html, name));
        amount_cells(html, sides.all(), whole);
        html.with(|html| goes_cell(html, sides.goes)).raw("</tr>\n");
    }
    if rows.len() > SUMS {
        let sides = rest(rows[SUMS..].iter().map(|row| row.1));
        html.raw("<tr class=\"rest\"><th scope=\"row\">")
            .text(thousands(rows.len() - SUMS))
            .raw(" more</th>");
        amount_cells(html, sides.all(), whole);
        html.with(|html| goes_cell(html, sides.goes)).raw("</tr>\n");
    }
    end(html);
}

fn refs(html: &mut Html, page: &UsagePage<'_>) {
    let whole = model::total(page.plan).all().bytes.0;
    let rows =
        model::by(page.plan, |decision| (decision.entry.scope.clone(), Reach::of(&decision.scope_state)));
    begin(
        html,
        "refs",
        "By ref",
        "",
        &[&[("Ref", false), ("Who can restore it", false)], SUM_COLUMNS].concat(),
    );
    for ((scope, reach), sides) in rows.iter().take(SUMS) {
        html.raw("<tr>")
            .with(|html| name_cell(html, &scope.to_string()))
            .raw("<td>")
            .text(reach)
            .raw("</td>");
        amount_cells(html, sides.all(), whole);
        html.with(|html| goes_cell(html, sides.goes)).raw("</tr>\n");
    }
    if rows.len() > SUMS {
        let sides = rest(rows[SUMS..].iter().map(|row| row.1));
        html.raw("<tr class=\"rest\"><th scope=\"row\">")
            .text(thousands(rows.len() - SUMS))
            .raw(" more</th><td></td>");
        amount_cells(html, sides.all(), whole);
        html.with(|html| goes_cell(html, sides.goes)).raw("</tr>\n");
    }
    end(html);
}

fn ages(html: &mut Html, page: &UsagePage<'_>) {
    let whole = model::total(page.plan).all().bytes.0;
    begin(html, "ages", "By last use", "", &[&[("Used last", false)], SUM_COLUMNS].concat());
    for (index, bucket) in model::timeline(page.plan, page.facts).iter().enumerate() {
        html.raw("<tr><th scope=\"row\" data-sort=\"")
            .text(index)
            .raw("\">")
            .text(&bucket.span)
            .raw(" ago</th>");
        amount_cells(html, bucket.sides.all(), whole);
        html.with(|html| goes_cell(html, bucket.sides.goes)).raw("</tr>\n");
    }
    end(html);
}

fn entry_cells(html: &mut Html, page: &UsagePage<'_>, entry: &Entry) {
    let idle = Elapsed::between(page.facts.last_use(entry), page.plan.now);
    name_cell(html, &thin::title(&entry.key));
    html.raw("<td><code>").name(cut(&entry.scope.to_string(), LONGEST)).raw("</code></td>");
    number_cell(html, entry.size.0, &entry.size.to_string());
    number_cell(html, idle.0.as_secs(), &format!("{idle} ago"));
}

const ENTRY_COLUMNS: &[Column] = &[("Key", false), ("Ref", false), ("Size", true), ("Used last", true)];

fn going(html: &mut Html, page: &UsagePage<'_>) {
    let mut goes: Vec<&Decision> = page.plan.deletions().collect();
    goes.sort_by_key(|decision| std::cmp::Reverse(decision.entry.size));
    let note = if goes.is_empty() {
        "Nothing: the policy keeps every entry."
    } else {
        "What `cachekeep clean` would delete now, the largest first."
    };
    begin(
        html,
        "going",
        "What goes with the next cleaning",
        note,
        &[ENTRY_COLUMNS, &[("Why", false)]].concat(),
    );
    for decision in goes.iter().take(ENTRIES) {
        html.raw("<tr>").with(|html| entry_cells(html, page, &decision.entry)).raw("<td>");
        html.text(decision.reasons.first().map_or("", |reason| reason.text.as_str())).raw("</td></tr>\n");
    }
    more(html, goes.len().saturating_sub(ENTRIES), 5);
    end(html);
}

fn next(html: &mut Html, page: &UsagePage<'_>) {
    let going: std::collections::BTreeSet<_> =
        page.plan.deletions().map(|decision| &decision.entry.id).collect();
    let order = eviction_order(page.facts);
    let note = "What the store itself would evict first when it is full: the least recently used.";
    begin(html, "next", "Evicted next", note, &[ENTRY_COLUMNS, &[("Cleaning", false)]].concat());
    for entry in order.iter().take(NEXT) {
        html.raw("<tr>").with(|html| entry_cells(html, page, entry));
        let verdict = if going.contains(&entry.id) { Verdict::Delete } else { Verdict::Keep };
        html.raw(match verdict {
            Verdict::Delete => "<td class=\"going\">goes</td></tr>\n",
            Verdict::Keep => "<td>stays</td></tr>\n",
        });
    }
    more(html, order.len().saturating_sub(NEXT), 5);
    end(html);
}

fn more(html: &mut Html, count: usize, columns: usize) {
    if count > 0 {
        html.raw("<tr class=\"rest\"><td colspan=\"")
            .text(columns)
            .raw("\">and ")
            .text(thousands(count))
            .raw(" more</td></tr>\n");
    }
}
