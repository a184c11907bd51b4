//! A failure that is only reported: nobody chooses by its variant, so that it needs none.
//!
//! An error is an enum where callers choose what to do by its variants (a store's kinds, the causes of a failed request). Every
//! other one is a [`Fault`]: its class decides the exit code, its message and hint are shown, its sources follow the message.

use std::error::Error;
use std::fmt;

use super::hint::Hint;

/// What is to blame for a fault; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// What was typed or configured; nothing was touched.
    Usage,
    /// A permission or a credential is missing.
    Denied,
    /// A file system, a program or a service failed, or data is not what it should be.
    Environment,
    /// Cancelled by a signal or by the deadline.
    Cancelled,
}

/// A failure with its class, message, hint and source.
#[derive(Debug)]
pub struct Fault(Box<Parts>);

#[derive(Debug)]
struct Parts {
    class: Class,
    message: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault of a class. The message is lower case without a final stop and names its path, URL or field.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Fault(Box::new(Parts { class, message: message.into(), hint: None, source: None }))
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

    /// A fault that reports another error in that error's own words, with its sources.
    pub fn of(class: Class, error: impl Error + Send + Sync + 'static) -> Self {
        let mut fault = Fault::new(class, String::new());
        fault.0.source = Some(error.into());
        fault
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

    /// What is to blame.
    pub fn class(&self) -> Class {
        self.0.class
    }

    /// The error that this fault reports in that error's own words; see [`Fault::of`].
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

impl Hint for Fault {
    fn hint(&self) -> Option<String> {
        self.0.hint.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

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
        let fault = Fault::of(Class::Environment, io::Error::other("disk on fire"));
        assert_eq!(fault.to_string(), "disk on fire");
        assert!(fault.source().is_none());
    }
}
