//! Changing parts of a key, recognized by their shape: digests, commits, run numbers, dates.

/// When a part changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Variation {
    /// With every run: a commit, a run number or a date.
    EveryRun,
    /// With contents: a digest, which recurs for the same contents.
    WithContent,
}

/// A changing part: the bytes `start..end` of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShapePart {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) change: Variation,
}

impl ShapePart {
    /// The part shifted by `offset`, for a text that is embedded in another one.
    pub(super) fn at(self, offset: usize) -> Self {
        ShapePart { start: self.start + offset, end: self.end + offset, change: self.change }
    }
}

/// Minimum digits of a number that is a run, a time or a date rather than a version (`cuda-12040`).
const LONG_NUMBER: usize = 7;
/// The same for numbers within a word (`run1234567890`), where versions are longer (`sdk1007000`).
const LONG_NUMBER_IN_WORD: usize = 8;
/// Minimum hexadecimal digits of an abbreviated commit.
const SHORT_HASH: usize = 7;
/// Hexadecimal digits of the shortest digest (MD5).
const DIGEST: usize = 32;
/// Hexadecimal digits of a commit.
const COMMIT: usize = 40;

/// The changing parts of a whole key. Empty if the rest has no letters: keys that are a bare digest name objects, not
/// generations.
pub(super) fn parts_of_key(key: &str) -> Vec<ShapePart> {
    let parts = parts(key);
    let mut from = 0;
    let mut fixed = String::new();
    for part in &parts {
        fixed.push_str(&key[from..part.start]);
        from = part.end;
    }
    fixed.push_str(&key[from..]);
    if fixed.contains(char::is_alphabetic) { parts } else { Vec::new() }
}

/// The changing parts of a text, in order.
pub(super) fn parts(text: &str) -> Vec<ShapePart> {
    let words = Words::of(text);
    let mut parts = Vec::new();
    let mut index = 0;
    while index < words.spans.len() {
        if let Some((count, end, change)) = words.uuid(index).or_else(|| words.date(index)) {
            parts.push(ShapePart { start: words.spans[index].0, end, change });
            index += count;
            continue;
        }
        let (start, end) = words.spans[index];
        match whole(words.word(index)) {
            Some(change) if !words.names_object(index) => parts.push(ShapePart { start, end, change }),
            Some(_) => {}
            None => parts.extend(numbers_within(words.word(index)).map(|part| part.at(start))),
        }
        index += 1;
    }
    parts
}

/// When a whole word changes; `None` if it is fixed.
fn whole(word: &str) -> Option<Variation> {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if digits == word.len() {
        return (digits >= LONG_NUMBER).then_some(Variation::EveryRun);
    }
    if is_cid(word) {
        return Some(Variation::WithContent);
    }
    if !is_hexadecimal(word) {
        return None;
    }
    match word.len() {
        COMMIT => Some(Variation::EveryRun),
        DIGEST.. => Some(Variation::WithContent),
        // `deadbeef`, `facade1` and `cafe2024` are a word with a number; a hash mixes letters and digits.
        SHORT_HASH.. if digits >= 2 && !is_word_then_number(word) => Some(Variation::WithContent),
        _ => None,
    }
}

fn is_hexadecimal(word: &str) -> bool {
    let of = |letters: std::ops::RangeInclusive<u8>| {
        word.bytes().all(|b| b.is_ascii_digit() || letters.contains(&b))
    };
    of(b'a'..=b'f') || of(b'A'..=b'F')
}

fn is_word_then_number(word: &str) -> bool {
    let letters = word.bytes().take_while(u8::is_ascii_alphabetic).count();
    letters > 0 && word.bytes().skip(letters).all(|b| b.is_ascii_digit())
}

/// A content identifier of SHA2-256 in the two forms that content links use.
fn is_cid(word: &str) -> bool {
    let base32 = || word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
    (word.len() == 59 && word.starts_with("baf") && base32()) || (word.len() == 46 && word.starts_with("Qm"))
}

