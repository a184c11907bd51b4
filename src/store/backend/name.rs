//! How names of repositories, scopes and keys become names that every file system and object service keeps apart.
//!
//! Lower-case ASCII letters, digits, `.`, `-` and `_` stand for themselves; every other byte of the UTF-8
//! text is written `=xx`. Upper-case letters too, because some file systems take `A` for `a`; a dot at
//! either end, because `.` and `..` are not names, a leading one hides and Windows drops a trailing one; and
//! the first letter of a name that Windows takes for a device (`nul.tar.zst`). A text that would become
//! longer than [`DENSE_ABOVE`] is written `==` and base 32 instead, so that 512 characters of any script
//! stay below the 4 096 bytes that a path may have.
//!
//! A name longer than [`SEGMENT`] is cut into directories. All but the last piece end in `=-` and all but the
//! first begin with `_`; `=-` cannot occur in a name, so no directory of a long name is the whole of a shorter
//! one, and no piece is the name of a device. Decoding takes only what encoding gives: one name, one text.

use data_encoding::{Encoding, Specification};

use crate::domain::names;

/// The longest piece of a name in bytes, without its marks: file systems allow 255 bytes, some
/// (eCryptfs) 143 characters.
const SEGMENT: usize = 120;

/// The length from which the dense form is used.
const DENSE_ABOVE: usize = 1_500;

/// Ends a piece that another one follows.
const CONTINUES: &str = "=-";

/// Begins a piece that follows another one.
const CONTINUED: char = '_';

/// Begins a name in the dense form.
const DENSE: &str = "==";

/// The segments of the path that stands for a text: one, or several of a long text.
pub(super) fn encode(text: &str) -> Vec<String> {
    let plain = encode_plain(text);
    let name = if plain.len() > DENSE_ABOVE {
        format!("{DENSE}{}", base32().encode(text.as_bytes()))
    } else {
        plain
    };
    let mut segments = Vec::with_capacity(name.len() / SEGMENT + 1);
    let mut rest = name.as_str();
    // Names are ASCII: they can be cut anywhere.
    while rest.len() > SEGMENT {
        let (piece, after) = rest.split_at(SEGMENT);
        segments.push(piece.to_owned() + CONTINUES);
        rest = after;
    }
    segments.push(rest.to_owned());
    for segment in segments.iter_mut().skip(1) {
        segment.insert(0, CONTINUED);
    }
    segments
}

/// The text that these segments stand for, if they are what [`encode`] gives for it.
pub(super) fn decode(segments: &[&str]) -> Option<String> {
    let (last, before) = segments.split_last()?;
    let mut name = String::new();
    let pieces = before.iter().map(|piece| piece.strip_suffix(CONTINUES)).chain([Some(*last)]);
    for (index, piece) in pieces.enumerate() {
        let piece = piece?;
        name.push_str(if index == 0 { piece } else { piece.strip_prefix(CONTINUED)? });
    }
    let bytes = match name.strip_prefix(DENSE) {
        Some(dense) => base32().decode(dense.as_bytes()).ok()?,
        None => decode_plain(&name)?,
    };
    let text = String::from_utf8(bytes).ok()?;
    encode(&text).iter().eq(segments).then_some(text)
}

/// Whether more segments of the same name follow this one.
pub(super) fn continues(segment: &str) -> bool {
    segment.ends_with(CONTINUES)
}

/// Whether this is the first segment of a name in the dense form.
pub(super) fn is_dense(segment: &str) -> bool {
    segment.starts_with(DENSE)
}

fn encode_plain(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut name = String::with_capacity(bytes.len());
    for (index, byte) in bytes.iter().enumerate() {
        let literal = match byte {
            b'a'..=b'z' => index > 0 || !is_device(text),
            b'0'..=b'9' | b'-' | b'_' => true,
            b'.' => index > 0 && index + 1 < bytes.len(),
            _ => false,
        };
        if literal {
            name.push(char::from(*byte));
        } else {
            name.push('=');
            name.push_str(&data_encoding::HEXLOWER.encode(&[*byte]));
        }
    }
    name
}

