//! Paths of caches: what they are, and that no two caches keep the same files.

use super::globs;
use crate::config::convert::{Draft, Placed};
use crate::config::findings::{Findings, Text};
use crate::config::placeholders::{Field, template};
use crate::domain::spec::PathPattern;
use crate::domain::template::{Piece, Placeholder, Template};

/// Characters that make a component a glob.
const WILD: [char; 3] = ['*', '?', '['];

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
        if let Some(why) = globs::wrong(&glob_of(&pattern)) {
            findings
                .error(&text.span(), format!("`{pattern}` is not a glob: {why}"))
                .cure("put a special character in brackets: `[*]`, `[?]`, `[[]`");
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

/// The glob that a pattern becomes: placeholders stand for plain names, and braces for themselves.
fn glob_of(pattern: &Template) -> String {
    let text = pattern.pieces().iter().map(|piece| match piece {
        Piece::Literal(text) => text.replace('{', "\u{1}").replace('}', "[}]").replace('\u{1}', "[{]"),
        Piece::Placeholder(_) => "x".to_owned(),
    });
    text.collect()
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
                // A mark that no path has keeps `{temp}` apart from a folder of that name.
                Piece::Placeholder(placeholder) => format!("\0{placeholder}\0"),
            })
            .collect();
        let mut parts: Vec<&str> = text.split('/').collect();
        // `a/**`, `a/**/*` and `a/*` take all of `a`.
        while parts.len() > 1 && matches!(parts.last(), Some(&("" | "*" | "**"))) {
            parts.pop();
        }
        let wild = parts.iter().position(|part| !part.contains('\0') && part.contains(WILD));
        let mut components = match absolute_start(&text) {
            Some(start) => vec![start],
            None => vec![marked(&Placeholder::Workspace)],
        };
        let skip = usize::from(absolute_start(&text).is_some());
        for part in parts.iter().take(wild.unwrap_or(parts.len())).skip(skip) {
            match *part {
                "" | "." => {}
                ".." if components.len() > 1 && components.last().is_some_and(|last| last != "..") => {
                    components.pop();
                }
                part => components.push(part.to_owned()),
            }
        }
        Root { components, partial: wild.is_some() }
    }

    fn holds(&self, other: &Root) -> bool {
        other.components.starts_with(&self.components)
    }
}

fn marked(placeholder: &Placeholder) -> String {
    format!("\0{placeholder}\0")
}

/// The first component of an absolute path: empty for `/`, a drive, or a placeholder for a folder.
fn absolute_start(text: &str) -> Option<String> {
    let first = text.split('/').next().unwrap_or(text);
    let drive = first.len() == 2 && first.ends_with(':');
    let folders = [Placeholder::Temp, Placeholder::Workspace, Placeholder::Home];
    let folder = folders.iter().any(|folder| first == marked(folder)) || first.starts_with("\0{env.");
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

/// Whether the cache excludes all that the root holds.
fn excludes(draft: &Draft, root: &Root) -> bool {
    draft.paths.iter().filter(|path| path.value.exclude).any(|path| {
        let excluded = Root::of(&path.value.pattern);
        !excluded.partial && excluded.holds(root)
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
