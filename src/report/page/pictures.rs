//! The pictures: the budget as a bar, bytes as a treemap, last use as a timeline.
//!
//! The shapes are SVG that stretches with the page; names and details are text over it, so that letters keep their
//! size. What goes is hatched and says so: color never stands alone.

use super::markup::Html;
use super::model::{self, Bucket, Group, Leaf, Sides};
use super::squarify::{Area, squarify};
use super::{UsagePage, count, cut, percent, share};
use crate::domain::retention::facts::pull_request_of;
use crate::domain::retention::usage::Reach;
use crate::domain::unit::ByteSize;

/// The treemap's box; its unit is about a pixel on a wide screen.
const WHOLE: Area = Area { x: 0.0, y: 0.0, width: 1120.0, height: 520.0 };

/// The strip with a group's name.
const STRIP: f64 = 22.0;

/// After this long without use GitHub evicts an entry.
const EVICTED_AFTER: std::time::Duration = std::time::Duration::from_secs(7 * 86_400);

/// The class of a tile.
fn class(leaf: &Leaf) -> &'static str {
    if leaf.goes {
        return "goes";
    }
    match leaf.reach {
        Some(Reach::Everyone) => "everyone",
        Some(Reach::Branch) => "branch",
        Some(Reach::PullRequest) => "pull",
        Some(Reach::Nobody) => "nobody",
        Some(Reach::Unknown) | None => "unknown",
    }
}

/// Classes in the order of the legend, with what they mean.
const CLASSES: &[(&str, &str)] = &[
    ("everyone", "stays; every job can restore it"),
    ("branch", "stays; jobs of its branch or tag can"),
    ("pull", "stays; jobs of its open pull request can"),
    ("nobody", "stays for now; nobody can restore it"),
    ("unknown", "stays; various, or not known who can"),
    ("goes", "goes with the next cleaning"),
];

/// What is used, what of it goes, and what is free.
pub(super) fn budget_bar(html: &mut Html, page: &UsagePage<'_>, sides: &Sides) {
    let used = sides.all().bytes.0;
    let whole = page.facts.limit.map_or(used, |limit| limit.0.max(used)).max(1);
    let stays = share(sides.stays.bytes.0, whole);
    let goes = share(sides.goes.bytes.0, whole);
    html.raw("<svg class=\"bar\" role=\"img\" aria-labelledby=\"bar-title bar-desc\" viewBox=\"0 0 100 10\" preserveAspectRatio=\"none\">\n");
    html.raw("<title id=\"bar-title\">Budget</title><desc id=\"bar-desc\">")
        .text(sides.stays.bytes)
        .raw(" stay, ");
    html.text(sides.goes.bytes).raw(" go with the next cleaning");
    if let Some(limit) = page.facts.limit {
        html.raw(", the limit is ").text(limit);
    }
    html.raw(".</desc>\n<rect class=\"free\" width=\"100\" height=\"10\"/><rect class=\"used\" width=\"")
        .number(stays);
    html.raw("\" height=\"10\"/><rect class=\"goes\" x=\"")
        .number(stays)
        .raw("\" width=\"")
        .number(goes)
        .raw("\" height=\"10\"/>\n");
    // The hatch: strokes of one slope, cut off by the bar's ends.
    let mut x = stays;
    while x < stays + goes {
        let end = (x + 0.45).min(stays + goes);
        html.raw("<path class=\"hatch\" d=\"M").number(x).raw(" 10L").number(end).raw(" 0\"/>");
        x += 0.9;
    }
    if let Some(limit) = page.facts.limit.filter(|limit| limit.0 < used) {
        let at = share(limit.0, whole);
        html.raw("<path class=\"limit\" d=\"M").number(at).raw(" 0V10\"/>");
    }
    html.raw("</svg>\n<ul class=\"legend\"><li><span class=\"key used\"></span>stays, ")
        .text(sides.stays.bytes);
    html.raw("</li><li><span class=\"key goes\"></span>goes with the next cleaning, ")
        .text(sides.goes.bytes)
        .raw("</li>");
    if let Some(free) = page.facts.limit.and_then(|limit| limit.0.checked_sub(used)) {
        html.raw("<li><span class=\"key free\"></span>free, ").text(ByteSize(free)).raw("</li>");
    }
    html.raw("</ul>\n");
}

/// A ref as people call it.
fn ref_name(leaf: &Leaf) -> String {
    let Some(scope) = &leaf.scope else { return count(leaf.refs, "ref", "refs") };
    if let Some(number) = pull_request_of(scope) {
        let kind = scope.as_str().rsplit('/').next().unwrap_or_default();
        return format!("#{number} {kind}");
    }
    let name = scope.as_str();
    match name.strip_prefix("refs/tags/") {
        Some(tag) => format!("tag {}", cut(tag, 40)),
        None => cut(name.strip_prefix("refs/heads/").unwrap_or(name), 40),
    }
}

fn group_name(group: &Group) -> String {
    match &group.pattern {
        Some(pattern) => cut(pattern, 80),
        None => count(group.patterns, "other pattern", "other patterns"),
    }
}

