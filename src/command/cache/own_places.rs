//! Places that are not a cache, or no part of one: the store's and this program's own, the home directory, and what of a checkout
//! a cache holds only by name.

use std::path::{Path, PathBuf};

use crate::command::context::Context;
use crate::config::DISCOVERY;
use crate::domain::fault::Fault;
use crate::domain::version::LAYOUT_ROOT;
use crate::fs::link;
use crate::tree::selection::{Selection, Verdict};
use crate::tree::unnamed::Unnamed;

/// A name that no rule means in particular.
const ANY_NAME: &str = "\u{1}";

/// The store, the state that outlives a command, and records of publications. They need not exist.
pub(in crate::command) fn of(ctx: &Context<'_>) -> Vec<PathBuf> {
    let facts = ctx.platform.facts();
    let records = facts.record_dirs.iter().filter_map(|directory| directory.parent());
    let places = [facts.store_dir.as_path(), facts.state_dir.as_path()];
    let mut all: Vec<PathBuf> =
        ctx.store.directory().into_iter().chain(places).chain(records).map(Path::to_owned).collect();
    all.sort();
    all.dedup();
    all
}

/// Refuses a root that is the home directory, or a place of this program or in one.
pub(super) fn refuse(ctx: &Context<'_>, selection: &Selection) -> Result<(), Fault> {
    let root = spelled(&selection.root);
    let refuse = |what: &str, hint: &str| {
        let message = format!("`{}` {what}, and cannot be a cache", selection.root.display());
        Err(Fault::usage(message).with_hint(hint.to_owned()))
    };
    if let Some(home) = ctx.platform.facts().home.as_deref()
        && spelled(home) == root
        && takes_all(selection)
    {
        return refuse("is the home directory", "name the directories in it that belong to the cache");
    }
    if of(ctx).iter().any(|place| root.starts_with(spelled(place))) {
        return refuse(
            "is where cachekeep keeps its store or its state",
            "choose another directory, or keep the store elsewhere with `store`",
        );
    }
    Ok(())
}

/// Whether a selection takes its root, or everything in it by a wildcard.
fn takes_all(selection: &Selection) -> bool {
    selection.is_whole() || selection.verdict(Path::new(ANY_NAME), true) == Verdict::Take
}

/// The selection without what is never part of a cache, or only by its name.
pub(super) fn leave_out(ctx: &Context<'_>, selection: Selection) -> Selection {
    let root = spelled(&selection.root);
    let workspace = spelled(ctx.workspace);
    let unnamed = Unnamed::below(&root, &workspace, &[workspace.join(DISCOVERY)]);
    // Where archives lie between this program and a step of the platform.
    let between = [Some(ctx.workspace.join(LAYOUT_ROOT)), ctx.platform.facts().carried_dir.clone()];
    let places = of(ctx).into_iter().chain(between.into_iter().flatten()).map(|place| spelled(&place));
    let below: Vec<PathBuf> =
        places.filter_map(|place| place.strip_prefix(&root).map(Path::to_owned).ok()).collect();
    let below = below.into_iter().filter(|place| !place.as_os_str().is_empty());
    below.fold(selection.guarding(unnamed), Selection::without)
}

/// One spelling for each path: without links in what exists of it.
fn spelled(path: &Path) -> PathBuf {
    link::resolved(path).unwrap_or_else(|| path.to_owned())
}
