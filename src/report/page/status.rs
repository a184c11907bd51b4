//! How full everything is, as a page that stands alone: a bar for each limit, and the same as a table.

use super::STYLE;
use super::markup::Html;
use super::words::{percent, share};
use crate::domain::status::Status;
use crate::domain::thin;
use crate::domain::unit::ByteSize;

/// Something that fills.
struct Filled {
    kind: &'static str,
    name: String,
    used: ByteSize,
    whole: Option<ByteSize>,
}

/// The page.
pub(crate) fn render(status: &Status) -> String {
    let mut html = Html::default();
    html.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    html.raw("<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; ");
    html.raw("base-uri 'none'; form-action 'none'\">\n");
    html.raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    html.raw("<meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n");
    html.raw("<title>Utilization</title>\n<style>").raw(STYLE).raw("</style>\n</head>\n<body>\n");
    html.raw("<header>\n<h1>Utilization</h1>\n<p class=\"store\">Seen at ");
    html.with(|html| super::time(html, status.now)).raw("</p>\n</header>\n<main>\n");
    let rows = rows(status);
    for row in &rows {
        bar(&mut html, row);
    }
    table(&mut html, &rows);
    if let Some(store) = status.store.as_ref().filter(|store| !store.next.is_empty()) {
        html.raw("<section>\n<h2>Deleted first, once it is full</h2>\n<table>\n<thead><tr><th scope=\"col\">Key</th><th scope=\"col\">Ref</th>");
        html.raw("<th scope=\"col\">Size</th></tr></thead>\n<tbody>\n");
        for entry in &store.next {
            html.raw("<tr><td>")
                .name(thin::title(&entry.key))
                .raw("</td><td>")
                .name(&entry.scope)
                .raw("</td><td>");
            html.text(entry.size).raw("</td></tr>\n");
        }
        html.raw("</tbody>\n</table>\n</section>\n");
    }
    html.raw("</main>\n<footer><p>Made by <code>cachekeep status --html</code>. Sizes are powers of 1000.</p></footer>\n");
    html.raw("</body>\n</html>\n");
    html.finish()
}

fn rows(status: &Status) -> Vec<Filled> {
    let store = status.store.iter().map(|store| Filled {
        kind: "Store",
        name: store.location.clone(),
        used: store.bytes,
        whole: store.quota,
    });
    let caches = status.caches.iter().map(|cache| Filled {
        kind: "Cache",
        name: cache.name.clone(),
        used: cache.bytes,
        whole: cache.limit,
    });
    let volumes = status.volumes.iter().map(|volume| Filled {
        kind: "Volume",
        name: volume.path.clone(),
        used: ByteSize(volume.total.0.saturating_sub(volume.free.0)),
        whole: Some(volume.total),
    });
    store.chain(caches).chain(volumes).collect()
}

fn bar(html: &mut Html, row: &Filled) {
    let Filled { kind, name, used, whole } = row;
    html.raw("<section>\n<h2>").raw(kind).raw(" ").name(name).raw("</h2>\n");
    if let Some(whole) = whole {
        html.raw("<svg class=\"bar\" role=\"img\"><title>")
            .text(used)
            .raw(" of ")
            .text(whole)
            .raw("</title>");
        html.raw("<rect class=\"free\" width=\"100%\" height=\"100%\"/><rect class=\"used\" height=\"100%\" width=\"");
        html.number(share(used.0, whole.0.max(1)).min(100.0)).raw("%\"/></svg>\n");
    }
    html.raw("<p>").text(used);
    match whole {
        Some(whole) => html.raw(" of ").text(whole).raw(", ").text(percent(used.0, whole.0)).raw(" %"),
        None => html.raw(", without a limit"),
    };
    html.raw("</p>\n</section>\n");
}

fn table(html: &mut Html, rows: &[Filled]) {
    html.raw("<section>\n<h2>All as a table</h2>\n<table>\n<thead><tr><th scope=\"col\">What</th><th scope=\"col\">Name</th>");
    html.raw("<th scope=\"col\">Used</th><th scope=\"col\">Of</th></tr></thead>\n<tbody>\n");
    for Filled { kind, name, used, whole } in rows {
        html.raw("<tr><td>")
            .raw(kind)
            .raw("</td><td>")
            .name(name)
            .raw("</td><td>")
            .text(used)
            .raw("</td><td>");
        html.text(whole.map(|whole| whole.to_string()).unwrap_or_default()).raw("</td></tr>\n");
    }
    html.raw("</tbody>\n</table>\n</section>\n");
}
