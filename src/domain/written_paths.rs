//! The path patterns of a root as a maintainer wrote them, and whether what was saved by some serves others.
//!
//! They are recorded in a form that is the same on every machine: directories that machines have at places of their own are
//! written as placeholders, and all else counts from the workspace.

use std::path::Path;

use super::fault::Fault;
use super::path_pattern::with_slashes;

/// The marks of directories that every machine has at a place of its own, and where this one has them.
#[derive(Debug, Clone, Copy)]
pub struct MachinePlaces<'a> {
    /// `{workspace}`, from which paths without a beginning of their own count.
    pub workspace: &'a Path,
    /// `{temp}`.
    pub temp: &'a Path,
    /// `{home}`.
    pub home: Option<&'a Path>,
}

/// What to do about an entry of other patterns.
pub const CURE: &str =
    "change the key along with the paths (`-v1` to `-v2`): an entry is never replaced under its key";

/// A pattern in the form in which it is recorded: with `/` between its components, without those that change nothing, and with
/// placeholders for the directories of this machine. Placeholders in `written` are not expanded.
pub fn recorded(written: &str, exclude: bool, places: &MachinePlaces<'_>) -> String {
    let text = with_slashes(written);
    let (beginning, rest) = beginning(&text, places);
    let mut parts: Vec<&str> = Vec::new();
    for part in rest.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match parts.last() {
            Some(&last) if part == ".." && last != ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    // All below a directory is the directory.
    while !exclude && parts.len() > 1 && parts.last() == Some(&"**") {
        parts.pop();
    }
    let sign = if exclude { "!" } else { "" };
    let rest = parts.join("/");
    match (beginning, rest.as_str()) {
        ("", "") => format!("{sign}."),
        (beginning, "") => format!("{sign}{beginning}"),
        ("" | "/", rest) => format!("{sign}{beginning}{rest}"),
        (beginning, rest) => format!("{sign}{beginning}/{rest}"),
    }
}

/// What a path begins with in its recorded form, and the rest of it.
fn beginning<'t>(text: &'t str, places: &MachinePlaces<'_>) -> (&'static str, &'t str) {
    let marks = [("{workspace}", ""), ("{temp}", "{temp}"), ("{home}", "{home}")];
    for (mark, recorded) in marks {
        if let Some(rest) = text.strip_prefix(mark).filter(|rest| rest.is_empty() || rest.starts_with('/')) {
            return (recorded, rest);
        }
    }
    let known = [("", Some(places.workspace)), ("{temp}", Some(places.temp)), ("{home}", places.home)];
    let within = |(recorded, place): (&'static str, Option<&Path>)| {
        let place = place?.to_str()?;
        let place = with_slashes(place.trim_end_matches(['/', '\\'])).into_owned();
        let rest = text.get(place.len()..).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        let begins = text[..place.len()] == place
            || (cfg!(windows) && text[..place.len()].eq_ignore_ascii_case(&place));
        (begins && !place.is_empty()).then_some((place.len(), recorded, rest))
    };
    // The innermost of them: a runner has its temporary directory in the home directory.
    match known.into_iter().filter_map(within).max_by_key(|(length, ..)| *length) {
        Some((_, recorded, rest)) => (recorded, rest),
        None if text.starts_with('/') => ("/", text),
        None => ("", text),
    }
}

/// Whether an entry that was saved by the patterns `theirs` has all that `own` take: the same, but for exclusions that came since.
/// An entry that records none may have been saved by any.
pub fn serve(theirs: &[String], own: &[String]) -> bool {
    if theirs.is_empty() {
        return true;
    }
    let mut theirs = theirs.iter();
    let mut next = theirs.next();
    for pattern in own {
        if next == Some(pattern) {
            next = theirs.next();
        } else if !pattern.starts_with('!') {
            return false;
        }
    }
    next.is_none()
}

/// Patterns for a message.
pub fn listed(patterns: &[String]) -> String {
    let quoted: Vec<String> = patterns.iter().map(|pattern| format!("`{pattern}`")).collect();
    quoted.join(", ")
}

