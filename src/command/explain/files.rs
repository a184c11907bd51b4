//! The files of a cache compared with the list of an entry, by contents: times and modes do not count.

use std::collections::HashMap;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::archive::{self, Listing, RowKind};
use crate::command::cache::Cache;
use crate::command::listing;
use crate::domain::digest::Sha256Digest;
use crate::domain::entry::Entry;
use crate::domain::event::Level;
use crate::domain::explain::files::FileChanges;
use crate::domain::fault::Fault;
use crate::domain::version::portable_roots;
use crate::fs::open::Links;
use crate::fs::read;
use crate::tree::selection::Selection;
use crate::tree::walk::{Item, ItemKind, Walk, place_of};

/// What lies at a name of an entry.
#[derive(Debug, PartialEq, Eq)]
enum Saved {
    File { size: u64, content: Sha256Digest },
    Link(Vec<u8>),
}

/// Compares the files of a cache with those of an entry; `None` for an entry without a list.
pub(super) fn compare(cache: &Cache<'_>, entry: &Entry) -> Result<Option<FileChanges>, Fault> {
    let Some(listing) = listing::read(cache.ctx, entry)? else {
        let text = format!("`{}` has no list of its files: an earlier version saved it", entry.key);
        cache.ctx.report(Level::Warning, cache.name(), text);
        return Ok(None);
    };
    let deadline = cache.ctx.deadline();
    let mut saved = saved_files(&listing)?;
    let mut changes = FileChanges::default();
    let prefixes = portable_roots(cache.name(), cache.selections.len());
    // With several roots their number is in front.
    let numbered = |root: usize, below: &str| {
        if prefixes.len() > 1 { format!("{root}:{below}") } else { below.to_owned() }
    };
    for (root, (selection, prefix)) in cache.selections.iter().zip(&prefixes).enumerate() {
        for item in Walk::new(selection).if_there() {
            let item = item.map_err(Fault::from)?;
            if matches!(item.kind, ItemKind::Directory | ItemKind::Special) {
                continue;
            }
            // What no archive can hold is only here.
            let name = archive::name_of(prefix, &item.relative);
            let there = name.and_then(|name| saved.remove(&name));
            let shown = numbered(root, &item.relative.display().to_string());
            match there {
                None => changes.added.push(shown),
                Some(there) if is_same(selection, &item, &there, &deadline.cancel)? => changes.same += 1,
                Some(_) => changes.changed.push(shown),
            }
        }
    }
    let gone = saved.into_keys().map(|name| {
        let (root, below) = listing::place(&prefixes, &name);
        numbered(root, &below)
    });
    changes.removed = gone.collect();
    changes.removed.sort_unstable();
    Ok(Some(changes))
}

/// What an entry holds but directories, by name; hard links are files like the one that they join.
fn saved_files(listing: &Listing) -> Result<HashMap<Vec<u8>, Saved>, Fault> {
    let mut saved = HashMap::new();
    for row in listing.rows() {
        let row = row.map_err(Fault::from)?;
        let there = match row.kind {
            RowKind::Directory => continue,
            RowKind::File { size, content, .. } => Saved::File { size, content },
            RowKind::Symlink { target } => Saved::Link(target),
            RowKind::HardLink { target } => match saved.get(&target) {
                Some(&Saved::File { size, content }) => Saved::File { size, content },
                _ => continue,
            },
        };
        saved.insert(row.name, there);
    }
    Ok(saved)
}

fn is_same(
    selection: &Selection,
    item: &Item,
    there: &Saved,
    cancel: &CancellationToken,
) -> Result<bool, Fault> {
    Ok(match (&item.kind, there) {
        (ItemKind::File, Saved::File { size, content }) if *size == item.size => {
            let path = place_of(&selection.root, &item.relative);
            digest(&path, cancel)? == *content
        }
        (ItemKind::Symlink { target }, Saved::Link(there)) => {
            archive::target_of(target).is_some_and(|here| here == *there)
        }
        _ => false,
    })
}

fn digest(path: &Path, cancel: &CancellationToken) -> Result<Sha256Digest, Fault> {
    read::sha256_of_file(path, Links::Refused, cancel)
        .map_err(|source| Fault::environment(format!("cannot read `{}`", path.display())).caused_by(source))
}
