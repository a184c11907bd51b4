//! How full everything is, for people.

use std::fmt::Write as _;

use crate::domain::retention::Elapsed;
use crate::domain::status::{Status, StoreStatus};
use crate::domain::thin;
use crate::domain::unit::{ByteSize, counted};

/// The text.
pub(crate) fn text(status: &Status) -> String {
    let mut text = String::new();
    if let Some(store) = &status.store {
        store_text(&mut text, store, status);
    }
    if !status.caches.is_empty() {
        text.push_str("\nCaches\n");
    }
    for cache in &status.caches {
        let held = if cache.held > 0 { format!(", {} in use", cache.held) } else { String::new() };
        let size = filled(cache.bytes, cache.limit);
        let _ = writeln!(
            text,
            "{:>12}  {}: {size}, {}{held}",
            cache.bytes.to_string(),
            cache.name,
            counted(cache.units, "unit")
        );
    }
    text.push_str("\nVolumes\n");
    for volume in &status.volumes {
        let inodes = volume.inodes.map(|(total, free)| format!("; {free} inodes free of {total}"));
        let _ = writeln!(
            text,
            "{:>12}  free on the volume of {}, of {}{}",
            volume.free.to_string(),
            volume.path,
            volume.total,
            inodes.unwrap_or_default()
        );
    }
    text
}

fn store_text(text: &mut String, store: &StoreStatus, status: &Status) {
    let StoreStatus { location, bytes, entries, leased, quota, .. } = store;
    let _ = writeln!(text, "{} in {location}: {}", counted(*entries, "entry"), filled(*bytes, *quota));
    let _ = writeln!(text, "{:>12}  {} being read", "", leased);
    if let Some((entries, bytes)) = store.evicted {
        let _ = writeln!(text, "{:>12}  {} deleted for the quota so far, {}", "", entries, ByteSize(bytes));
    }
    if let Some(forecast) = &store.forecast {
        let full = match forecast.runs_out_at {
            Some(at) => format!("full in {}", Elapsed::between(status.now, at)),
            None => "never full".to_owned(),
        };
        let _ = writeln!(
            text,
            "{:>12}  {} a day over the last {}: {full}",
            "", forecast.per_day, forecast.window
        );
    }
    if !store.next.is_empty() {
        text.push_str("\nDeleted first, once it is full\n");
    }
    for entry in &store.next {
        let _ =
            writeln!(text, "{:>12}  {} of {}", entry.size.to_string(), thin::title(&entry.key), entry.scope);
    }
}

/// How much of a limit is filled.
#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn filled(bytes: ByteSize, limit: Option<ByteSize>) -> String {
    match limit {
        Some(limit) if limit.0 > 0 => {
            format!("{bytes} of {limit} ({:.0} %)", bytes.0 as f64 * 100.0 / limit.0 as f64)
        }
        Some(limit) => format!("{bytes} of {limit}"),
        None => format!("{bytes}, without a limit"),
    }
}
