//! Phrases that `docs/style.md` bans occur nowhere.

use std::ops::Range;

use crate::assert_none;
use crate::sources::{files, read, root, rust_files};

/// What is banned, and what is allowed all the same.
#[derive(Debug, Default)]
pub(crate) struct Phrases {
    banned: Vec<Vec<String>>,
    exceptions: Vec<Vec<String>>,
}

/// A banned phrase in a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Counted from 1.
    pub(crate) line: usize,
    pub(crate) phrase: String,
}

impl Phrases {
    /// Reads the block of the page on style.
    pub(crate) fn read(page: &str) -> Self {
        let block = page.split("## Banned phrases").nth(1).and_then(|rest| rest.split("```").nth(1));
        let mut phrases = Phrases::default();
        for line in block.expect("a block of phrases").lines().skip(1) {
            let words = |line: &str| line.split_whitespace().map(str::to_lowercase).collect();
            match line.strip_prefix('!') {
                Some(exception) => phrases.exceptions.push(words(exception)),
                None => phrases.banned.push(words(line)),
            }
        }
        phrases
    }

    /// Every banned phrase of a text that no exception holds.
    pub(crate) fn find(&self, text: &str) -> Vec<Found> {
        // Letters keep their places, which they need not in other alphabets.
        let text = text.to_ascii_lowercase();
        let words = words(&text);
        let is_allowed = |place: &Range<usize>| {
            self.exceptions.iter().any(|exception| {
                let first = words.partition_point(|word| word.end <= place.start);
                let earliest = first.saturating_sub(exception.len());
                (earliest..=first)
                    .filter_map(|at| phrase_at(&text, &words, at, exception))
                    .any(|allowed| allowed.start <= place.start && place.end <= allowed.end)
            })
        };
        let mut found = Vec::new();
        for at in 0..words.len() {
            for phrase in &self.banned {
                let place = phrase_at(&text, &words, at, phrase);
                found.extend(place.filter(|place| !is_allowed(place)).map(|place| Found {
                    line: text[..place.start].matches('\n').count() + 1,
                    phrase: phrase.join(" "),
                }));
            }
        }
        found
    }
}

fn is_word_character(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where words begin and end. Between two of them are blanks, and the marks of a comment.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for word in text.split(|c: char| c.is_whitespace()) {
        let marks = word.len() - word.trim_start_matches(['/', '!']).len();
        found.extend((marks < word.len()).then_some(at + marks..at + word.len()));
        at += word.len() + text[at + word.len()..].chars().next().map_or(0, char::len_utf8);
    }
    found
}

/// The place of a phrase that begins within the word of this number: its first word ends it, its last begins it, and
/// those between fill theirs.
fn phrase_at(text: &str, words: &[Range<usize>], at: usize, phrase: &[String]) -> Option<Range<usize>> {
    let first = words.get(at)?.clone();
    let (mut start, mut end) = (first.start, first.end);
    for (number, wanted) in phrase.iter().enumerate() {
        let place = words.get(at + number)?;
        let word = &text[place.clone()];
        if wanted == "*" {
            end = place.start + word.trim_end_matches(|c: char| !is_word_character(c)).len();
            continue;
        }
        let (is_first, is_last) = (number == 0, number + 1 == phrase.len());
        let inside = word.match_indices(wanted.as_str()).map(|(from, _)| from..from + wanted.len()).find(
            |inside| {
                let begins =
                    !word[..inside.start].ends_with(is_word_character) && (is_first || inside.start == 0);
                let ends = !word[inside.end..].starts_with(is_word_character)
                    && (is_last || inside.end == word.len());
                begins && ends
            },
        )?;
        if is_first {
            start = place.start + inside.start;
        }
        end = place.start + inside.end;
    }
    Some(start..end)
}

/// The phrases of the page on style.
pub(crate) fn banned() -> Phrases {
    Phrases::read(&read(&root().join("docs/style.md")).1)
}

/// All that people read: sources, documents, the action.
pub(crate) fn texts() -> Vec<(String, String)> {
    let pages = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "action.yml"].map(|name| root().join(name));
    let documents = files("docs", "md").into_iter().chain(files("example", "toml"));
    let fuzz = files("fuzz/fuzz_targets", "rs");
    let read = pages.into_iter().chain(documents).chain(fuzz).map(|path| read(&path));
    rust_files()
        .into_iter()
        .chain(read)
        // The files that define the phrases are exempt.
        .filter(|(path, _)| path != "docs/style.md" && path != "tests/tidy/phrases.rs")
        .collect()
}

#[test]
fn banned_phrases_occur_nowhere() {
    let banned = banned();
    let offenders: Vec<String> = texts()
        .into_iter()
        .flat_map(|(path, text)| {
            let found = banned.find(&text).into_iter();
            found.map(move |found| format!("{path}:{}: \"{}\"", found.line, found.phrase)).collect::<Vec<_>>()
        })
        .collect();
    assert_none("docs/style.md bans these phrases", &offenders);
}

#[test]
fn a_banned_phrase_is_found_across_lines_and_an_exception_is_not() {
    let page = "# Style\n## Banned phrases\n\n```text\nis no *\n! is no longer\n! there is no *\nis told\n! is told apart\nnobody\n```\n";
    let phrases = Phrases::read(page);
    let found = |text: &str| {
        phrases
            .find(text)
            .into_iter()
            .map(|found| format!("{} {}", found.line, found.phrase))
            .collect::<Vec<_>>()
    };
    assert_eq!(found("//! A\n/// It Is\n    //! no `directory`,\n"), ["2 is no *"]);
    assert_eq!(found("\"nobody\" (Nobody's), \"this is\n/// told.\""), ["1 nobody", "1 nobody", "1 is told"]);
    for allowed in [
        "It is no longer, and there is no directory. Is told apart.",
        "this no directory; is. No directory; is not told; nobody_else; analysis no directory",
        "is, no directory; is known",
    ] {
        assert_eq!(found(allowed), Vec::<String>::new(), "{allowed}");
    }
}