/// Long numbers inside a word.
fn numbers_within(word: &str) -> impl Iterator<Item = ShapePart> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + word[at..].find(|c: char| c.is_ascii_digit())?;
            let length = word[start..].bytes().take_while(u8::is_ascii_digit).count();
            at = start + length;
            if length >= LONG_NUMBER_IN_WORD {
                return Some(ShapePart { start, end: at, change: Variation::EveryRun });
            }
        }
    })
}

/// The runs of ASCII letters and digits in a text.
struct Words<'a> {
    text: &'a str,
    spans: Vec<(usize, usize)>,
}

/// The number of words in a part, where it ends, and when it changes.
type ShapeHit = (usize, usize, Variation);

impl<'a> Words<'a> {
    fn of(text: &'a str) -> Self {
        let mut spans = Vec::new();
        let mut start = None;
        for (at, byte) in text.bytes().enumerate() {
            match (byte.is_ascii_alphanumeric(), start) {
                (true, None) => start = Some(at),
                (false, Some(from)) => {
                    spans.push((from, at));
                    start = None;
                }
                _ => {}
            }
        }
        spans.extend(start.map(|from| (from, text.len())));
        Words { text, spans }
    }

    fn word(&self, index: usize) -> &'a str {
        self.spans.get(index).map_or("", |(start, end)| &self.text[*start..*end])
    }

    /// The text between this word and the next.
    fn separator(&self, index: usize) -> &'a str {
        match (self.spans.get(index), self.spans.get(index + 1)) {
            (Some((_, end)), Some((start, _))) => &self.text[*end..*start],
            _ => "",
        }
    }

    /// `8-4-4-4-12` hexadecimal digits.
    fn uuid(&self, index: usize) -> Option<ShapeHit> {
        let lengths = [8, 4, 4, 4, 12];
        let fits = (0..lengths.len()).all(|offset| {
            let word = self.word(index + offset);
            word.len() == lengths[offset]
                && is_hexadecimal(word)
                && (offset == 4 || self.separator(index + offset) == "-")
        });
        fits.then(|| (5, self.spans[index + 4].1, Variation::WithContent))
    }

    /// A date: `2026-11-21` with any single-character separator, optionally with a time of day after a `T`; `2026-W47`;
    /// `20261121.3`, the build number of Azure Pipelines.
    fn date(&self, index: usize) -> Option<ShapeHit> {
        let year = self.word(index);
        let separator = self.separator(index);
        if is_compact_date(year) {
            let build = self.word(index + 1);
            let counted = separator == "." && (1..=3).contains(&build.len()) && is_number(build);
            let count = 1 + usize::from(counted);
            return Some((count, self.spans[index + count - 1].1, Variation::EveryRun));
        }
        if !(year.len() == 4 && year.starts_with("20") && is_number(year)) || separator.len() != 1 {
            return None;
        }
        let month = self.word(index + 1);
        let week = month.strip_prefix(['W', 'w']).filter(|week| between(week, 1, 53));
        if week.is_some() {
            return Some((2, self.spans[index + 1].1, Variation::EveryRun));
        }
        let day = self.word(index + 2);
        let (date, time) = day.split_once(['T', 't']).unwrap_or((day, ""));
        let is_date = between(month, 1, 12) && self.separator(index + 1) == separator && between(date, 1, 31);
        if !is_date {
            return None;
        }
        let mut count = 3;
        if time.len() == 2 && is_number(time) {
            // In `T10:33:22`, minutes and seconds are separate words.
            while count < 5 && between(self.word(index + count).trim_end_matches(['Z', 'z']), 0, 59) {
                count += 1;
            }
        } else if day.len() > 2 && !is_number(time.trim_end_matches(['Z', 'z'])) {
            return None;
        }
        Some((count, self.spans[index + count - 1].1, Variation::EveryRun))
    }

    /// Whether a digest names an object rather than a generation: `sha256:<digest>` (image layers), or `a/b/c/abc…` and
    /// `ab/abc…` (object stores with directory fan-out).
    fn names_object(&self, index: usize) -> bool {
        const ALGORITHMS: [&str; 6] = ["md5", "sha1", "sha256", "sha384", "sha512", "blake3"];
        let Some(before) = index.checked_sub(1) else {
            return false;
        };
        if self.separator(before) == ":" && ALGORITHMS.contains(&self.word(before)) {
            return true;
        }
        let mut directories = String::new();
        for directory in (0..index).rev().take(4) {
            let name = self.word(directory);
            if self.separator(directory) != "/" || name.len() > 3 {
                return false;
            }
            directories.insert_str(0, name);
            if self.word(index).starts_with(&directories) {
                return true;
            }
        }
        false
    }
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a word is a two-digit number within bounds.
fn between(word: &str, low: u8, high: u8) -> bool {
    word.len() == 2 && is_number(word) && word.parse().is_ok_and(|n: u8| (low..=high).contains(&n))
}

