//! `ls ENTRY`: the files of an entry, from its list alone.

use std::fmt::Write as _;

use super::context::Context;
use crate::archive::{self, Listing, Row, RowKind};
use crate::domain::entry::{Entry, EntryId};
use crate::domain::entry_filter::EntryFilter;
use crate::domain::fault::Fault;
use crate::domain::scope::Scope;
use crate::domain::shown::Shown;
use crate::domain::unit::{ByteSize, counted};
use crate::report::json;
use crate::report::json::files::{FileDocument, FilesDocument};
use crate::report::json::usage::EntryDocument;
use crate::store::{Catalog, StoreError, StoreExt as _};

/// Digits of a hash that people are shown.
const HASH_SHOWN: usize = 12;

/// The files of the entry with this key or id, as text or as JSON.
pub(crate) fn files(
    ctx: &Context<'_>,
    target: &dyn Catalog,
    named: &str,
    scope: Option<Scope>,
) -> Result<String, Fault> {
    let entry = find(ctx, target, named, scope)?;
    let listing = read(ctx, &entry)?.ok_or_else(|| no_list(&entry))?;
    let prefixes: Vec<&str> = listing.manifest.roots.iter().map(|root| root.prefix.as_str()).collect();
    if ctx.stdout_is_json {
        return document(target, &entry, &listing, &prefixes);
    }
    let mut text = String::new();
    let mut heading = None;
    for row in listing.rows() {
        let row = row.map_err(Fault::from)?;
        let (root, path) = place(&prefixes, &row.name);
        if prefixes.len() > 1 && heading != Some(root) {
            heading = Some(root);
            let _ = writeln!(text, "{}:", listing.manifest.roots[root].paths.join(", "));
        }
        text.push_str(&line(&row, &path));
    }
    Ok(text)
}

/// A row for people; directories that are not empty show by what lies in them.
fn line(row: &Row, path: &str) -> String {
    let path = Shown::value(path).into_string();
    let value = |name: &[u8]| Shown::value(&shown(name)).into_string();
    match &row.kind {
        RowKind::Directory => format!("{:>9}  {:HASH_SHOWN$}  {path}/\n", "", ""),
        RowKind::File { size, content, .. } => {
            let hash = &content.to_string()[..HASH_SHOWN];
            format!("{:>9}  {hash}  {path}\n", ByteSize(*size).to_string())
        }
        RowKind::Symlink { target } => {
            format!("{:>9}  {:HASH_SHOWN$}  {path} -> {}\n", "link", "", value(target))
        }
        RowKind::HardLink { target } => {
            format!("{:>9}  {:HASH_SHOWN$}  {path} = {}\n", "same", "", value(target))
        }
    }
}

fn document(
    target: &dyn Catalog,
    entry: &Entry,
    listing: &Listing,
    prefixes: &[&str],
) -> Result<String, Fault> {
    let mut files = Vec::new();
    for row in listing.rows() {
        let row = row.map_err(Fault::from)?;
        let (root, path) = place(prefixes, &row.name);
        files.push(file_document(root, path, &row));
    }
    Ok(json::render(&FilesDocument {
        command: "ls",
        store: target.location(),
        entry: EntryDocument::from(entry),
        digest: listing.digest.to_string(),
        roots: listing.manifest.roots.iter().map(|root| root.paths.clone()).collect(),
        files,
    }))
}

fn file_document(root: usize, path: String, row: &Row) -> FileDocument {
    let (kind, size, sha256, target) = match &row.kind {
        RowKind::Directory => ("directory", None, None, None),
        RowKind::File { size, content, .. } => ("file", Some(*size), Some(content.to_string()), None),
        RowKind::Symlink { target } => ("symlink", None, None, Some(shown(target))),
        RowKind::HardLink { target } => ("hard-link", None, None, Some(shown(target))),
    };
    let mode = format!("{:04o}", row.mode);
    let modified = format!("{}.{:09}", row.modified.seconds, row.modified.nanoseconds);
    FileDocument { root, path, kind, size, sha256, target, mode, modified }
}

