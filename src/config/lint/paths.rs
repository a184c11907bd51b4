//! Paths of caches: their patterns, and overlaps between caches.

use super::globs;
use crate::config::draft::{Draft, Placed};
use crate::config::field::Field;
use crate::config::findings::{Findings, Text};
use crate::config::placeholders::template;
use crate::domain::path_pattern::{literal, with_slashes};
use crate::domain::spec::PathPattern;
use crate::domain::template::{Piece, Placeholder, Template};

/// Parses the patterns of one cache; invalid ones are reported and left out.
pub(in crate::config) fn patterns(texts: &[Text], findings: &mut Findings<'_>) -> Vec<Placed<PathPattern>> {
    let mut patterns = Vec::new();
    for text in texts {
        let written = text.get_ref().trim();
        let exclude = written.starts_with('!');
        let body = written.strip_prefix('!').unwrap_or(written).trim_start();
        if body.is_empty() {
            findings
                .error(&text.span(), "a path is empty")
                .with_hint("write a directory, such as `{temp}/ccache` or `build/deps`");
            continue;
        }
        let body = match body.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '\\']) => format!("{{home}}{rest}"),
            _ => body.to_owned(),
        };
        let Some(pattern) = template(&toml::Spanned::new(text.span(), body), Field::Path, findings) else {
            continue;
        };
        if let Some((message, hint)) = refused(&pattern, exclude) {
            findings.error(&text.span(), message).with_hint(hint);
            continue;
        }
        patterns.push(Placed { value: PathPattern { exclude, pattern, place: None }, place: text.span() });
    }
    if let (Some(first), true) = (patterns.first(), patterns.iter().all(|pattern| pattern.value.exclude)) {
        findings
            .error(&first.place, "the paths contain only exclusions")
            .with_hint("add a directory first; `!` excludes from the preceding paths");
    }
    patterns
}

/// Why a pattern is invalid, with its hint.
fn refused(pattern: &Template, exclude: bool) -> Option<(String, &'static str)> {
    let glob: String = pattern
        .pieces()
        .iter()
        .map(|piece| match piece {
            Piece::Literal(text) => text,
            Piece::Placeholder(_) => "x",
        })
        .collect();
    let root = CacheRoot::of(pattern);
    let slashed = with_slashes(&glob);
    let behind = slashed.split('/').skip_while(|part| literal(part).is_some()).any(|part| part == "..");
    let volume = root.components.len() == 1 && !root.components[0].contains('\0');
    if glob.contains(char::is_control) {
        let message = format!("`{}` has a control character", glob.escape_debug());
        Some((message, "in double quotes `\\t` is a tab: write paths with `\\` in single quotes"))
    } else if let Some(why) = globs::invalid(&glob) {
        Some((
            format!("`{pattern}` is not a glob: {why}"),
            "escape special characters with brackets: `[*]`, `[[]`",
        ))
    } else if behind {
        Some((format!("`{pattern}` has `..` after a wildcard"), "write the path without `..`"))
    } else if volume && !exclude {
        Some((format!("`{pattern}` covers a whole volume"), "write a directory in it"))
    } else {
        None
    }
}

/// The leading directory of a pattern, compared as text: placeholders are the same directory if they are written the
/// same.
#[derive(Debug, PartialEq, Eq)]
struct CacheRoot {
    components: Vec<String>,
    /// Whether the pattern matches only a part of what lies below the root.
    partial: bool,
}

impl CacheRoot {
    fn of(pattern: &Template) -> CacheRoot {
        let text: String = pattern
            .pieces()
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text.clone(),
                Piece::Placeholder(placeholder) => placeholder_component(placeholder),
            })
            .collect();
        let text = with_slashes(&text);
        let mut parts: Vec<&str> = text.split('/').collect();
        // `a/**`, `a/**/*` and `a/*` match all of `a`.
        while parts.len() > 1 && matches!(parts.last(), Some(&("" | "*" | "**"))) {
            parts.pop();
        }
        let names: Vec<String> = parts.iter().map_while(|part| literal(part)).collect();
        let mut components = match absolute_start(&text) {
            Some(start) => vec![start],
            None => vec![placeholder_component(&Placeholder::Workspace)],
        };
        let skip = usize::from(absolute_start(&text).is_some());
        for name in names.iter().skip(skip) {
            match name.as_str() {
                "" | "." => {}
                ".." if components.len() > 1 && components.last().is_some_and(|last| last != "..") => {
                    components.pop();
                }
                name => components.push(name.to_owned()),
            }
        }
        CacheRoot { components, partial: names.len() < parts.len() }
    }

    fn holds(&self, other: &CacheRoot) -> bool {
        other.components.starts_with(&self.components)
    }
}

/// A component for a placeholder; the NUL characters distinguish `{temp}` from a directory called `temp`.
fn placeholder_component(placeholder: &Placeholder) -> String {
    format!("\0{}\0", placeholder.to_string().trim_matches(['{', '}']))
}

