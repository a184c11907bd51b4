//! Whether an entry in the store was saved by the paths of a cache: what an entry of other paths holds would be restored to a place that
//! it does not come from.

use super::cache::Cache;
use super::context::Deadline;
use crate::archive::{Manifest, Splitter};
use crate::domain::entry::Entry;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::written_paths::OtherPaths;
use crate::report::failure;
use crate::transport::pipe;

/// The first root of which an entry in the store was saved by other patterns; of the entry only the beginning is read. One that cannot be
/// read is left to the restore.
pub(crate) fn of_entry(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Option<OtherPaths> {
    let ctx = cache.ctx;
    let read = || -> Result<Option<Manifest>, Fault> {
        let stream = ctx.wait(deadline, ctx.store().read(entry)).map_err(Fault::from)?;
        let input = pipe::reader(&ctx.runtime, stream, &deadline.cancel);
        Ok(Splitter::behind_manifest(input)?.manifest().cloned())
    };
    match read() {
        Ok(manifest) => OtherPaths::of(manifest?.written(), cache.written()),
        Err(error) => {
            let text = format!("the paths of `{}` are not known: {}", entry.key, failure::chain(&error));
            ctx.report(Level::Debug, cache.name(), text);
            None
        }
    }
}