/// Bytes of a name as text; those that are not are escaped.
fn shown(name: &[u8]) -> String {
    std::str::from_utf8(name).map_or_else(|_| name.escape_ascii().to_string(), str::to_owned)
}

/// The root that a name of an archive lies in, from 0, and its path there, with bytes that are not text escaped; `.` for the root.
pub(crate) fn place(prefixes: &[impl AsRef<str>], name: &[u8]) -> (usize, String) {
    let below = |prefix: &str| {
        let rest = name.strip_prefix(prefix.as_bytes())?;
        if rest.is_empty() { Some(&b"."[..]) } else { rest.strip_prefix(b"/") }
    };
    // Only the list was read, not the archive: it may have names outside of all roots, which are shown as they are.
    let found = prefixes.iter().enumerate().find_map(|(root, prefix)| Some((root, below(prefix.as_ref())?)));
    let (root, path) = found.unwrap_or((0, name));
    (root, shown(path))
}

fn find(ctx: &Context<'_>, target: &dyn Catalog, named: &str, scope: Option<Scope>) -> Result<Entry, Fault> {
    let list = |filter: EntryFilter| ctx.wait(&ctx.deadline(), async { target.list(&filter).await });
    let by_key = EntryFilter { key: Some(named.to_owned()), scope: scope.clone(), ..EntryFilter::default() };
    let mut entries = list(by_key).map_err(Fault::from)?;
    if entries.is_empty() {
        let ids = std::iter::once(EntryId(named.to_owned())).collect();
        entries = list(EntryFilter { ids, scope, ..EntryFilter::default() }).map_err(Fault::from)?;
    }
    if entries.len() > 1 {
        let ids: Vec<String> = entries.iter().map(|entry| format!("`{}`", entry.id.0)).collect();
        let why = format!("{} have the key `{named}`", counted(entries.len(), "entry"));
        return Err(Fault::usage(why)
            .with_hint(format!("name the ref with `--ref`, or give an id: {}", ids.join(", "))));
    }
    entries.pop().ok_or_else(|| {
        Fault::usage(format!("no entry at {} has the key or id `{named}`", target.location()))
            .with_hint("`cachekeep ls` prints the keys, and with `--json` the ids".to_owned())
    })
}

/// Reads the list of an entry; `None` if it has none.
pub(crate) fn read(ctx: &Context<'_>, entry: &Entry) -> Result<Option<Listing>, Fault> {
    let deadline = ctx.deadline();
    let store = ctx.store();
    // A catalog's entry may be one that only a lookup makes readable.
    let found = ctx.wait(&deadline, store.find(&entry.scope, &entry.key, &entry.version));
    let found = found.map_err(Fault::from)?.ok_or_else(|| {
        Fault::usage(format!("`{}` cannot be read in {}", entry.key, store.location()))
            .with_hint("run it where the cache is restored, with the same store".to_owned())
    })?;
    archive::read_listing(found.size.0, |parts| {
        ctx.wait::<_, StoreError>(&deadline, store.read_parts(&found, parts)).map_err(Fault::from)
    })
}

fn no_list(entry: &Entry) -> Fault {
    Fault::usage(format!("`{}` has no list of its files", entry.key)).with_hint(
        "cachekeep 0.2 and later save lists; in an older entry `tar --zstd -tf` shows the files".to_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_below_their_roots() {
        let check = |name: &[u8], root: usize, path: &str| {
            assert_eq!(place(&["a/0", "a/1"], name), (root, path.to_owned()));
        };
        check(b"a/0/x/y", 0, "x/y");
        check(b"a/1", 1, ".");
        check(b"a/1/\xFF", 1, "\\xff");
        check(b"a/10", 0, "a/10");
    }
}