/// The first component of an absolute path: empty for `/`, a drive, or a placeholder for a directory.
fn absolute_start(text: &str) -> Option<String> {
    let first = text.split('/').next().unwrap_or(text);
    let drive = first.len() == 2 && first.ends_with(':');
    let directories = [Placeholder::Temp, Placeholder::Workspace, Placeholder::Home];
    let directory = directories.iter().any(|directory| first == placeholder_component(directory))
        || first.starts_with("\0env.");
    if drive {
        Some(first.to_ascii_uppercase())
    } else {
        (first.is_empty() || directory).then(|| first.to_owned())
    }
}

/// Reports caches with the same files, and directories that one cache lists twice.
pub(super) fn overlaps(drafts: &[&Draft], findings: &mut Findings<'_>) {
    for (index, later) in drafts.iter().enumerate() {
        for earlier in &drafts[..index] {
            overlap(earlier, later, findings);
        }
        repeats(later, findings);
    }
}

fn included(draft: &Draft) -> impl Iterator<Item = &Placed<PathPattern>> {
    draft.paths.iter().filter(|path| !path.value.exclude)
}

/// Whether the cache excludes everything below the root.
fn excludes(draft: &Draft, root: &CacheRoot) -> bool {
    draft.paths.iter().filter(|path| path.value.exclude).any(|path| {
        let excluded = CacheRoot::of(&path.value.pattern);
        !excluded.partial && excluded.holds(root)
    })
}

fn overlap(earlier: &Draft, later: &Draft, findings: &mut Findings<'_>) {
    for one in included(earlier) {
        for other in included(later) {
            let (first, second) = (CacheRoot::of(&one.value.pattern), CacheRoot::of(&other.value.pattern));
            let (outer_is_first, holds) =
                (first.holds(&second), first.holds(&second) || second.holds(&first));
            let (outer, outer_root, inner_root) =
                if outer_is_first { (earlier, &first, &second) } else { (later, &second, &first) };
            if !holds || excludes(outer, inner_root) {
                continue;
            }
            let (path, cache) = (&one.value.pattern, &earlier.spec.name);
            let mine = &other.value.pattern;
            // A partial glob need not match files of the other cache.
            if outer_root.partial && one.value.pattern != other.value.pattern {
                findings
                    .warning(
                        &other.place,
                        format!("`{mine}` may match files of `{path}` in the cache `{cache}`"),
                    )
                    .with_hint("use separate directories, or exclude with `!`");
                continue;
            }
            let message = if first.components == second.components {
                format!("`{mine}` is already part of the cache `{cache}`")
            } else if outer_is_first {
                format!("`{mine}` lies inside `{path}` of the cache `{cache}`")
            } else {
                format!("`{mine}` contains `{path}` of the cache `{cache}`")
            };
            findings
                .error(&other.place, message)
                .with_hint("use separate directories, or exclude the inner one with `!`");
        }
    }
}

fn repeats(draft: &Draft, findings: &mut Findings<'_>) {
    let paths: Vec<_> = included(draft).map(|path| (path, CacheRoot::of(&path.value.pattern))).collect();
    for (index, (path, root)) in paths.iter().enumerate() {
        let holder = paths.iter().enumerate().find(|(other, (_, holder))| {
            let first = *other < index || holder.components.len() < root.components.len();
            *other != index && first && !holder.partial && holder.holds(root) && !excludes(draft, root)
        });
        if let Some((_, (holder, _))) = holder {
            let message = format!("`{}` is already part of `{}`", path.value.pattern, holder.value.pattern);
            findings.warning(&path.place, message).with_hint("remove it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_compared_by_components() {
        let root = |text: &str| CacheRoot::of(&Template::parse(text).expect("a template"));
        let check = |outer: &str, inner: &str, holds: bool| {
            assert_eq!(root(outer).holds(&root(inner)), holds, "{outer} {inner}");
        };
        check("{temp}/a", "{temp}/a/b", true);
        check("{temp}/a", "{temp}/a", true);
        check("{temp}/a/", "{temp}/./a/**", true);
        check("{temp}/a", "{temp}/ab", false);
        check("{temp}/a", "{home}/a", false);
        check("{temp}/a", "temp/a", false);
        check("build", "{workspace}/build/x", true);
        check("a/../build", "build/x", true);
        check("build/../../x", "x", false);
        check("/srv", "/srv/x", true);
        check("/", "/srv/x", true);
        check("c:\\x", "C:/x/y", true);
        check("**/node_modules", "build", true);
        check("{env.ROOT}/x", "{env.ROOT}/x/y", true);
        check("{os}/x", "{workspace}/{os}/x", true);
    }

    #[cfg(not(windows))]
    #[test]
    fn a_backslash_is_an_escape_and_not_a_separator() {
        let root = |text: &str| CacheRoot::of(&Template::parse(text).expect("a template"));
        assert!(!root("a").holds(&root(r"a\*b")), "the file `a*b` is not inside `a`");
        assert_eq!(root(r"a\*b"), root("a[*]b"));
    }

    #[test]
    fn a_glob_for_everything_is_not_partial() {
        let partial = |text: &str| CacheRoot::of(&Template::parse(text).expect("a template")).partial;
        for (text, expected) in
            [("a", false), ("a/**", false), ("a/**/*", false), ("a/*.o", true), ("*", true)]
        {
            assert_eq!(partial(text), expected, "{text}");
        }
    }
}
