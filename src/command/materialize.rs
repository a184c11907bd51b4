//! The one way in which staged trees become a cache: for restores, native and wrapped, and for seeds.
//!
//! Whatever unpacked them, the trees are verified first, what is not proven and what does not belong to the cache is taken out,
//! and then all roots are published together: all of them, or none.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::cache::Cache;
use super::context::Deadline;
use crate::domain::digest::ObjectId;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::inventory::Presence;
use crate::domain::sentinel::SENTINEL_FILE;
use crate::fs::link;
use crate::fs::read;
use crate::fs::staging::{self, Published, Staging, StagingError, Usage};
use crate::inputs::tracked::{Tracked, tracked_below};
use crate::objects::remove;
use crate::report::failure;
use crate::tree::narrow::{Narrowed, narrow};
use crate::tree::selection::Selection;

/// How many files are named before the rest is only counted.
const NAMED: usize = 3;

/// What a cache holds once staged trees are published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The trees as they were staged, where no directory was.
    Untouched,
    /// What was staged and nothing else.
    Alone,
    /// Something of before as well, or not all that was staged.
    Mixed,
}

/// An empty tree for a root of a cache, to be filled and given to [`materialize`]. It lies beside the root, or inside where it will be merged
/// into the root.
pub(super) fn stage(cache: &Cache<'_>, selection: &Selection) -> Result<Staging, StagingError> {
    let ctx = cache.ctx;
    let usage = Usage::of(ctx.workspace, &ctx.env.current_dir);
    Staging::prepare(&selection.root, !selection.is_whole(), &usage, &ctx.records, ctx.now)
}

/// Publishes the trees that were staged for the roots of a cache, in the order of the roots: what is not proven and what does not belong to
/// the cache is taken out, files that git tracks are kept, and then all of them take their places, or none. `done` is the past
/// participle for messages: `restored`, `seeded`.
///
/// # Errors
/// The trees cannot be verified or published; the cache is as it was.
pub(super) fn materialize(
    cache: &Cache<'_>,
    mut stagings: Vec<Staging>,
    done: &str,
    deadline: &Deadline,
) -> Result<Arrival, Fault> {
    let ctx = cache.ctx;
    let Some(first) = stagings.first_mut() else { return Ok(Arrival::Alone) };
    let staged = first.tree().to_owned();
    let refused = take_out_unproven(cache, first, deadline)?;
    if cache.layout().is_some() && read::is_there(first.target()) {
        // An object that is present and right is not replaced by its copy.
        first.yield_equal(&deadline.cancel)?;
    }
    let mut left_out = refused as u64;
    for (staging, selection) in stagings.iter_mut().zip(&cache.selections) {
        if !selection.is_everything() {
            let Narrowed { above, removed } =
                narrow(selection, staging.tree(), SENTINEL_FILE, &deadline.cancel)?;
            staging.keep_directories(above);
            left_out += removed;
        }
        // Where no target is, nothing is replaced.
        if read::is_there(staging.target()) {
            left_out += keep_work(cache, staging, deadline)?;
        }
    }
    let started = Instant::now();
    let published = staging::publish_all(stagings, &deadline.cancel)?;
    let text = format!("published in {:.3} s", started.elapsed().as_secs_f64());
    ctx.report(Level::Debug, cache.name(), text);
    report_ways(cache, &published);
    // What was verified in the staged tree need not be read again in its place.
    cache.verified().relocate(&staged, cache.root());
    for leftover in published.iter().filter_map(|published| published.leftover.as_ref()) {
        ctx.report(Level::Warning, cache.name(), format!("{done}, but {}", failure::chain(leftover)));
    }
    Ok(if left_out > 0 || published.iter().any(|published| published.kept > 0) {
        Arrival::Mixed
    } else if published.iter().all(Published::is_renamed) {
        Arrival::Untouched
    } else {
        Arrival::Alone
    })
}

/// Takes out of a staged tree what would replace work: files that git tracks, and, where git cannot be asked, every file in the
/// checkout. Returns how many of them differ from what was staged.
fn keep_work(cache: &Cache<'_>, staging: &mut Staging, deadline: &Deadline) -> Result<u64, Fault> {
    let spelled = |path: &Path| link::resolved(path).unwrap_or_else(|| path.to_owned());
    let (workspace, target) = (spelled(cache.ctx.workspace), spelled(staging.target()));
    let (kept, why, hint) = match tracked_below(&workspace, &target, &deadline.cancel)? {
        Tracked::NoCheckout => return Ok(0),
        Tracked::Files(files) if files.is_empty() => return Ok(0),
        Tracked::Files(files) => {
            let kept = staging.yield_kept(|path| files.contains(path))?;
            let hint = "leave what git tracks out of the cache with a path that begins with `!`";
            (kept, "git tracks them".to_owned(), hint)
        }
        Tracked::Unknown(reason) => {
            let kept = staging.yield_kept(|_| true)?;
            let hint = "let this user run git in the workspace, so that only tracked files are kept";
            (kept, format!("git may track them ({reason})"), hint)
        }
    };
    if !kept.is_empty() {
        // A root that is a file has no path below itself.
        let named = |path: PathBuf| if path.as_os_str().is_empty() { target.clone() } else { path };
        let kept: Vec<PathBuf> = kept.iter().cloned().map(named).collect();
        let text = format!("{} kept as they are, since {why}: {}", count(kept.len()), list(&kept));
        cache.ctx.report_with_hint(Level::Warning, cache.name(), text, Some(hint.to_owned()));
    }
    Ok(kept.len() as u64)
}

fn count(files: usize) -> String {
    if files == 1 {
        "1 file that differs from the entry is".to_owned()
    } else {
        format!("{files} files that differ from the entry are")
    }
}

fn list(paths: &[PathBuf]) -> String {
    let named: Vec<String> = paths.iter().take(NAMED).map(|path| format!("`{}`", path.display())).collect();
    let more = if paths.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}

/// Says how each root was published, and why so.
fn report_ways(cache: &Cache<'_>, published: &[Published]) {
    for Published { target, decision, .. } in published {
        let way = match decision {
            Ok(decision) => decision.to_string(),
            Err(left) => format!("left as it is: {left}"),
        };
        cache.ctx.report(Level::Debug, cache.name(), format!("`{}` was {way}", target.display()));
    }
}

/// Verifies what was unpacked, as thoroughly as the cache declares, and takes out what is not proven: it never comes
/// under its final name, and never replaces what is there. Returns how many objects were taken out.
fn take_out_unproven(cache: &Cache<'_>, staging: &Staging, deadline: &Deadline) -> Result<usize, Fault> {
    let (Some(layout), Some(links)) = (cache.layout(), &cache.spec.links) else { return Ok(0) };
    let inventory = cache.inventory_at(staging.tree(), links.verify, &deadline.cancel)?;
    let unproven = |presence: &Presence| presence.size().is_none();
    let refused: Vec<&ObjectId> = inventory
        .objects
        .iter()
        .filter(|(_, presence)| unproven(presence))
        .map(|(object, _)| object)
        .collect();
    for object in &refused {
        remove::set_aside(staging.tree(), layout, object, staging.payload())?;
    }
    if !refused.is_empty() {
        cache.warn_of_objects(
            "were archived but are not proven to be what their names say, and were not restored",
            &refused,
        );
    }
    Ok(refused.len())
}
