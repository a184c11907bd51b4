//! Keys of caches (`FingerprintCreator`, `PipelineCacheTaskPluginBase.ParseIntoSegments`).

use std::path::{Component, Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// The last segment of a restore key (`Fingerprint.Wildcard`).
const WILDCARD: &str = "**";

/// The segments of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    pub(crate) segments: Vec<String>,
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.segments.join("|"))
    }
}

impl Fingerprint {
    /// Splits a key at each `|`, within quotes as well, and replaces segments that are paths by digests of the files.
    pub(super) fn resolve(key: &str, salt: &str, root: &Path) -> Result<Self, String> {
        let salted = (!salt.trim().is_empty()).then(|| format!("AZP_CACHING_SALT={salt}"));
        let parts = key.split('|').filter(|part| !part.is_empty()).map(|part| part.trim().to_owned());
        let mut segments = Vec::new();
        for part in salted.into_iter().chain(parts) {
            check(&part)?;
            segments.push(if is_path(&part) { digest_of_files(&part, root)? } else { part });
        }
        if segments.is_empty() {
            Err("the key has no segments".to_owned())
        } else {
            Ok(Fingerprint { segments })
        }
    }

    /// The same as a restore key.
    pub(super) fn prefix(mut self) -> Self {
        self.segments.push(WILDCARD.to_owned());
        self
    }

    /// Whether an entry with these segments is what is looked for. Restore keys match whole segments; that an entry of exactly
    /// these matches as well is [?].
    pub(super) fn matches(&self, entry: &[String]) -> bool {
        match self.segments.split_last() {
            Some((last, prefix)) if last == WILDCARD => entry.starts_with(prefix),
            _ => self.segments == entry,
        }
    }
}

/// `CheckSegment`.
fn check(segment: &str) -> Result<(), String> {
    match segment {
        "" => Err("a segment of the key is empty".to_owned()),
        "*" | "**" => {
            Err(format!("`{segment}` is a reserved key segment. For path glob, use `./{segment}`."))
        }
        _ if segment.starts_with('\'') => {
            Err("A key segment cannot start with a single-quote character`.".to_owned())
        }
        _ if segment.starts_with('`') => {
            Err("A key segment cannot start with a backtick character`.".to_owned())
        }
        _ => Ok(()),
    }
}

/// `IsPathySegment`: no quotes around it, and a dot or a slash in it, but no dot at the end.
fn is_path(segment: &str) -> bool {
    let is_literal = segment.starts_with('"') && segment.ends_with('"');
    !is_literal && !segment.contains('\0') && segment.contains(['.', '/']) && !segment.ends_with('.')
}

/// `MatchedFile.GenerateHash` over the files of a segment, by their paths in order.
fn digest_of_files(segment: &str, root: &Path) -> Result<String, String> {
    let rules: Vec<&str> = segment.split(',').map(str::trim).filter(|rule| !rule.is_empty()).collect();
    let absolute = |rule: &str| canonical(&root.join(rule));
    let excluded: Vec<PathBuf> =
        rules.iter().filter_map(|rule| rule.strip_prefix('!')).map(absolute).collect();
    let included: Vec<PathBuf> =
        rules.iter().filter(|rule| !rule.starts_with('!')).map(|rule| absolute(rule)).collect();
    if included.is_empty() {
        return Err("No include rules specified.".to_owned());
    }
    let mut files = Vec::new();
    for rule in &included {
        collect(rule, &mut files);
    }
    files.retain(|file| !excluded.iter().any(|rule| is_match(rule, file)));
    files.sort();
    files.dedup();
    let is_pattern = segment.contains(['*', '?', '[', ']']);
    if files.is_empty() {
        let what = if is_pattern { "No matching files found for pattern" } else { "File not found" };
        return Err(format!("{what}: {segment}"));
    }
    let mut text = String::new();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let digest = data_encoding::HEXUPPER.encode(&Sha256::digest(&bytes));
        let shown = file.strip_prefix(root).unwrap_or(&file);
        text.push_str(&format!("\nSHA256({})=[{}]{digest}", shown.display(), bytes.len()));
    }
    Ok(data_encoding::BASE64.encode(&Sha256::digest(text)))
}

/// The path without `.` and `..`.
fn canonical(path: &Path) -> PathBuf {
    let mut made = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                made.pop();
            }
            other => made.push(other),
        }
    }
    made
}

/// The files that a rule may mean: below the last directory before the first wildcard, and deeper if the rule has `**`
/// (`DetermineFileEnumerationFromGlob`).
fn collect(rule: &Path, files: &mut Vec<PathBuf>) {
    let text = rule.to_string_lossy().into_owned();
    let Some(first) = text.find(['*', '?', '[', ']']) else {
        files.extend(rule.is_file().then(|| rule.to_owned()));
        return;
    };
    let root = &text[..text[..first].rfind('/').unwrap_or_default()];
    walk(Path::new(root), text.contains("**"), &mut |file| {
        if is_match(rule, file) {
            files.push(file.to_owned());
        }
    });
}

fn walk(directory: &Path, is_deep: bool, visit: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_file() {
            visit(&path);
        } else if is_deep && path.is_dir() && !path.is_symlink() {
            walk(&path, is_deep, visit);
        }
    }
}

/// Whether a path fits a pattern of `*`, `?` and `**`; classes in brackets are not imitated.
fn is_match(rule: &Path, file: &Path) -> bool {
    let parts = |path: &Path| -> Vec<String> {
        path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
    };
    let rule = parts(rule);
    assert!(
        !rule.iter().any(|part| part.contains('[')),
        "the imitation of Cache@2 does not know classes in patterns"
    );
    matches_parts(&rule, &parts(file))
}

fn matches_parts(rule: &[String], file: &[String]) -> bool {
    match (rule.split_first(), file.split_first()) {
        (None, None) => true,
        (Some((part, rest)), _) if part == "**" => {
            matches_parts(rest, file)
                || file.split_first().is_some_and(|(_, below)| matches_parts(rule, below))
        }
        (Some((part, rest)), Some((name, below))) => {
            let part: Vec<char> = part.chars().collect();
            let name: Vec<char> = name.chars().collect();
            matches_name(&part, &name) && matches_parts(rest, below)
        }
        _ => false,
    }
}

fn matches_name(pattern: &[char], name: &[char]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => {
            matches_name(rest, name)
                || name.split_first().is_some_and(|(_, below)| matches_name(pattern, below))
        }
        (Some(('?', rest)), Some((_, below))) => matches_name(rest, below),
        (Some((a, rest)), Some((b, below))) => a == b && matches_name(rest, below),
        _ => false,
    }
}
