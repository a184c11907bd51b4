//! Paths of caches: what they are, and that no two caches keep the same files.

use super::globs;
use crate::config::convert::{Draft, Placed};
use crate::config::findings::{Findings, Text};
use crate::config::placeholders::{Field, template};
use crate::domain::spec::PathPattern;
use crate::domain::template::{Piece, Placeholder, Template};

/// Reads the patterns of one cache; those that are wrong are reported and left out.
pub(in crate::config) fn patterns(texts: &[Text], findings: &mut Findings<'_>) -> Vec<Placed<PathPattern>> {
    let mut patterns = Vec::new();
    for text in texts {
        let written = text.get_ref().trim();
        let exclude = written.starts_with('!');
        let body = written.strip_prefix('!').unwrap_or(written).trim_start();
        if body.is_empty() {
            findings
                .error(&text.span(), "a path is empty")
                .cure("name a folder, such as `{temp}/ccache` or `build/deps`");
            continue;
        }
        let body = match body.strip_prefix('~') {
            Some(rest) if rest.is_empty() || rest.starts_with(['/', '\\']) => format!("{{home}}{rest}"),
            _ => body.to_owned(),
        };
        let Some(pattern) = template(&toml::Spanned::new(text.span(), body), Field::Path, findings) else {
            continue;
        };
        if let Some((message, cure)) = refused(&pattern, exclude) {
            findings.error(&text.span(), message).cure(cure);
            continue;
        }
        patterns.push(Placed { value: PathPattern { exclude, pattern }, place: text.span() });
    }
    if let (Some(first), true) = (patterns.first(), patterns.iter().all(|pattern| pattern.value.exclude)) {
        findings
            .error(&first.place, "the paths only exclude")
            .cure("name a folder first; `!` takes away from what stands before it");
    }
    patterns
}

/// Why a pattern cannot be used, and the cure.
fn refused(pattern: &Template, exclude: bool) -> Option<(String, &'static str)> {
    let glob: String = pattern
        .pieces()
        .iter()
        .map(|piece| match piece {
            Piece::Literal(text) => text,
            Piece::Placeholder(_) => "x",
        })
        .collect();
    let root = Root::of(pattern);
    let behind = glob.split('/').skip_while(|part| plain(part).is_some()).any(|part| part == "..");
    let volume = root.components.len() == 1 && !root.components[0].contains('\0');
    if let Some(why) = globs::wrong(&glob) {
        Some((
            format!("`{pattern}` is not a glob: {why}"),
            "put a special character in brackets: `[*]`, `[[]`",
        ))
    } else if behind {
        Some((format!("`{pattern}` has `..` behind a wildcard"), "write the path without `..`"))
    } else if volume && !exclude {
        Some((format!("`{pattern}` takes a whole volume"), "name a folder in it"))
    } else {
        None
    }
}

/// The name that a component without wildcards stands for; `[*]` stands for `*`.
fn plain(component: &str) -> Option<String> {
    let mut name = String::new();
    let mut rest = component.chars();
    while let Some(c) = rest.next() {
        match c {
            '*' | '?' | '{' | '}' | ']' => return None,
            '[' => {
                name.push(rest.next().filter(|inner| !"!^]".contains(*inner))?);
                rest.next().filter(|end| *end == ']')?;
            }
            other => name.push(other),
        }
    }
    Some(name)
}

/// Where a pattern begins, compared as text: two placeholders are the same folder if they are written
/// the same.
#[derive(Debug, PartialEq, Eq)]
struct Root {
    components: Vec<String>,
    /// Whether the pattern takes some of what is below the root, not all.
    partial: bool,
}

impl Root {
    fn of(pattern: &Template) -> Root {
        let text: String = pattern
            .pieces()
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text.replace('\\', "/"),
                Piece::Placeholder(placeholder) => marked(placeholder),
            })
            .collect();
        let mut parts: Vec<&str> = text.split('/').collect();
        // `a/**`, `a/**/*` and `a/*` take all of `a`.
        while parts.len() > 1 && matches!(parts.last(), Some(&("" | "*" | "**"))) {
            parts.pop();
        }
        let names: Vec<String> = parts.iter().map_while(|part| plain(part)).collect();
        let mut components = match absolute_start(&text) {
            Some(start) => vec![start],
            None => vec![marked(&Placeholder::Workspace)],
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
        Root { components, partial: names.len() < parts.len() }
    }

    fn holds(&self, other: &Root) -> bool {
        other.components.starts_with(&self.components)
    }
}