/// The patterns of an entry that do not serve a cache, and the cache's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherPaths {
    /// Those of the entry.
    pub theirs: Vec<String>,
    /// Those of the cache.
    pub own: Vec<String>,
}

impl OtherPaths {
    /// The first root of which an entry was saved by other patterns than those of the cache; `None` for an entry that serves the cache.
    pub fn of<'a>(
        theirs: impl Iterator<Item = &'a [String]>,
        own: impl Iterator<Item = &'a [String]>,
    ) -> Option<Self> {
        let (theirs, own) = theirs.zip(own).find(|(theirs, own)| !serve(theirs, own))?;
        Some(OtherPaths { theirs: theirs.to_vec(), own: own.to_vec() })
    }

    /// What differs, for people.
    pub fn describe(&self) -> String {
        format!("it was saved from {}, and this cache is {}", listed(&self.theirs), listed(&self.own))
    }

    /// The refusal of the entry.
    pub fn fault(&self) -> Fault {
        Fault::environment(self.describe()).with_hint(CURE.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> MachinePlaces<'static> {
        let (workspace, temp) = (Path::new("/home/me/jobs/app"), Path::new("/home/me/jobs/_temp"));
        MachinePlaces { workspace, temp, home: Some(Path::new("/home/me")) }
    }

    #[test]
    fn one_place_has_one_record_however_it_is_written() {
        for (written, record) in [
            ("build", "build"),
            ("./build/", "build"),
            ("{workspace}/build", "build"),
            ("/home/me/jobs/app/build", "build"),
            ("a/../build//deps", "build/deps"),
            ("../shared", "../shared"),
            ("{workspace}", "."),
            ("/home/me/jobs/app", "."),
            ("{temp}/X", "{temp}/X"),
            ("/home/me/jobs/_temp/X", "{temp}/X"),
            ("/home/me/jobs/_temporary/X", "{home}/jobs/_temporary/X"),
            ("{home}/.npm", "{home}/.npm"),
            ("/home/me/.npm", "{home}/.npm"),
            ("/srv/tool", "/srv/tool"),
            ("{env.CACHE}/x", "{env.CACHE}/x"),
            ("build/**", "build"),
            ("**/node_modules", "**/node_modules"),
            ("target-{os}", "target-{os}"),
        ] {
            assert_eq!(recorded(written, false, &places()), record, "{written}");
        }
        assert_eq!(recorded("build/**", true, &places()), "!build/**");
        assert_eq!(recorded("{workspace}/build/tmp", true, &places()), "!build/tmp");
    }

    #[test]
    fn a_runner_with_other_directories_records_the_same() {
        let windows = MachinePlaces {
            workspace: Path::new(r"D:\a\app\app"),
            temp: Path::new(r"D:\a\_temp"),
            home: Some(Path::new(r"C:\Users\me")),
        };
        assert_eq!(recorded(r"D:\a\_temp\X", false, &windows), "{temp}/X");
        assert_eq!(recorded(r"D:\a\app\app\build", false, &windows), "build");
        assert_eq!(recorded(r"C:\Users\me\.npm", false, &windows), "{home}/.npm");
        assert_eq!(recorded(r"E:\other", false, &windows), "E:/other");
    }

    #[test]
    fn an_entry_serves_the_paths_that_it_was_saved_by_and_new_exclusions() {
        let all = |patterns: &[&str]| patterns.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let check = |theirs: &[&str], own: &[&str], expect: bool| {
            assert_eq!(serve(&all(theirs), &all(own)), expect, "{theirs:?} {own:?}");
        };
        check(&["a"], &["a"], true);
        check(&[], &["a"], true);
        check(&["a/build"], &["b/build"], false);
        check(&["a"], &["a", "!a/tmp"], true);
        check(&["a", "a/x/y"], &["a", "!a/x", "a/x/y"], true);
        check(&["a", "!a/tmp"], &["a"], false);
        check(&["a", "!a/tmp"], &["a", "!a/log"], false);
        check(&["a"], &["a", "a/x"], false);
        check(&["a", "b"], &["b", "a"], false);
    }
}