/// Bytes by key pattern, and in each by ref.
pub(super) fn treemap(html: &mut Html, page: &UsagePage<'_>, sides: &Sides) {
    let groups = model::groups(page.plan);
    html.raw("<section aria-labelledby=\"map\">\n<h2 id=\"map\">Where the bytes are</h2>\n");
    html.raw("<p>Each group is a key pattern, each tile in it a ref, as large as its bytes. <a href=\"#patterns\">The same as a table.</a></p>\n");
    legend(html, &groups);
    html.raw("<figure class=\"map\">\n");
    let weights: Vec<f64> = groups.iter().map(|group| weight(group.amount.bytes)).collect();
    let placed: Vec<(&Group, Area, Vec<Area>)> = groups
        .iter()
        .zip(squarify(&weights, WHOLE))
        .map(|(group, area)| {
            let inner = below_strip(inset(area, 1.5));
            let weights: Vec<f64> = group.leaves.iter().map(|leaf| weight(leaf.amount.bytes)).collect();
            (group, area, squarify(&weights, inner))
        })
        .collect();
    html.raw("<svg role=\"img\" aria-labelledby=\"map-title map-desc\" viewBox=\"0 0 1120 520\" preserveAspectRatio=\"none\">\n");
    html.raw("<title id=\"map-title\">Bytes by key pattern and ref</title>\n<desc id=\"map-desc\">");
    for (index, (group, ..)) in placed.iter().take(5).enumerate() {
        if index > 0 {
            html.raw("; ");
        }
        html.text(group_name(group)).raw(": ").text(group.amount);
    }
    html.raw(".</desc>\n");
    for (group, _, areas) in &placed {
        for (leaf, area) in group.leaves.iter().zip(areas) {
            html.raw("<rect class=\"").raw(class(leaf));
            for (name, value) in [
                ("\" x=\"", area.x),
                ("\" y=\"", area.y),
                ("\" width=\"", area.width),
                ("\" height=\"", area.height),
            ] {
                html.raw(name).number(value);
            }
            html.raw("\"/>\n");
        }
    }
    html.raw("</svg>\n");
    for (group, area, areas) in &placed {
        group_text(html, group, *area, areas, sides);
    }
    html.raw("</figure>\n</section>\n");
}

#[expect(clippy::cast_precision_loss, reason = "a picture need not be exact to the byte")]
fn weight(bytes: ByteSize) -> f64 {
    bytes.0 as f64
}

fn inset(area: Area, by: f64) -> Area {
    Area {
        x: area.x + by,
        y: area.y + by,
        width: (area.width - 2.0 * by).max(0.0),
        height: (area.height - 2.0 * by).max(0.0),
    }
}

/// Whether a group is large enough for its name.
fn has_strip(area: Area) -> bool {
    area.height > 2.5 * STRIP && area.width > 40.0
}

fn below_strip(area: Area) -> Area {
    if has_strip(area) { Area { y: area.y + STRIP, height: area.height - STRIP, ..area } } else { area }
}

/// `style="left:…%;top:…%;width:…%;height:…%"`, as a share of the whole.
fn style(html: &mut Html, area: Area) {
    let sides = [
        (" style=\"left:", area.x / WHOLE.width),
        ("%;top:", area.y / WHOLE.height),
        ("%;width:", area.width / WHOLE.width),
        ("%;height:", area.height / WHOLE.height),
    ];
    for (name, value) in sides {
        html.raw(name).number(value * 100.0);
    }
    html.raw("%\"");
}

fn group_text(html: &mut Html, group: &Group, area: Area, areas: &[Area], sides: &Sides) {
    let inner = inset(area, 1.5);
    if has_strip(inner) {
        html.raw("<div class=\"strip\" aria-hidden=\"true\"")
            .with(|html| style(html, Area { height: STRIP, ..inner }));
        html.raw("><bdi>")
            .text(group_name(group))
            .raw("</bdi> <span>")
            .text(group.amount.bytes)
            .raw("</span></div>\n");
    }
    let whole = sides.all().bytes.0;
    for (leaf, area) in group.leaves.iter().zip(areas) {
        html.raw("<a class=\"tile ")
            .raw(class(leaf))
            .raw("\" href=\"#patterns\"")
            .with(|html| style(html, *area));
        html.raw("><span class=\"box\" aria-hidden=\"true\"><span class=\"label\">");
        if leaf.goes {
            html.raw("<b class=\"mark\">goes</b> ");
        }
        html.name(ref_name(leaf))
            .raw(" <span class=\"size\">")
            .text(leaf.amount.bytes)
            .raw("</span></span></span>");
        html.raw("<span class=\"tip\"><strong>").name(group_name(group)).raw("</strong> <span>");
        match &leaf.scope {
            Some(scope) => html.raw("of ").name(cut(scope.as_str(), 80)),
            None => html.raw("of ").text(count(leaf.refs, "ref", "refs")),
        };
        html.raw(":</span> <span>")
            .text(leaf.amount)
            .raw(", ")
            .text(percent(leaf.amount.bytes.0, whole))
            .raw(" % of all.</span> <span>");
        html.raw(meaning(class(leaf))).raw(".</span></span></a>\n");
    }
}

