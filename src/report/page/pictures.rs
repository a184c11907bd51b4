//! The plain pictures: the budget as a bar, last use as a timeline.
//!
//! The shapes are SVG that stretches with the page; names and details are text over it, so that letters keep their
//! size. What goes is hatched and says so: color never stands alone.

use super::input::UsagePage;
use super::markup::Html;
use super::model::{self, Bucket, Sides};
use super::words::share;
use crate::domain::retention::Elapsed;
use crate::domain::unit::ByteSize;

/// After this long without use GitHub evicts an entry.
const EVICTED_AFTER: std::time::Duration = std::time::Duration::from_hours(168);

/// What goes is filled with this; every picture of the page refers to it.
const HATCH: &str = "<defs><pattern id=\"hatch\" width=\"11\" height=\"11\" patternUnits=\"userSpaceOnUse\" \
     patternTransform=\"rotate(30)\"><rect class=\"hatch-base\" width=\"11\" height=\"11\"/>\
     <rect class=\"hatch-line\" width=\"1.5\" height=\"11\"/></pattern></defs>\n";

/// What is used, what of it goes, and what is free.
pub(super) fn budget_bar(html: &mut Html, page: &UsagePage<'_>, sides: &Sides) {
    let used = sides.all().bytes.0;
    let whole = page.roof().map_or(used, |limit| limit.0.max(used)).max(1);
    let stays = share(sides.stays.bytes.0, whole);
    let goes = share(sides.goes.bytes.0, whole);
    html.raw("<svg class=\"bar\" role=\"img\" aria-labelledby=\"bar-title bar-desc\">\n");
    html.raw("<title id=\"bar-title\">Budget</title><desc id=\"bar-desc\">")
        .text(sides.stays.bytes)
        .raw(" stay, ");
    html.text(sides.goes.bytes).raw(" go with the next cleaning");
    if let Some(limit) = page.roof() {
        html.raw(", the limit is ").text(limit);
    }
    html.raw(".</desc>\n").raw(HATCH);
    html.raw("<rect class=\"free\" width=\"100%\" height=\"100%\"/><rect class=\"used\" width=\"")
        .number(stays);
    html.raw("%\" height=\"100%\"/><rect class=\"goes\" x=\"").number(stays).raw("%\" width=\"").number(goes);
    html.raw("%\" height=\"100%\"/>\n");
    if let Some(limit) = page.roof().filter(|limit| limit.0 < used) {
        html.raw("<rect class=\"limit\" x=\"")
            .number(share(limit.0, whole))
            .raw("%\" width=\"2\" height=\"100%\"/>");
    }
    html.raw("</svg>\n<ul class=\"legend\"><li><span class=\"key used\"></span>stays, ")
        .text(sides.stays.bytes);
    html.raw("</li>");
    if sides.goes.entries > 0 {
        html.raw("<li><span class=\"key goes\"></span>goes with the next cleaning, ").text(sides.goes.bytes);
        html.raw("</li>");
    }
    if let Some(limit) = page.roof().filter(|limit| limit.0 < used) {
        html.raw("<li><span class=\"key limit\"></span>the limit, ").text(limit).raw("</li>");
    }
    if let Some(free) = page.roof().and_then(|limit| limit.0.checked_sub(used)) {
        html.raw("<li><span class=\"key free\"></span>free, ").text(ByteSize(free)).raw("</li>");
    }
    html.raw("</ul>\n");
}

