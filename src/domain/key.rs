//! Keys of entries, and restore keys, which are prefixes of them.

use std::fmt;

use super::shown;

/// Maximum length of a key in characters (actions/cache, `ValidationError`).
pub const MAX_KEY_LENGTH: usize = 512;

/// Maximum number of keys in one lookup, including the primary key (actions/cache).
pub const MAX_KEYS: usize = 10;

/// Stands between the key that a thin entry ([`super::thin`]) was saved for and the rest of its own. No configured key may contain it.
pub const THIN_MARK: &str = "~t";

/// The key of an entry, or a prefix of one: 1 to 512 characters, no comma, no control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

/// Why a text is not a valid key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is empty.
    #[error("the key is empty")]
    Empty,
    /// More than [`MAX_KEY_LENGTH`] characters.
    #[error("the key has {0} characters; the limit is {MAX_KEY_LENGTH}")]
    TooLong(usize),
    /// A comma, a control character, or leading or trailing whitespace.
    #[error("the key `{key}` has {what}, which no cache service accepts")]
    Forbidden {
        /// The key, escaped.
        key: String,
        /// The forbidden part, for the message.
        what: &'static str,
    },
    /// What only the keys of thin entries have ([`super::thin`]).
    #[error("the key `{key}` contains `{mark}`, which is kept for generations of a cache", mark = THIN_MARK)]
    Reserved {
        /// The key, escaped.
        key: String,
    },
    /// Something that a runner or a terminal acts on, or that a reader does not see.
    #[error("the key `{0}` contains a log command, or a character that is invisible or reorders text")]
    Deceptive(String),
}

/// A store's answer to a lookup that did not ask for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it answered with `{matched}`, and neither `{key}` nor a restore key is a prefix of that")]
pub struct UnaskedKey {
    /// The primary key of the lookup.
    pub key: Key,
    /// The key of the answer.
    pub matched: Key,
}

impl Key {
    /// Checks that a lookup of this key and these restore keys asked for `matched`: one of them equals it or is a prefix
    /// of it. Stores are data: one that answers with another key would choose what is restored.
    pub fn check_answer(&self, restore_keys: &[Key], matched: &Key) -> Result<(), UnaskedKey> {
        let is_asked = std::iter::once(self).chain(restore_keys).any(|wanted| wanted.is_prefix_of(matched));
        if is_asked { Ok(()) } else { Err(UnaskedKey { key: self.clone(), matched: matched.clone() }) }
    }

    /// Validates a key: 1 to [`MAX_KEY_LENGTH`] characters, no comma, no control character, no surrounding whitespace.
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        let text = text.into();
        let length = text.chars().count();
        let forbidden = |what| KeyError::Forbidden { key: text.escape_debug().to_string(), what };
        if text.is_empty() {
            Err(KeyError::Empty)
        } else if length > MAX_KEY_LENGTH {
            Err(KeyError::TooLong(length))
        } else if text.contains(',') {
            Err(forbidden("a comma"))
        } else if text.chars().any(char::is_control) {
            Err(forbidden("a control character"))
        } else if text.trim() != text {
            Err(forbidden("leading or trailing whitespace"))
        } else {
            Ok(Key(text))
        }
    }

    /// Validates a key that a job looks up or saves: a valid key that is also printed as it is (see [`shown`]), and is not
    /// taken for that of a thin entry. Entries of other programs may have other keys; those are listed and cleaned all the same.
    pub fn for_job(text: impl Into<String>) -> Result<Self, KeyError> {
        let key = Key::new(text)?;
        let escaped = || shown::Shown::value(&key.0).into_string();
        if !shown::is_plain(&key.0) {
            Err(KeyError::Deceptive(escaped()))
        } else if key.0.contains(THIN_MARK) {
            Err(KeyError::Reserved { key: escaped() })
        } else {
            Ok(key)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this key, used as a restore key, matches an entry with the key `other`.
    pub fn is_prefix_of(&self, other: &Key) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_follow_the_rules_of_the_cache_service() {
        assert!(Key::new("ccache-v4-linux").is_ok());
        assert!(Key::new("ü".repeat(512)).is_ok());
        assert_eq!(Key::new(""), Err(KeyError::Empty));
        assert_eq!(Key::new("k".repeat(513)), Err(KeyError::TooLong(513)));
        for text in ["a,b", "a\nb", " a", "a\t"] {
            assert!(matches!(Key::new(text), Err(KeyError::Forbidden { .. })), "{text:?}");
        }
    }

    #[test]
    fn an_answer_is_equal_to_or_an_extension_of_what_was_asked() {
        let key = |text: &str| Key::new(text).expect(text);
        let check = |restore_keys: &[&str], matched: &str, is_asked: bool| {
            let restore_keys: Vec<Key> = restore_keys.iter().map(|text| key(text)).collect();
            let answer = key("k-1").check_answer(&restore_keys, &key(matched));
            assert_eq!(answer.is_ok(), is_asked, "{restore_keys:?} {matched}");
        };
        check(&[], "k-1", true);
        check(&[], "k-12", true);
        check(&["j-", "k-"], "k-2", true);
        check(&["k-"], "k-", true);
        check(&[], "k-", false);
        check(&["k-"], "k", false);
        check(&["k-"], "K-1", false);
        check(&["k-"], "zzz", false);
        check(&[], "xk-1", false);
    }

    #[test]
    fn a_job_has_no_key_that_is_taken_for_one_of_a_thin_entry() {
        let reserved = KeyError::Reserved { key: "k~t1".to_owned() };
        assert_eq!(Key::for_job("k~t1"), Err(reserved));
        assert!(Key::for_job("k~1t").is_ok());
    }

    #[test]
    fn a_job_has_no_key_that_a_runner_acts_on_or_that_deceives() {
        for text in ["k-##[set-output name=a]b", "##vso[task.complete]", "::x", "a\u{202e}b", "a\u{200b}b"] {
            assert!(Key::new(text).is_ok(), "another program may have saved {text:?}");
            let Err(KeyError::Deceptive(shown)) = Key::for_job(text) else { panic!("{text:?}") };
            assert!(shown.contains("\\u{"), "{shown}");
        }
        for text in ["deps-v1-größe", "a::b", "k #1 [x]", "::".repeat(300).as_str()] {
            assert_eq!(Key::for_job(text).is_ok(), !text.starts_with("::"), "{text:?}");
        }
    }
}