fn is_compact_date(word: &str) -> bool {
    word.len() == 8
        && is_number(word)
        && word.starts_with("20")
        && between(&word[4..6], 1, 12)
        && between(&word[6..], 1, 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, expect: &str) {
        let mut shown = String::new();
        let mut from = 0;
        for part in parts_of_key(key) {
            shown.push_str(&key[from..part.start]);
            shown.push('*');
            from = part.end;
        }
        shown.push_str(&key[from..]);
        assert_eq!(shown, expect, "{key}");
    }

    #[test]
    fn digests_and_commits_change() {
        let sha1 = "0123456789abcdef0123456789abcdef01234567";
        let sha256 = format!("{sha1}89abcdef0123456789abcdef");
        check(&format!("ccache-v4-linux-{sha1}"), "ccache-v4-linux-*");
        check(&format!("deps-{sha256}"), "deps-*");
        check(&format!("deps-{}", sha256.to_uppercase()), "deps-*");
        check(&format!("{sha256}-deps_{sha1}"), "*-deps_*");
        check("deps-d41d8cd98f00b204e9800998ecf8427e", "deps-*");
        check("x-bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku", "x-*");
        check("x-123e4567-e89b-12d3-a456-426614174000-y", "x-*-y");
        check("v0-rust-test-Linux-x64-a1b2c3d4-0f9e8d7c", "v0-rust-test-Linux-x64-*-*");
        check("x-1a2b3c4", "x-*");
    }

    #[test]
    fn words_and_versions_stay() {
        for key in [
            "x-deadbeef",
            "x-deadbeef1",
            "x-facade2",
            "cafe2024-x",
            "ccache-v4",
            "gcc-13.2.0",
            "cuda-12040",
            "sdk-100700",
            "x-1a2B3c4d5E",
            "node18-x64",
            "decade-defaced",
            "vs-2022-17",
            "pip-2026-11",
            "x-2026-13-01",
            "x-2026-11.21",
            "shard-3-of-8",
            "ü-é",
        ] {
            check(key, key);
        }
    }

    #[test]
    fn runs_and_dates_change() {
        check("x-12345678901", "x-*");
        check("x-12345678901-1", "x-*-1");
        check("x-run1234567890", "x-run*");
        check("x-2026-11-21", "x-*");
        check("x_2026_11_21_y", "x_*_y");
        check("x-2026.11.21", "x-*");
        check("x-20261121", "x-*");
        check("x-20261121.3", "x-*");
        check("x-2026-11-21T10:33:22Z", "x-*");
        check("x-2026-11-21T103322Z", "x-*");
        check("x-2026-W47", "x-*");
        check("nightly-2026-11-21-linux", "nightly-*-linux");
    }

    #[test]
    fn objects_are_not_generations() {
        let sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        for key in [
            sha256.to_owned(),
            format!("buildkit-blob-1-sha256:{sha256}"),
            format!("sccache/0/1/2/{sha256}"),
            format!("objects/01/{sha256}"),
        ] {
            check(&key, &key);
        }
        check(&format!("directory/deps-{sha256}"), "directory/deps-*");
    }
}
