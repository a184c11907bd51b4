//! The lines of a cache's paths: filled in for this job, and as entries record them.

use super::expand::{Sources, expand_one};
use crate::command::context::Context;
use crate::domain::fault::Fault;
use crate::domain::path_pattern::{BACKSLASH_ESCAPES, escape};
use crate::domain::spec::PathPattern;
use crate::domain::template::{Piece, Placeholder, Template};
use crate::domain::written_paths::{self, MachinePlaces};
use crate::tree::selection::PathRule;

/// A line of a cache's paths, filled in. It counts from the workspace, or from the directory that it begins with.
pub(super) fn rule(ctx: &Context<'_>, pattern: &PathPattern) -> Result<PathRule, Fault> {
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
pub(super) fn recorded(ctx: &Context<'_>, pattern: &PathPattern) -> String {
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