/// A mark that no path has keeps `{temp}` apart from a folder of that name.
fn marked(placeholder: &Placeholder) -> String {
    format!("\0{}\0", placeholder.to_string().trim_matches(['{', '}']))
}

/// The first component of an absolute path: empty for `/`, a drive, or a placeholder for a folder.
fn absolute_start(text: &str) -> Option<String> {
    let first = text.split('/').next().unwrap_or(text);
    let drive = first.len() == 2 && first.ends_with(':');
    let folders = [Placeholder::Temp, Placeholder::Workspace, Placeholder::Home];
    let folder = folders.iter().any(|folder| first == marked(folder)) || first.starts_with("\0env.");
    if drive {
        Some(first.to_ascii_uppercase())
    } else {
        (first.is_empty() || folder).then(|| first.to_owned())
    }
}

/// Reports caches that keep the same files, and folders that one cache names twice.
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

/// Whether the cache excludes all that the root holds. A relative exclusion counts from every root of
/// the cache.
fn excludes(draft: &Draft, root: &Root) -> bool {
    let workspace = marked(&Placeholder::Workspace);
    draft.paths.iter().filter(|path| path.value.exclude).any(|path| {
        let excluded = Root::of(&path.value.pattern);
        let below_a_root = || {
            let relative = excluded.components.strip_prefix(std::slice::from_ref(&workspace))?;
            let holds = |from: &Placed<PathPattern>| {
                let mut components = Root::of(&from.value.pattern).components;
                components.extend_from_slice(relative);
                root.components.starts_with(&components)
            };
            (!relative.is_empty()).then(|| included(draft).any(holds))
        };
        !excluded.partial && (excluded.holds(root) || below_a_root().unwrap_or(false))
    })
}

fn overlap(earlier: &Draft, later: &Draft, findings: &mut Findings<'_>) {
    for one in included(earlier) {
        for other in included(later) {
            let (first, second) = (Root::of(&one.value.pattern), Root::of(&other.value.pattern));
            let (outer_is_first, holds) =
                (first.holds(&second), first.holds(&second) || second.holds(&first));
            let (outer, outer_root, inner_root) =
                if outer_is_first { (earlier, &first, &second) } else { (later, &second, &first) };
            if !holds || excludes(outer, inner_root) {
                continue;
            }
            let (path, cache) = (&one.value.pattern, &earlier.spec.name);
            let mine = &other.value.pattern;
            // A glob may well pass the other's files by.
            if outer_root.partial && one.value.pattern != other.value.pattern {
                findings
                    .warning(
                        &other.place,
                        format!("`{mine}` may take files that `{path}` of the cache `{cache}` keeps"),
                    )
                    .cure("keep the caches in folders of their own, or exclude with `!`");
                continue;
            }
            let message = if first.components == second.components {
                format!("`{mine}` is kept by the cache `{cache}` already")
            } else if outer_is_first {
                format!("`{mine}` lies inside of `{path}`, which the cache `{cache}` keeps")
            } else {
                format!("`{mine}` holds `{path}`, which the cache `{cache}` keeps")
            };
            findings
                .error(&other.place, message)
                .cure("keep the caches in folders of their own, or exclude the inner one with `!`");
        }
    }
}

fn repeats(draft: &Draft, findings: &mut Findings<'_>) {
    let paths: Vec<_> = included(draft).map(|path| (path, Root::of(&path.value.pattern))).collect();
    for (index, (path, root)) in paths.iter().enumerate() {
        let holder = paths.iter().enumerate().find(|(other, (_, holder))| {
            let first = *other < index || holder.components.len() < root.components.len();
            *other != index && first && !holder.partial && holder.holds(root) && !excludes(draft, root)
        });
        if let Some((_, (holder, _))) = holder {
            let message = format!("`{}` is part of `{}` already", path.value.pattern, holder.value.pattern);
            findings.warning(&path.place, message).cure("take it away");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_are_compared_by_components() {
        let root = |text: &str| Root::of(&Template::parse(text).expect("a template"));
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

    #[test]
    fn a_glob_for_all_is_no_partial_one() {
        let partial = |text: &str| Root::of(&Template::parse(text).expect("a template")).partial;
        for (text, expected) in
            [("a", false), ("a/**", false), ("a/**/*", false), ("a/*.o", true), ("*", true)]
        {
            assert_eq!(partial(text), expected, "{text}");
        }
    }
}
