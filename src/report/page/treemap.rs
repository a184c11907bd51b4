//! Bytes as a treemap: each group a key pattern, each tile in it a ref, laid out for a wide and a narrow screen.

use super::input::UsagePage;
use super::markup::Html;
use super::model::{self, Leaf, PageGroup, RefKind, Sides};
use super::squarify::{Area, squarify};
use super::words::{count, cut, percent};
use crate::domain::retention::facts::pull_request_of;
use crate::domain::retention::usage::Reach;
use crate::domain::unit::ByteSize;

/// The treemap's boxes in pixels, on a wide screen and on a narrow one; the style sheet gives the heights.
const WIDE: Area = Area { x: 0.0, y: 0.0, width: 1120.0, height: 520.0 };
const NARROW: Area = Area { x: 0.0, y: 0.0, width: 358.0, height: 640.0 };

/// The strip with a group's name.
const STRIP: f64 = 22.0;

/// The class of a tile.
fn class(leaf: &Leaf) -> &'static str {
    if leaf.goes {
        return "goes";
    }
    match leaf.reach {
        Reach::Everyone => "everyone",
        Reach::Branch => "branch",
        Reach::PullRequest => "pull",
        Reach::NoJob => "no-job",
        Reach::Unknown => "unknown",
    }
}

/// Classes in the order of the legend, with what they mean.
const CLASSES: &[(&str, &str)] = &[
    ("everyone", "stays; every job can restore it"),
    ("branch", "stays; jobs of its branch or tag can"),
    ("pull", "stays; jobs of its open pull request can"),
    ("no-job", "stays for now; no job can restore it"),
    ("unknown", "stays; it is not known who can restore it"),
    ("goes", "goes with the next cleaning"),
];

/// A ref as people call it.
fn ref_name(leaf: &Leaf) -> String {
    let Some(scope) = &leaf.scope else {
        let thing = match (leaf.kind, leaf.reach) {
            (RefKind::PullRequest, Reach::NoJob) => "closed pull request",
            (RefKind::PullRequest, _) => "pull request",
            (RefKind::MergeQueue, _) => "merge queue ref",
            (RefKind::Tag, Reach::NoJob) => "deleted tag",
            (RefKind::Tag, _) => "tag",
            (RefKind::Branch, Reach::NoJob) => "deleted branch",
            (RefKind::Branch, _) => "branch",
        };
        return count(leaf.refs, thing);
    };
    if let Some(number) = pull_request_of(scope) {
        let kind = scope.as_str().rsplit('/').next().unwrap_or_default();
        return format!("#{number} {kind}");
    }
    let name = scope.to_string();
    match name.strip_prefix("refs/tags/") {
        Some(tag) => format!("tag {}", cut(tag, 40)),
        None => cut(name.strip_prefix("refs/heads/").unwrap_or(&name), 40),
    }
}

fn group_name(group: &PageGroup) -> String {
    match &group.pattern {
        Some(pattern) => cut(pattern, 80),
        None => count(group.patterns, "other pattern"),
    }
}

/// Bytes by key pattern, and in each by ref.
pub(super) fn draw(html: &mut Html, page: &UsagePage<'_>, sides: &Sides) {
    let groups = model::groups(page.plan);
    html.raw("<section aria-labelledby=\"map\">\n<h2 id=\"map\">Where the bytes are</h2>\n");
    html.raw("<p>Each group is a key pattern, each tile in it a ref, as large as its bytes. <a href=\"#patterns\">The same as a table.</a></p>\n");
    legend(html, &groups);
    html.raw("<figure class=\"map\">\n");
    let tiles = Tiles::all(&groups);
    html.raw("<svg role=\"img\" aria-labelledby=\"map-title map-desc\">\n");
    html.raw("<title id=\"map-title\">Bytes by key pattern and ref</title>\n<desc id=\"map-desc\">");
    for (index, group) in groups.iter().take(5).enumerate() {
        html.raw(if index > 0 { "; " } else { "" });
        html.text(group_name(group)).raw(": ").text(group.amount);
    }
    html.raw(".</desc>\n");
    for tiles in &tiles {
        for (leaf, place) in &tiles.leaves {
            html.raw("<rect class=\"")
                .raw(class(leaf))
                .raw("\"")
                .with(|html| style(html, *place))
                .raw("/>\n");
        }
    }
    html.raw("</svg>\n");
    for tiles in &tiles {
        group_text(html, tiles, sides);
    }
    html.raw("</figure>\n</section>\n");
}