/// Bytes by time since the last use.
pub(super) fn timeline(html: &mut Html, page: &UsagePage<'_>) {
    let buckets = model::timeline(page.plan, page.facts);
    let most = buckets.iter().map(|bucket| bucket.sides.all().bytes.0).max().unwrap_or(0).max(1);
    let horizons = horizons(page);
    html.raw("<section aria-labelledby=\"line\">\n<h2 id=\"line\">When it was used last</h2>\n");
    html.raw("<p>Bytes by the time since they were saved or restored, the most recent on the left. <a href=\"#ages\">The same as a table.</a></p>\n");
    html.raw("<ul class=\"legend\"><li><span class=\"key used\"></span>stays</li>");
    if page.plan.deletions().next().is_some() {
        html.raw("<li><span class=\"key goes\"></span>goes with the next cleaning</li>");
    }
    html.raw("</ul>\n");
    html.raw("<figure class=\"line\">\n<div class=\"plot\">\n");
    html.raw("<svg role=\"img\" aria-labelledby=\"line-title line-desc\">\n");
    html.raw("<title id=\"line-title\">Bytes by time since the last use</title>\n<desc id=\"line-desc\">");
    if horizons.is_empty() {
        html.raw("Nothing is deleted for its age");
    }
    for (index, (_, text)) in horizons.iter().enumerate() {
        html.raw(if index > 0 { "; " } else { "" }).text(text);
    }
    html.raw(".</desc>\n");
    bars(html, &buckets, most);
    for (at, _) in &horizons {
        html.raw("\n<line class=\"horizon\" y1=\"-20\" y2=\"100%\" x1=\"")
            .number(at * 100.0)
            .raw("%\" x2=\"")
            .number(at * 100.0);
        html.raw("%\"/>");
    }
    html.raw("\n</svg>\n");
    let mut left = 0.0;
    for bucket in &buckets {
        column(html, bucket, left, most);
        left += 100.0 / 12.0;
    }
    for (index, (at, _)) in horizons.iter().enumerate() {
        html.raw("<span class=\"sign\" aria-hidden=\"true\" style=\"left:").number(at * 100.0);
        html.raw("%\">").text(index + 1).raw("</span>");
    }
    html.raw("</div>\n<div class=\"axis\" aria-hidden=\"true\">");
    for bucket in &buckets {
        html.raw("<span>").raw(bucket.label).raw("</span>");
    }
    html.raw("</div>\n<figcaption><ol class=\"horizons\">");
    for (index, (_, text)) in horizons.iter().enumerate() {
        html.raw("<li><span class=\"sign\" aria-hidden=\"true\">").text(index + 1).raw("</span>").text(text);
        html.raw("</li>");
    }
    html.raw("</ol></figcaption>\n</figure>\n</section>\n");
}

fn column(html: &mut Html, bucket: &Bucket, left: f64, most: u64) {
    let all = bucket.sides.all();
    if all.entries == 0 {
        return;
    }
    let top = 100.0 - share(all.bytes.0, most);
    html.raw("<a class=\"column\" href=\"#ages\" style=\"left:").number(left).raw("%\">");
    html.raw("<span class=\"amount\" aria-hidden=\"true\" style=\"bottom:")
        .number(100.0 - top)
        .raw("%\">")
        .text(all.bytes)
        .raw("</span>");
    html.raw("<span class=\"tip\"><strong>Used ")
        .text(&bucket.span)
        .raw(" ago:</strong> <span>")
        .text(all)
        .raw("</span>");
    if bucket.sides.goes.entries > 0 {
        html.raw("<span>, of which ").text(bucket.sides.goes).raw(" go with the next cleaning</span>");
    }
    html.raw("<span>.</span></span></a>\n");
}

/// Ages beyond which entries are deleted, with what does it; in their order.
fn horizons(page: &UsagePage<'_>) -> Vec<(f64, String)> {
    let mut found: Vec<(f64, String)> = Vec::new();
    if let Some(span) = page.policy.unused_for {
        found.push((
            model::place_of_age(span.0),
            format!("Unused for {}: cleaning deletes it", Elapsed(span.0)),
        ));
    }
    if page.facts.limit.is_some() {
        found.push((
            model::place_of_age(EVICTED_AFTER),
            format!("Unused for {}: GitHub evicts it", Elapsed(EVICTED_AFTER)),
        ));
    }
    if let Some(last) = page
        .plan
        .deletions()
        .filter(|d| d.reasons.iter().any(|r| r.rule.name() == "budget"))
        .map(|d| page.facts.last_use(&d.entry))
        .max()
    {
        let idle = (page.plan.now - last).to_std().unwrap_or_default();
        let text = format!("Unused for {}: beyond this, cleaning deletes for the budget", Elapsed(idle));
        found.push((model::place_of_age(idle), text));
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}

/// The bars of the timeline: what stays, with what goes on top of it.
fn bars(html: &mut Html, buckets: &[Bucket], most: u64) {
    let mut x = 0.0;
    for bucket in buckets {
        let (stays, goes) = (share(bucket.sides.stays.bytes.0, most), share(bucket.sides.goes.bytes.0, most));
        let mut bar = |class: &'static str, y: f64, height: f64| {
            html.raw("<rect class=\"")
                .raw(class)
                .raw("\" x=\"")
                .number((x + 8.0) / 12.0)
                .raw("%\" y=\"")
                .number(y);
            html.raw("%\" width=\"7%\" height=\"").number(height).raw("%\"/>");
        };
        bar("used", 100.0 - stays, stays);
        bar("goes", 100.0 - stays - goes, goes);
        x += 100.0;
    }
}