fn decode_plain(name: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'=' {
            let (digits, after) = after.split_at_checked(2)?;
            bytes.extend(data_encoding::HEXLOWER.decode(digits).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    Some(bytes)
}

/// Whether Windows would open a device for a file of this name. Other characters than lower-case letters and digits are
/// escaped, which makes a name of its own of `COM1` and `conin$`.
fn is_device(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default();
    let is_kept = stem.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_kept && names::is_windows_device(stem.as_bytes())
}

/// Base 32 of lower-case letters and digits, without padding.
fn base32() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    specification.encoding().expect("32 distinct symbols are an encoding")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(text: &str) -> String {
        encode(text).join("/")
    }

    #[test]
    fn names_are_readable_where_they_can_be() {
        let check = |text: &str, expect: &str| assert_eq!(joined(text), expect);
        check("ccache-v4-linux_x86.64", "ccache-v4-linux_x86.64");
        check("refs/heads/main", "refs=2fheads=2fmain");
        check("Release", "=52elease");
        check("ä", "=c3=a4");
        check("a=b", "a=3db");
    }

    #[test]
    fn names_that_an_operating_system_takes_for_something_else_are_escaped() {
        let check = |text: &str, expect: &str| assert_eq!(joined(text), expect);
        check(".", "=2e");
        check("..", "=2e=2e");
        check(".hidden", "=2ehidden");
        check("a.", "a=2e");
        check("nul", "=6eul");
        check("con.tar", "=63on.tar");
        check("com7", "=63om7");
        check("comma", "comma");
        check("console", "console");
    }

    #[test]
    fn long_names_become_directories_of_which_none_is_a_shorter_name() {
        let long = "k".repeat(SEGMENT + 3);
        assert_eq!(encode(&long), ["k".repeat(SEGMENT) + "=-", "_kkk".to_owned()]);
        assert_eq!(encode(&"k".repeat(SEGMENT)), ["k".repeat(SEGMENT)]);
    }

    #[test]
    fn the_longest_key_of_any_script_fits_a_path() {
        for character in ['k', 'K', '\u{e4}', '\u{20ac}', '\u{1f980}', '/'] {
            let path = joined(&character.to_string().repeat(512));
            assert!(path.len() < 3_500, "{character}: {}", path.len());
        }
    }

    #[test]
    fn what_encoding_does_not_give_is_not_decoded() {
        for name in
            ["A", "=4", "=41=", "=61", "=zz", "=C3=A4", "=ff", "", "a/b", "a=-/b", "==mfrgg", "a b", ".a"]
        {
            let segments: Vec<&str> = name.split('/').collect();
            if name.is_empty() {
                assert_eq!(decode(&[]), None);
            } else {
                assert_eq!(decode(&segments), None, "{name}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "\\PC{1,512}") {
            let segments = encode(&text);
            let borrowed: Vec<&str> = segments.iter().map(String::as_str).collect();
            prop_assert_eq!(decode(&borrowed), Some(text));
        }

        #[test]
        fn segments_are_safe_on_every_file_system(text in "([a-zA-Z./=_-]{1,9}|\\PC{1,3}|(con|nul|aux)\\.?){1,60}") {
            let segments = encode(&text);
            for (index, segment) in segments.iter().enumerate() {
                prop_assert!((1..=SEGMENT + 3).contains(&segment.len()));
                prop_assert!(segment.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'=')));
                prop_assert_eq!(continues(segment), index + 1 < segments.len());
                prop_assert!(!is_device(segment));
                prop_assert!(!segment.starts_with('.'));
                prop_assert!(continues(segment) || !segment.ends_with('.'));
            }
        }

        #[test]
        fn what_is_decoded_is_encoded_as_it_was(name in "[a-z0-9=._-]{1,40}(/_?[a-z0-9=._-]{1,40}){0,2}") {
            let segments: Vec<&str> = name.split('/').collect();
            if let Some(text) = decode(&segments) {
                prop_assert_eq!(joined(&text), name);
            }
        }
    }
}