#[expect(clippy::cast_precision_loss, reason = "a picture need not be exact to the byte")]
fn weight(bytes: ByteSize) -> f64 {
    bytes.0 as f64
}

/// Where something lies on a wide screen and on a narrow one.
type Place = [Area; 2];

/// A group, laid out.
struct Tiles<'a> {
    group: &'a PageGroup,
    strip: Place,
    leaves: Vec<(&'a Leaf, Place)>,
}

impl<'a> Tiles<'a> {
    fn all(groups: &'a [PageGroup]) -> Vec<Self> {
        let weights: Vec<f64> = groups.iter().map(|group| weight(group.amount.bytes)).collect();
        let areas = [WIDE, NARROW].map(|whole| squarify(&weights, whole));
        let of = |(index, group): (usize, &'a PageGroup)| {
            let inner = [0, 1].map(|screen| inset(areas[screen][index], 1.5));
            let strip = inner.map(|area| Area { height: strip_height(area), ..area });
            let weights: Vec<f64> = group.leaves.iter().map(|leaf| weight(leaf.amount.bytes)).collect();
            let [wide, narrow] = inner.map(|area| {
                let strip = strip_height(area);
                squarify(&weights, Area { y: area.y + strip, height: area.height - strip, ..area })
            });
            let places = wide.into_iter().zip(narrow).map(|(wide, narrow)| [wide, narrow]);
            Tiles { group, strip, leaves: group.leaves.iter().zip(places).collect() }
        };
        groups.iter().enumerate().map(of).collect()
    }
}

fn inset(area: Area, by: f64) -> Area {
    Area {
        x: area.x + by,
        y: area.y + by,
        width: (area.width - 2.0 * by).max(0.0),
        height: (area.height - 2.0 * by).max(0.0),
    }
}

/// The room for a group's name; none where the group is too small for it.
fn strip_height(area: Area) -> f64 {
    if area.height > 2.5 * STRIP && area.width > 40.0 { STRIP } else { 0.0 }
}

/// The place in percent, as variables that the style sheet picks from: `x y w h` for a wide screen, `a b c d` for a
/// narrow one.
fn style(html: &mut Html, [wide, narrow]: Place) {
    html.raw(" style=\"");
    for ((area, whole), names) in [(wide, WIDE), (narrow, NARROW)]
        .into_iter()
        .zip([["--x:", "--y:", "--w:", "--h:"], ["--a:", "--b:", "--c:", "--d:"]])
    {
        let shares = [
            area.x / whole.width,
            area.y / whole.height,
            area.width / whole.width,
            area.height / whole.height,
        ];
        for (name, share) in names.into_iter().zip(shares) {
            html.raw(name).number(share * 100.0).raw("%;");
        }
    }
    html.raw("\"");
}

fn group_text(html: &mut Html, tiles: &Tiles<'_>, sides: &Sides) {
    let group = tiles.group;
    html.raw("<div class=\"strip\" aria-hidden=\"true\"").with(|html| style(html, tiles.strip));
    html.raw("><bdi>")
        .text(group_name(group))
        .raw("</bdi> <span>")
        .text(group.amount.bytes)
        .raw("</span></div>\n");
    let whole = sides.all().bytes.0;
    for (leaf, place) in &tiles.leaves {
        html.raw("<a class=\"tile ")
            .raw(class(leaf))
            .raw("\" href=\"#patterns\"")
            .with(|html| style(html, *place));
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
            Some(scope) => html.raw("of ").name(cut(&scope.to_string(), 80)),
            None => html.raw("of ").text(ref_name(leaf)),
        };
        html.raw(":</span> <span>").text(leaf.amount).raw(", ").text(percent(leaf.amount.bytes.0, whole));
        html.raw(" % of all;</span> <span>").raw(meaning(class(leaf))).raw(".</span></span></a>\n");
    }
}

fn meaning(class: &str) -> &'static str {
    CLASSES.iter().find(|(name, _)| *name == class).map_or("", |(_, meaning)| meaning)
}

fn legend(html: &mut Html, groups: &[PageGroup]) {
    let leaves = || groups.iter().flat_map(|group| &group.leaves);
    html.raw("<ul class=\"legend\">");
    for (name, meaning) in CLASSES.iter().filter(|(name, _)| leaves().any(|leaf| class(leaf) == *name)) {
        html.raw("<li><span class=\"key ").raw(name).raw("\"></span>").raw(meaning).raw("</li>");
    }
    html.raw("</ul>\n");
}
