//! A declared cache opened: its paths are filled in for this job, as entries record them too. Those are refused or left out that are not a
//! cache or no part of one, such as the store's, this program's own, the home directory, and what of a checkout a cache holds only by name.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::keys::{Sources, expand_one};
use super::{Cache, DeclaredCache};
use crate::command::context::Context;
use crate::config::DISCOVERY;
use crate::domain::fault::Fault;
use crate::domain::path_pattern::{BACKSLASH_ESCAPES, escape};
use crate::domain::spec::{CacheSpec, PathPattern};
use crate::domain::template::{Piece, Placeholder, Template};
use crate::domain::version::{LAYOUT_ROOT, portable_roots};
use crate::domain::written_paths::{self, MachinePlaces};
use crate::fs::link;
use crate::objects::layout::ObjectLayout;
use crate::objects::verified::VerifiedFiles;
use crate::tree::selection::{PathRule, Resolved, Selection, Verdict, resolve};
use crate::tree::unnamed::Unnamed;

/// A name that no rule means in particular.
const ANY_NAME: &str = "\u{1}";

/// Opens every selected cache.
pub(crate) fn open_all<'a>(ctx: &'a Context<'a>) -> Vec<DeclaredCache<'a>> {
    ctx.caches.iter().map(|spec| DeclaredCache { spec, opened: Cache::open(ctx, spec) }).collect()
}

impl<'a> Cache<'a> {
    /// Resolves the paths of a declared cache.
    pub(crate) fn open(ctx: &'a Context<'a>, spec: &'a CacheSpec) -> Result<Self, Fault> {
        let rules = spec.paths.iter().map(|pattern| rule(ctx, pattern)).collect::<Result<Vec<_>, Fault>>()?;
        let Resolved { selections, members, exclusions } = resolve(&rules)?;
        let own: Vec<PathBuf> = ctx.own_places().iter().map(|place| spelled(place)).collect();
        selections.iter().try_for_each(|selection| refuse(ctx, selection, &own))?;
        let prefixes = portable_roots(&spec.name, selections.len());
        let layout = spec.links.as_ref().map(|links| ObjectLayout::new(&links.object)).transpose()?;
        let recorded: Vec<String> = spec.paths.iter().map(|pattern| recorded(ctx, pattern)).collect();
        let ready = |(selection, members): (Selection, Vec<usize>)| {
            let written = members.iter().map(|index| recorded[*index].clone()).collect();
            let counters = spec.kind.map_or::<&[&str], _>(&[], |kind| kind.counters);
            leave_out(ctx, selection, &own).written_as(written).without_counting(counters)
        };
        let mut selections: Vec<Selection> = selections.into_iter().zip(members).map(ready).collect();
        if let (Some(layout), Some(first)) = (&layout, selections.first_mut()) {
            *first = first.clone().without_leftovers(layout.clone());
        }
        for selection in &selections {
            ctx.note_volume(&selection.root);
        }
        let allowed = spec.links.as_ref().map(|links| links.allow_unverified.clone()).unwrap_or_default();
        Ok(Cache {
            ctx,
            spec,
            selections,
            exclusions,
            prefixes,
            layout,
            wanted: OnceCell::new(),
            verified: Arc::new(VerifiedFiles::allowing(allowed)),
        })
    }

    /// As [`Cache::open`], with the name of the cache in a fault: for commands that end with it.
    pub(crate) fn open_named(ctx: &'a Context<'a>, spec: &'a CacheSpec) -> Result<Self, Fault> {
        Cache::open(ctx, spec).map_err(|fault| spec.named_in(fault))
    }
}

/// A line of a cache's paths, filled in. It counts from the workspace, or from the directory that it begins with.
fn rule(ctx: &Context<'_>, pattern: &PathPattern) -> Result<PathRule, Fault> {
    if let Some(rule) = placed(ctx, pattern) {
        return Ok(rule);
    }
    let pieces = pattern.pattern.pieces();
    let directory = match pieces.first() {
        Some(Piece::Placeholder(Placeholder::Workspace)) => Some(ctx.workspace),
        Some(Piece::Placeholder(Placeholder::Temp)) => Some(ctx.temp),
        Some(Piece::Placeholder(Placeholder::Home)) => ctx.platform.facts().home.as_deref(),
        _ => None,
    };
    let separators: &[char] = if BACKSLASH_ESCAPES { &['/'] } else { &['/', '\\'] };
    let ends_there = match pieces.get(1) {
        None => true,
        Some(Piece::Literal(text)) => text.starts_with(separators),
        Some(Piece::Placeholder(_)) => false,
    };
    if let Some(base) = directory.filter(|_| ends_there) {
        let text = expand_pieces(ctx, &pieces[1..])?;
        let text = text.trim_start_matches(separators).to_owned();
        return Ok(PathRule { exclude: pattern.exclude, base: base.to_owned(), pattern: text });
    }
    let text = expand_pieces(ctx, pieces)?;
    Ok(PathRule { exclude: pattern.exclude, base: ctx.workspace.to_owned(), pattern: text })
}

