//! Patterns of GitHub's `hashFiles`: how a line is read, and which paths it matches.
//!
//! A path is a list of components from the root of the file system, so that a workspace whose name holds
//! wildcards needs no quoting.

use std::path::{Path, PathBuf};

use super::segment::{Segment, literal_of};
use crate::domain::fault::Fault;

/// A line of patterns, read.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) negated: bool,
    segments: Vec<Segment>,
    /// Matches directories only: the line ended in a separator.
    directories_only: bool,
    /// Added for the descendants of a line that names a directory; matches nothing but descendants.
    implied: bool,
    /// The deepest directory (or the file) above all that it can match.
    pub(super) search: PathBuf,
}

/// What a pattern says about a path, as a set of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Match {
    pub(super) file: bool,
    pub(super) directory: bool,
}

/// Where lines are rooted.
pub(super) struct Roots<'a> {
    pub(super) workspace: &'a Path,
    pub(super) home: Option<&'a Path>,
}

/// Reads lines, each followed by the pattern that it implies for descendants; empty lines and comments are
/// left out.
pub(super) fn parse_all(lines: &[String], roots: &Roots<'_>) -> Result<Vec<Pattern>, Fault> {
    let mut patterns = Vec::new();
    for line in lines.iter().flat_map(|line| line.split('\n')).map(str::trim) {
        if !line.is_empty() && !line.starts_with('#') {
            let pattern = Pattern::parse(line, roots)?;
            let implied = pattern.descendants();
            patterns.push(pattern);
            patterns.extend(implied);
        }
    }
    Ok(patterns)
}

/// The refusal of a line.
fn not_a_pattern(line: &str, why: &str) -> Fault {
    Fault::environment(format!("`{line}` is not a pattern for hash-files: {why}")).with_hint(
        "patterns are relative to the workspace, with `*`, `**`, `?`, `[ab]` and a leading `!`".to_owned(),
    )
}

impl Pattern {
    fn parse(line: &str, roots: &Roots<'_>) -> Result<Self, Fault> {
        let refuse = |why: &str| not_a_pattern(line, why);
        let mut text = line;
        let mut negated = false;
        while let Some(rest) = text.strip_prefix('!') {
            negated = !negated;
            text = rest.trim();
        }
        if text.is_empty() {
            return Err(refuse("nothing follows the `!`"));
        }
        let text = if cfg!(windows) { text.replace('\\', "/") } else { text.to_owned() };
        let mut parts: Vec<&str> = text.split('/').filter(|part| !part.is_empty()).collect();
        let absolute = is_absolute(&text)
            .map_err(|()| refuse("it must begin with a drive and a root, or with neither"))?;
        let base = if absolute {
            None
        } else if parts.first() == Some(&"~") {
            parts.remove(0);
            Some(roots.home.ok_or_else(|| refuse("the home directory is not known"))?)
        } else {
            if parts.first() == Some(&".") {
                parts.remove(0);
            }
            Some(roots.workspace)
        };
        if parts.iter().any(|part| matches!(literal_of(part).as_deref(), Some("." | ".."))) {
            return Err(refuse("`.` and `..` are not allowed in it"));
        }
        let mut segments: Vec<Segment> =
            base.map(components_of).unwrap_or_default().iter().map(|name| Segment::literal(name)).collect();
        for part in &parts {
            let segment = Segment::parse(part).map_err(|class| {
                refuse(&format!("`{}` means different things to different versions of `hashFiles`", class.0))
            })?;
            // Two `**` in a row are one.
            if segment != Segment::GlobStar || segments.last() != Some(&Segment::GlobStar) {
                segments.push(segment);
            }
        }
        let literals = parts.iter().map_while(|part| literal_of(part));
        let search = match base {
            Some(base) => base.join(literals.collect::<PathBuf>()),
            None => absolute_path(literals),
        };
        Ok(Pattern { negated, segments, directories_only: text.ends_with('/'), implied: false, search })
    }

    /// The pattern for what lies below a match, unless this one ends in `**` and says so itself.
    fn descendants(&self) -> Option<Self> {
        let says_so = self.segments.last() == Some(&Segment::GlobStar);
        if says_so && !self.directories_only {
            return None;
        }
        let mut pattern = Pattern { directories_only: false, implied: true, ..self.clone() };
        if !says_so {
            pattern.segments.push(Segment::GlobStar);
        }
        Some(pattern)
    }

    fn matches(&self, path: &[String]) -> bool {
        // `a/**` matches `a` itself, unless it was implied by `a`.
        let path = if self.implied { path.split_last().map(|(_, parent)| parent) } else { Some(path) };
        path.is_some_and(|path| segments_match(&self.segments, path))
    }

    /// Whether descendants of a directory may match.
    fn may_match_below(&self, path: &[String]) -> bool {
        let head = self.segments.iter().position(|segment| *segment == Segment::GlobStar);
        let literal = &self.segments[..head.unwrap_or(self.segments.len())];
        if head.is_none() && path.len() > literal.len() {
            return false;
        }
        literal.iter().zip(path).all(|(segment, name)| segment.matches(name))
    }
}

/// What all patterns together say: later lines have the last word.
pub(super) fn match_all(patterns: &[Pattern], path: &[String]) -> Match {
    let mut result = Match::default();
    for pattern in patterns {
        let wanted = !pattern.negated;
        let settles_directory = wanted != result.directory;
        let settles_file = wanted != result.file && !pattern.directories_only;
        if (settles_directory || settles_file) && pattern.matches(path) {
            result.directory = wanted;
            if !pattern.directories_only {
                result.file = wanted;
            }
        }
    }
    result
}

