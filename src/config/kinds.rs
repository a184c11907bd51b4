//! What a kind brings into a cache: paths, keys and variables that the configuration does not give itself.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use super::draft::Placed;
use super::findings::Text;
use crate::domain::kinds::{Kind, KindPath};
use crate::domain::spec::PathPattern;
use crate::domain::template::Template;
use crate::domain::trim::{SizeLimit, TrimSpec};
use crate::domain::unit::SizeOrShare;

/// The key and the restore keys; `None` if there is no key, which the check of the shape reports.
pub(super) fn keys(
    name: &Text,
    kind: Option<&Kind>,
    key: Option<Text>,
    restore_keys: Vec<Text>,
) -> Option<(Text, Vec<Text>)> {
    if let Some(key) = key {
        return Some((key, restore_keys));
    }
    let kind = kind?;
    let named = |text: &str| Spanned::new(name.span(), text.replacen("NAME", name.get_ref(), 1));
    let usual = || kind.restore_keys.iter().map(|text| named(text)).collect();
    let restore_keys = if restore_keys.is_empty() { usual() } else { restore_keys };
    Some((named(kind.key), restore_keys))
}

/// The paths of a kind; all of them are where the kind is named.
pub(super) fn paths(kind: &'static Kind, place: Range<usize>) -> Vec<Placed<PathPattern>> {
    let pattern = |path: &'static KindPath| {
        let separator = if path.below.is_empty() { "" } else { "/" };
        let text = format!("{}{separator}{}", path.place.usual(), path.below);
        let pattern = Template::parse(&text).expect("the table has templates");
        let value = PathPattern { exclude: path.exclude, pattern, place: Some((path.place, path.below)) };
        Placed { value, place: place.clone() }
    };
    kind.paths.iter().map(pattern).collect()
}

/// Adds the variables of a kind that the configuration does not export itself; returns their names.
pub(super) fn export(
    kind: &Kind,
    trim: Option<&TrimSpec>,
    export: &mut BTreeMap<String, Template>,
) -> BTreeSet<String> {
    let limit = kind.limit.as_ref().and_then(|limit| {
        let value = match trim?.max_size.as_ref()? {
            // No tool knows shares of volumes.
            SizeLimit::Fixed(SizeOrShare::Percent(_) | SizeOrShare::Lesser(..)) => return None,
            SizeLimit::Fixed(SizeOrShare::Bytes(size)) => {
                format!("{}{}", size.0.div_ceil(1000).max(1), limit.kilobytes)
            }
            SizeLimit::Expanded(template) => template.source().to_owned(),
        };
        Some((limit.name, value))
    });
    let usual = kind.export.iter().map(|(name, value)| (*name, (*value).to_owned())).chain(limit);
    let mut added = BTreeSet::new();
    for (name, value) in usual.filter(|(name, _)| !export.contains_key(*name)).collect::<Vec<_>>() {
        export.insert(name.to_owned(), Template::parse(&value).expect("the table has templates"));
        added.insert(name.to_owned());
    }
    added
}
