//! Errors as people read them: what went wrong, why, and what to do about it.

use std::error::Error;

/// An error with its causes, on one line: `cannot save: /x: permission denied`. A cause that only repeats
/// the end of what stands before it is left out.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// A message and its cure, as two sentences.
pub(crate) fn with_hint(text: &str, hint: Option<&str>) -> String {
    match hint {
        Some(hint) => format!("{text}\n  hint: {hint}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot save")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn causes_follow_what_they_caused() {
        assert_eq!(chain(&Outer(std::io::Error::other("disk is gone"))), "cannot save: disk is gone");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("cannot save: {0}")]
    struct InlineCause(#[source] std::io::Error);

    #[test]
    fn a_cause_is_told_once() {
        assert_eq!(chain(&InlineCause(std::io::Error::other("disk is gone"))), "cannot save: disk is gone");
    }
}
