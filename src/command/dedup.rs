//! `dedup`: equal files in directories share their bytes.

use std::path::{Path, PathBuf};

use super::context::Context;
use crate::domain::dedup::{DedupOutcome, Sharing};
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::unit::ByteSize;
use crate::fs::{cancel, link, read, recover};
use crate::report::text::dedup::deduplicated;
use crate::tree::dedup::{DedupOptions, dedup};

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DedupRequest {
    /// How files share their bytes.
    pub by: Sharing,
    /// Smaller files are left out.
    pub min_size: ByteSize,
    /// Only find out what could be shared.
    pub dry_run: bool,
}

/// Shares the bytes of equal files in these directories.
///
/// # Errors
/// One of them is not a directory or is a link, or cannot be read; or the volume has no reflinks.
pub(crate) fn run(
    ctx: &Context<'_>,
    directories: &[PathBuf],
    request: DedupRequest,
) -> Result<DedupOutcome, Fault> {
    let roots = roots(directories)?;
    if !request.dry_run {
        // What an earlier run left here that was killed.
        let goes_on = || !cancel::is_cancelled(&ctx.interrupt.cancel);
        recover::recover_while(&roots, &[], &ctx.records, ctx.now, &goes_on);
    }
    let deadline = ctx.deadline();
    let options = DedupOptions {
        by: request.by,
        min_size: request.min_size,
        dry_run: request.dry_run,
        now: ctx.now,
        cancel: &deadline.cancel,
    };
    let outcome = dedup(&roots, &options)?;
    ctx.report_about_job(Level::Info, deduplicated(&outcome));
    Ok(outcome)
}

/// The directories without links on the way to them, each file below one of them only.
fn roots(directories: &[PathBuf]) -> Result<Vec<PathBuf>, Fault> {
    let resolve = |directory: &PathBuf| {
        let shown = directory.display();
        if matches!(link::is_link(directory), Ok(Some(true))) {
            return Err(Fault::usage(format!("`{shown}` is a link, through which nothing is shared"))
                .with_hint("name the directory that it leads to".to_owned()));
        }
        if !read::is_directory(directory).unwrap_or(false) {
            return Err(Fault::usage(format!("`{shown}` is not a directory")));
        }
        Ok(link::resolved(directory).unwrap_or_else(|| directory.clone()))
    };
    let mut roots: Vec<PathBuf> = directories.iter().map(resolve).collect::<Result<_, _>>()?;
    roots.sort();
    roots.dedup_by(|next, root| next.starts_with(root as &Path));
    Ok(roots)
}
