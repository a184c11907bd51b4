//! A failure that is only reported: no caller chooses by its variant, so it has none.
//!
//! An error is an enum where callers choose what to do by its variants (a store's kinds, the causes of a failed request). Every
//! other one is a [`Fault`]: its class decides the exit code, its message and hint are shown, its sources follow the message.

use std::error::Error;
use std::fmt;

use super::hint::{Class, Hint};

/// A failure with its class, message, hint and source.
#[derive(Debug)]
pub struct Fault(Box<FaultParts>);

#[derive(Debug)]
struct FaultParts {
    class: Class,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault of a class. The message is lower case without a final stop and names its path, URL or field.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Fault(Box::new(FaultParts { class, message: message.into(), hint: None, source: None }))
    }

    /// A fault of [`Class::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Fault::new(Class::Usage, message)
    }

    /// A fault of [`Class::Denied`].
    pub fn denied(message: impl Into<String>) -> Self {
        Fault::new(Class::Denied, message)
    }

    /// A fault of [`Class::Environment`].
    pub fn environment(message: impl Into<String>) -> Self {
        Fault::new(Class::Environment, message)
    }

    /// A fault of [`Class::Cancelled`].
    pub fn cancelled() -> Self {
        Fault::new(Class::Cancelled, "cancelled")
    }

    /// The same fault with one imperative sentence on how to cure it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.0.hint = hint.into();
        self
    }

    /// The same fault with the error that caused it.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// A fault of the same class, with the same hint, that says what was being done: `message: this fault`.
    #[must_use]
    pub fn in_context(mut self, message: impl Into<String>) -> Self {
        let (class, hint) = (self.0.class, self.0.hint.take());
        Fault::new(class, message).with_hint(hint).caused_by(self)
    }

    /// The same fault with another class, where the caller knows better what is to blame.
    #[must_use]
    pub fn with_class(mut self, class: Class) -> Self {
        self.0.class = class;
        self
    }

    /// What is to blame.
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// Whether what was typed or configured is to blame.
    pub fn is_usage(&self) -> bool {
        self.0.class == Class::Usage
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        self.0.hint.clone()
    }

    /// The error that this fault reports in that error's own words.
    fn transparent(&self) -> Option<&(dyn Error + Send + Sync)> {
        self.0.source.as_deref().filter(|_| self.0.message.is_empty())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transparent() {
            Some(error) => fmt::Display::fmt(error, f),
            None => f.write_str(&self.0.message),
        }
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self.transparent() {
            Some(error) => error.source(),
            None => self.0.source.as_deref().map(|source| source as _),
        }
    }
}

/// Reports an error in its own words, with its class, hint and sources. [`Fault`] itself does not implement [`Hint`].
impl<E: Hint + Send + Sync + 'static> From<E> for Fault {
    fn from(error: E) -> Self {
        let (class, hint) = (error.class(), error.hint());
        Fault::new(class, String::new()).with_hint(hint).caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("disk on fire")]
    struct OnFire;

    impl Hint for OnFire {}

    #[test]
    fn context_keeps_class_and_hint() {
        let fault =
            Fault::denied("no token").with_hint("set GITHUB_TOKEN".to_owned()).in_context("cache `deps`");
        assert_eq!(fault.class(), Class::Denied);
        assert_eq!(fault.hint().as_deref(), Some("set GITHUB_TOKEN"));
        assert_eq!(fault.to_string(), "cache `deps`");
        assert_eq!(fault.source().expect("the first fault").to_string(), "no token");
    }

    #[test]
    fn another_error_is_reported_in_its_own_words_and_once() {
        let fault = Fault::from(OnFire);
        assert_eq!(fault.to_string(), "disk on fire");
        assert!(fault.source().is_none());
    }
}