/// Whether some pattern may match below a directory.
pub(super) fn may_match_below(patterns: &[Pattern], path: &[String]) -> bool {
    patterns.iter().any(|pattern| !pattern.negated && pattern.may_match_below(path))
}

/// Where to search, in the order of the patterns; what lies below another place is left out.
pub(super) fn search_paths(patterns: &[Pattern]) -> Vec<PathBuf> {
    let wanted = || patterns.iter().filter(|pattern| !pattern.negated).map(|pattern| &pattern.search);
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in wanted() {
        let key = comparable(path);
        let covered = wanted().map(comparable).any(|other| key != other && key.starts_with(other));
        if !covered && !paths.iter().any(|other| comparable(other) == key) {
            paths.push(path.clone());
        }
    }
    paths
}

fn comparable(path: impl AsRef<Path>) -> PathBuf {
    let path = path.as_ref();
    if cfg!(windows) { PathBuf::from(path.to_string_lossy().to_lowercase()) } else { path.to_owned() }
}

/// The components of an absolute path, its drive included.
pub(super) fn components_of(path: &Path) -> Vec<String> {
    path.components()
        .filter(|component| !matches!(component, std::path::Component::RootDir))
        .map(|component| component.as_os_str().to_string_lossy().into_owned())
        .collect()
}

/// Whether the pattern is rooted; an error where it has half a root or that of a network share.
fn is_absolute(text: &str) -> Result<bool, ()> {
    let path = Path::new(text);
    if cfg!(windows) && text.starts_with("//") {
        return Err(());
    }
    if path.is_absolute() {
        return Ok(true);
    }
    let named = path.components().next();
    let odd = path.has_root() || matches!(named, Some(std::path::Component::Prefix(_)));
    if odd { Err(()) } else { Ok(false) }
}

fn absolute_path(literals: impl Iterator<Item = String>) -> PathBuf {
    let mut path = PathBuf::new();
    for (index, literal) in literals.enumerate() {
        path.push(literal);
        if index == 0 && cfg!(windows) {
            path.push("/");
        }
    }
    if cfg!(windows) { path } else { Path::new("/").join(path) }
}

fn segments_match(pattern: &[Segment], path: &[String]) -> bool {
    let (mut segment, mut name) = (0, 0);
    // After a mismatch, the last `**` takes one component more.
    let mut retry: Option<(usize, usize)> = None;
    while name < path.len() {
        match pattern.get(segment) {
            Some(Segment::GlobStar) => {
                retry = Some((segment + 1, name));
                segment += 1;
            }
            Some(other) if other.matches(&path[name]) => {
                segment += 1;
                name += 1;
            }
            _ => match &mut retry {
                Some((after, from)) => {
                    *from += 1;
                    (segment, name) = (*after, *from);
                }
                None => return false,
            },
        }
    }
    pattern[segment..].iter().all(|rest| *rest == Segment::GlobStar)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn patterns(lines: &[&str]) -> Vec<Pattern> {
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        let roots = Roots { workspace: Path::new("/w"), home: Some(Path::new("/home/me")) };
        parse_all(&lines, &roots).expect("patterns")
    }

    fn check(lines: &[&str], path: &str, expect: bool) {
        let found = match_all(&patterns(lines), &components_of(Path::new(path))).file;
        assert_eq!(found, expect, "{lines:?} on {path}");
    }

    #[test]
    fn patterns_are_rooted_at_the_workspace() {
        check(&["*.lock"], "/w/a.lock", true);
        check(&["*.lock"], "/w/a/a.lock", false);
        check(&["./a"], "/w/a", true);
        check(&["/w/a"], "/w/a", true);
        check(&["~/a"], "/home/me/a", true);
        check(&["~a"], "/w/~a", true);
    }

    #[test]
    fn a_directory_implies_its_descendants() {
        check(&["a"], "/w/a/b/c", true);
        check(&["a/"], "/w/a/b/c", true);
        check(&["a/"], "/w/a", false);
        check(&["a/**"], "/w/a", true);
        check(&["**", "!a"], "/w/a/b", false);
        check(&["**", "!a/"], "/w/a", true);
    }

    #[test]
    fn the_last_word_counts() {
        check(&["**", "!**/*.o", "keep.o"], "/w/keep.o", true);
        check(&["**", "!**/*.o", "keep.o"], "/w/x/keep.o", false);
        check(&["!a", "a"], "/w/a", true);
        check(&["!!a"], "/w/a", true);
    }

    #[test]
    fn globstars_take_any_number_of_components() {
        for (path, expect) in [("/w/a/b", true), ("/w/a/x/y/b", true), ("/w/a/x", false), ("/w/b", false)] {
            check(&["a/**/b"], path, expect);
        }
        check(&["**/a/**/b/**/c"], "/w/a/b/b/x/c", true);
        check(&["a/**/**/b"], "/w/a/b", true);
    }

    #[test]
    fn searches_begin_below_literals_and_do_not_repeat() {
        let found = search_paths(&patterns(&["a/b/*.c", "x", "a/b/c/d", "!q/r", "x/y*"]));
        assert_eq!(found, [Path::new("/w/a/b"), Path::new("/w/x")]);
    }

    #[test]
    fn odd_patterns_are_refused() {
        let roots = Roots { workspace: Path::new("/w"), home: None };
        for line in ["!", "a/../b", "a/./b", "..", "~/x", "[[:alpha:]]"] {
            let error = parse_all(&[line.to_owned()], &roots).expect_err(line).to_string();
            assert!(error.contains(line), "{error}");
        }
    }
}
