//! The sources that the rules are about, and their code without comments and texts.

use std::fs;
use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files with an extension below a directory of the repository, sorted.
pub(crate) fn files(below: &str, extension: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
                walk(&path, extension, found);
            } else if path.extension().is_some_and(|e| e == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(below), extension, &mut found);
    found.sort();
    assert!(!found.is_empty(), "no .{extension} file below {below}");
    found
}

/// A path in the repository, with `/` on every system.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// The path of a file in the repository, and its text.
pub(crate) fn read(path: &Path) -> (String, String) {
    (shown(path), fs::read_to_string(path).expect("source is text"))
}

/// All Rust sources but those of `fuzz`: path and text.
pub(crate) fn rust_files() -> Vec<(String, String)> {
    ["benches", "examples", "src", "tests"]
        .iter()
        .flat_map(|below| files(below, "rs"))
        .map(|path| read(&path))
        .collect()
}

/// The code of a file of `src` that is compiled without tests; empty for a file of tests.
pub(crate) fn product_code(path: &str, text: &str) -> String {
    if path.split('/').any(|part| part.contains("test")) {
        return String::new();
    }
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code(text)
}

/// The code without comments and with empty texts; lines stay where they are.
pub(crate) fn code(text: &str) -> String {
    let mut found = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = token(rest);
        let (token, after) = rest.split_at(length);
        let is_blank = token.starts_with("//")
            || token.starts_with("/*")
            || length > 1 && token.ends_with(['"', '#', '\'']);
        if is_blank {
            found.extend(token.matches('\n'));
        } else {
            found.push_str(token);
        }
        debug_assert!(length >= first.len_utf8());
        rest = after;
    }
    found
}

/// The length of what a text begins with: a comment, a literal, a word or one character.
fn token(text: &str) -> usize {
    let until =
        |end: &str, from: usize| text[from..].find(end).map_or(text.len(), |at| from + at + end.len());
    let word = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return until("*/", 2);
    }
    if matches!(&text[..word], "" | "b" | "c") && text[word..].starts_with('"') {
        return quoted(text, word + 1, '"');
    }
    if matches!(&text[..word], "r" | "br" | "cr") {
        let hashes = text[word..].len() - text[word..].trim_start_matches('#').len();
        if text[word + hashes..].starts_with('"') {
            return until(&format!("\"{}", "#".repeat(hashes)), word + hashes + 1);
        }
    }
    if matches!(&text[..word], "" | "b") && text[word..].starts_with('\'') {
        let rest = &text[word + 1..];
        let is_character = rest.starts_with('\\') || rest.chars().nth(1) == Some('\'');
        return if is_character { quoted(text, word + 1, '\'') } else { word + 1 };
    }
    word.max(text.chars().next().map_or(0, char::len_utf8))
}

/// Where a literal ends that began before `start`.
fn quoted(text: &str, start: usize, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text[start..].char_indices() {
        if c == quote && !is_escaped {
            return start + at + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

#[test]
fn comments_and_texts_are_not_code() {
    let text = "a // b\n/* c\n*/ d \"e \\\" f\" g r#\"h \" i\"# 'j' '\\'' <'k> b\"l\" m";
    assert_eq!(code(text), "a \n\n d  g    <'k>  m");
    assert_eq!(product_code("src/a/tests.rs", "fn a() {}"), "");
    assert_eq!(product_code("src/a.rs", "fn a() {}\n#[cfg(test)]\nmod tests {\n"), "fn a() {}\n");
}

/// Words, `::` and single characters of code.
pub(crate) fn tokens(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = code.trim_start();
    while !rest.is_empty() {
        let length = if rest.starts_with("::") { 2 } else { token(rest) };
        found.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    found
}