fn meaning(class: &str) -> &'static str {
    CLASSES.iter().find(|(name, _)| *name == class).map_or("", |(_, meaning)| meaning)
}

fn legend(html: &mut Html, groups: &[Group]) {
    let leaves = || groups.iter().flat_map(|group| &group.leaves);
    html.raw("<ul class=\"legend\">");
    for (name, meaning) in CLASSES.iter().filter(|(name, _)| leaves().any(|leaf| class(leaf) == *name)) {
        html.raw("<li><span class=\"key ").raw(name).raw("\"></span>").raw(meaning).raw("</li>");
    }
    html.raw("</ul>\n");
}

/// Bytes by time since the last use.
pub(super) fn timeline(html: &mut Html, page: &UsagePage<'_>) {
    let buckets = model::timeline(page.plan, page.facts);
    let most = buckets.iter().map(|bucket| bucket.sides.all().bytes.0).max().unwrap_or(0).max(1);
    let horizons = horizons(page);
    html.raw("<section aria-labelledby=\"line\">\n<h2 id=\"line\">When it was used last</h2>\n");
    html.raw("<p>Bytes by the time since somebody saved or restored them, the most recent on the left. <a href=\"#ages\">The same as a table.</a></p>\n");
    html.raw("<ul class=\"legend\"><li><span class=\"key used\"></span>stays</li><li><span class=\"key goes\"></span>goes with the next cleaning</li></ul>\n");
    html.raw("<figure class=\"line\">\n<div class=\"plot\">\n");
    html.raw("<svg role=\"img\" aria-labelledby=\"line-title line-desc\" viewBox=\"0 0 1200 100\" preserveAspectRatio=\"none\">\n");
    html.raw("<title id=\"line-title\">Bytes by time since the last use</title>\n<desc id=\"line-desc\">");
    for (index, (_, text)) in horizons.iter().enumerate() {
        html.raw(if index > 0 { "; " } else { "" }).text(text);
    }
    html.raw(".</desc>\n");
    let mut x = 0.0;
    for bucket in &buckets {
        let (stays, goes) = (share(bucket.sides.stays.bytes.0, most), share(bucket.sides.goes.bytes.0, most));
        let mut bar = |class: &'static str, y: f64, height: f64| {
            html.raw("<rect class=\"").raw(class).raw("\" x=\"").number(x + 8.0).raw("\" y=\"").number(y);
            html.raw("\" width=\"84\" height=\"").number(height).raw("\"/>");
        };
        bar("used", 100.0 - stays, stays);
        bar("goes", 100.0 - stays - goes, goes);
        x += 100.0;
    }
    for (at, _) in &horizons {
        html.raw("\n<path class=\"horizon\" d=\"M").number(at * 1_200.0).raw(" 0V100\"/>");
    }
    html.raw("\n</svg>\n");
    let mut left = 0.0;
    for bucket in &buckets {
        column(html, bucket, left, most);
        left += 100.0 / 12.0;
    }
    html.raw("</div>\n<div class=\"axis\" aria-hidden=\"true\">");
    for bucket in &buckets {
        html.raw("<span>").raw(bucket.label).raw("</span>");
    }
    html.raw("</div>\n<figcaption><ul class=\"horizons\">");
    for (_, text) in &horizons {
        html.raw("<li><span class=\"key horizon\"></span>").text(text).raw("</li>");
    }
    html.raw("</ul></figcaption>\n</figure>\n</section>\n");
}

fn column(html: &mut Html, bucket: &Bucket, left: f64, most: u64) {
    let all = bucket.sides.all();
    if all.entries == 0 {
        return;
    }
    let goes = share(bucket.sides.goes.bytes.0, most);
    let top = 100.0 - share(all.bytes.0, most);
    html.raw("<a class=\"column\" href=\"#ages\" style=\"left:").number(left).raw("%\">");
    html.raw("<span class=\"hatched\" style=\"top:")
        .number(top)
        .raw("%;height:")
        .number(goes)
        .raw("%\"></span>");
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
            format!("after {span} unused, cleaning deletes it (`unused-for`)"),
        ));
    }
    if page.facts.limit.is_some() {
        found.push((model::place_of_age(EVICTED_AFTER), "after 7d unused, GitHub evicts it".to_owned()));
    }
    if let Some(last) = page
        .plan
        .deletions()
        .filter(|d| d.reasons.iter().any(|r| r.rule.name() == "budget"))
        .map(|d| page.facts.last_use(&d.entry))
        .max()
    {
        let idle = (page.plan.now - last).to_std().unwrap_or_default();
        let text =
            format!("for the budget, what was not used for {} goes", crate::domain::retention::Elapsed(idle));
        found.push((model::place_of_age(idle), text));
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    if found.is_empty() {
        found.push((2.0, "nothing deletes entries for their age".to_owned()));
    }
    found
}
