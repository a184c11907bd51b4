//! Entries of other paths: those that were saved under the key and in the layout of a cache, but by other path patterns. What they
//! hold would be restored to a place that it does not come from.

use super::cache::Cache;
use super::context::Deadline;
use crate::archive::{Manifest, Splitter};
use crate::domain::entry::Entry;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::written_paths::{CURE, listed, serve};
use crate::report::failure;
use crate::transport::pipe;

/// The patterns of an entry that do not serve a cache, and the cache's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherPaths {
    /// Those of the entry.
    pub theirs: Vec<String>,
    /// Those of the cache.
    pub own: Vec<String>,
}

impl OtherPaths {
    /// What differs, for people.
    pub(crate) fn describe(&self) -> String {
        format!("it was saved from {}, and this cache is {}", listed(&self.theirs), listed(&self.own))
    }

    /// The refusal of the entry.
    pub(crate) fn fault(&self) -> Fault {
        Fault::environment(self.describe()).with_hint(CURE.to_owned())
    }
}

/// The first root of which an entry was saved by other patterns; `None` for an entry that serves the cache. One that records no
/// patterns is taken to.
pub(crate) fn of_manifest(cache: &Cache<'_>, manifest: &Manifest) -> Option<OtherPaths> {
    let roots = cache.selections.iter().zip(&manifest.roots);
    let mut other = roots.filter(|(selection, root)| !serve(&root.paths, selection.written()));
    let (selection, root) = other.next()?;
    Some(OtherPaths { theirs: root.paths.clone(), own: selection.written().to_vec() })
}

/// The same of an entry in the store, of which only the beginning is read. An entry that cannot be read is left to the restore.
pub(crate) fn of_entry(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Option<OtherPaths> {
    let ctx = cache.ctx;
    let read = || -> Result<Option<Manifest>, Fault> {
        let stream = ctx.wait(deadline, ctx.store().read(entry)).map_err(Fault::from)?;
        let input = pipe::reader(&ctx.runtime, stream, &deadline.cancel);
        Ok(Splitter::open(input)?.manifest().cloned())
    };
    match read() {
        Ok(manifest) => of_manifest(cache, &manifest?),
        Err(error) => {
            let text = format!("the paths of `{}` are not known: {}", entry.key, failure::chain(&error));
            ctx.report(Level::Debug, cache.name(), text);
            None
        }
    }
}