/// A path in the directory of a tool, where a variable of the job says which one that is.
fn placed(ctx: &Context<'_>, pattern: &PathPattern) -> Option<PathRule> {
    let (place, below) = pattern.place?;
    let set = place.variables.iter().find_map(|(name, inner)| Some((ctx.env.path(name)?, inner)));
    let (directory, inner) = set?;
    let directory = ctx.workspace.join(directory);
    let base = if inner.is_empty() { directory } else { directory.join(inner) };
    Some(PathRule { exclude: pattern.exclude, base, pattern: below.to_owned() })
}

/// Fills in a path or glob: what placeholders stand for is literal, whatever characters are in it.
fn expand_pieces(ctx: &Context<'_>, pieces: &[Piece]) -> Result<String, Fault> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.push_str(literal),
            Piece::Placeholder(placeholder) => {
                let alone = Template::parse(&placeholder.to_string()).expect("a placeholder is a template");
                text.push_str(&escape(&expand_one(ctx, &alone, &Sources::default())?));
            }
        }
    }
    Ok(text)
}

/// A line of a cache's paths as entries record it: the same on every machine.
fn recorded(ctx: &Context<'_>, pattern: &PathPattern) -> String {
    if let Some((place, below)) = pattern.place {
        let sign = if pattern.exclude { "!" } else { "" };
        return format!("{sign}{{kind.{}}}/{below}", place.id);
    }
    let piece = |piece: &Piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::Placeholder(placeholder) => placeholder.to_string(),
    };
    let written: String = pattern.pattern.pieces().iter().map(piece).collect();
    let home = ctx.platform.facts().home.as_deref();
    let places = MachinePlaces { workspace: ctx.workspace, temp: ctx.temp, home };
    written_paths::recorded(&written, pattern.exclude, &places)
}

/// Refuses a root that is the home directory, in git's own directory, or one of this program's `own` places or in one.
fn refuse(ctx: &Context<'_>, selection: &Selection, own: &[PathBuf]) -> Result<(), Fault> {
    refuse_git_directory(ctx, &selection.root)?;
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
    if own.iter().any(|place| root.starts_with(place)) {
        return refuse(
            "is where cachekeep keeps its store or its state",
            "choose another directory, or keep the store elsewhere with `store`",
        );
    }
    Ok(())
}

/// Refuses a root that is, or lies in, a `.git` of the checkout, whether by its name or through links: git's own directory
/// holds hooks that git runs, and credentials.
fn refuse_git_directory(ctx: &Context<'_>, root: &Path) -> Result<(), Fault> {
    let is_inside = is_in_git(ctx.workspace, root)
        || match (link::resolved(ctx.workspace), link::resolved(root)) {
            (Some(workspace), Some(root)) => is_in_git(&workspace, &root),
            _ => false,
        };
    if !is_inside {
        return Ok(());
    }
    let message = format!("`{}` belongs to git, which runs programs that are named there", root.display());
    Err(Fault::usage(message).with_hint("write a directory outside of `.git`".to_owned()))
}

/// Whether a path has a component `.git` below the workspace. Letter case does not count: it does not on macOS and Windows.
fn is_in_git(workspace: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(workspace).into_iter().flat_map(Path::components);
    below.into_iter().any(|part| part.as_os_str().eq_ignore_ascii_case(".git"))
}

/// Whether a selection takes its root, or everything in it by a wildcard.
fn takes_all(selection: &Selection) -> bool {
    selection.is_whole() || selection.verdict(Path::new(ANY_NAME), true) == Verdict::Take
}

/// The selection without what is never part of a cache, or only by its name.
fn leave_out(ctx: &Context<'_>, selection: Selection, own: &[PathBuf]) -> Selection {
    let root = spelled(&selection.root);
    let workspace = spelled(ctx.workspace);
    let unnamed = Unnamed::below(&root, &workspace, &[workspace.join(DISCOVERY)]);
    // Where archives lie between this program and a step of the platform.
    let between = [Some(ctx.workspace.join(LAYOUT_ROOT)), ctx.platform.facts().carried_dir.clone()];
    let between = between.into_iter().flatten().map(|place| spelled(&place));
    let places = own.iter().cloned().chain(between);
    let below: Vec<PathBuf> =
        places.filter_map(|place| place.strip_prefix(&root).map(Path::to_owned).ok()).collect();
    let below = below.into_iter().filter(|place| !place.as_os_str().is_empty());
    below.fold(selection.guarding(unnamed), Selection::without)
}

/// One spelling for each path: without links in what exists of it.
fn spelled(path: &Path) -> PathBuf {
    link::resolved(path).unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_below_the_workspace_count() {
        let workspace = Path::new("/srv/.git/ws");
        for (path, expect) in [
            ("/srv/.git/ws/.git", true),
            ("/srv/.git/ws/.GIT/hooks", true),
            ("/srv/.git/ws/vendor/lib/.git/modules", true),
            ("/srv/.git/ws/.github", false),
            ("/srv/.git/ws/x.git", false),
            ("/srv/.git/ws", false),
            ("/srv/other/.git", false),
        ] {
            assert_eq!(is_in_git(workspace, Path::new(path)), expect, "{path}");
        }
    }
}
