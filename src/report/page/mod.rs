//! Where a store's bytes are, as one page that stands alone: no network, no fonts, no images, and no script but the one
//! that sorts tables, which the page's own policy names by its hash.
//!
//! Every picture has a table that says the same. `model` sums up, `pictures`, `treemap` and `tables` draw, `markup` is the only
//! way in for foreign text.

mod input;
mod markup;
mod model;
mod pictures;
mod squarify;
pub(crate) mod status;
mod tables;
mod treemap;
mod words;

use chrono::{DateTime, Utc};
use data_encoding::BASE64;
use sha2::{Digest as _, Sha256};

use crate::domain::retention::Elapsed;
use crate::domain::retention::usage::Forecast;
use crate::domain::unit::ByteSize;
use markup::Html;
use model::Sides;
use words::{count, percent};

pub(crate) use input::UsagePage;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("sort.js");

/// The page.
pub(crate) fn render(page: &UsagePage<'_>) -> String {
    let mut html = Html::default();
    let sides = model::total(page.plan);
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; ");
    html.raw("script-src 'sha256-")
        .text(BASE64.encode(&Sha256::digest(SCRIPT)))
        .raw("'; base-uri 'none'; form-action 'none'\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
    html.raw("<title>Cache budget: ")
        .text(page.store)
        .raw("</title>\n<style>")
        .raw(STYLE)
        .raw("</style>\n</head>\n<body>\n");
    if sides.all().entries > 0 {
        html.raw("<a class=\"skip\" href=\"#tables\">Skip the pictures</a>\n");
    }
    header(&mut html, page, &sides);
    html.raw("<main>\n");
    if sides.all().entries == 0 {
        html.raw("<p class=\"empty\">There is no entry in this store.</p>\n");
    } else {
        treemap::draw(&mut html, page, &sides);
        pictures::timeline(&mut html, page);
        tables::all(&mut html, page);
    }
    html.raw("</main>\n<footer><p>Made by <code>cachekeep usage --html</code> at ")
        .with(|html| time(html, page.plan.now));
    html.raw(". Sizes are powers of 1000.</p></footer>\n<script>")
        .raw(SCRIPT)
        .raw("</script>\n</body>\n</html>\n");
    html.finish()
}

fn time(html: &mut Html, at: DateTime<Utc>) {
    html.raw("<time datetime=\"").text(at.format("%Y-%m-%dT%H:%M:%SZ")).raw("\">");
    html.text(at.format("%Y-%m-%d %H:%M UTC")).raw("</time>");
}

fn header(html: &mut Html, page: &UsagePage<'_>, sides: &Sides) {
    let used = sides.all().bytes;
    html.raw("<header>\n<h1>Cache budget</h1>\n<p class=\"store\">").name(page.store).raw(", seen at ");
    html.with(|html| time(html, page.plan.now)).raw("</p>\n");
    if !page.facts.listing_complete {
        html.raw("<p class=\"warning\"><strong>Not complete.</strong> The listing changed while it was read; nothing is planned for deletion.</p>\n");
    }
    html.raw("<dl class=\"figures\">\n");
    let mut figure = |name: &'static str, value: String, note: String| {
        html.raw("<div><dt>").raw(name).raw("</dt><dd><span class=\"value\">").text(value);
        html.raw("</span> <span class=\"note\">").text(note).raw("</span></dd></div>\n");
    };
    let limit = page.roof();
    let beyond = if page.facts.limit.is_some() { "the store evicts" } else { "cleaning deletes" };
    let entries = count(sides.all().entries, "entry");
    let share = limit.map(|limit| format!("{} % of {limit}, ", percent(used.0, limit.0))).unwrap_or_default();
    figure("Used", used.to_string(), format!("{share}{entries}"));
    if let Some(limit) = limit {
        match limit.0.checked_sub(used.0) {
            Some(left) => figure("Headroom", ByteSize(left).to_string(), format!("until {beyond}")),
            None => figure("Over the limit", ByteSize(used.0 - limit.0).to_string(), beyond.to_owned()),
        }
    }
    if let Some(Forecast { window, per_day, runs_out_at }) = page.forecast {
        match runs_out_at {
            Some(at) if at <= page.plan.now => {
                figure("Saved a day", per_day.to_string(), format!("over the last {window}"));
            }
            Some(at) => {
                let left = Elapsed::between(page.plan.now, at);
                let note = format!("{per_day} a day over the last {window}");
                figure("Full", format!("in {left}"), note);
            }
            None => figure("Full", "never".to_owned(), format!("nothing was saved in the last {window}")),
        }
    }
    let goes = sides.goes;
    let (value, note) = match goes.entries {
        0 => ("nothing".to_owned(), "the policy keeps every entry".to_owned()),
        n => (goes.bytes.to_string(), format!("{}; {} stay", count(n, "entry"), sides.stays.bytes)),
    };
    figure("Cleaning frees", value, note);
    html.raw("</dl>\n");
    pictures::budget_bar(html, page, sides);
    html.raw("</header>\n");
}

#[cfg(test)]
mod tests;
