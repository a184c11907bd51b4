//! What a report of an error needs beside its message: what is to blame, and what the user can do about it.

use std::error::Error;

/// What is to blame for an error; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// What was typed or configured; nothing was touched.
    Usage,
    /// A permission or a credential is missing.
    Denied,
    /// A file system, a program or a service failed, or data is not what it should be.
    Environment,
    /// A signal or the deadline ended the work.
    Cancelled,
}

/// An error that can be reported to the user.
pub trait Hint: Error {
    /// One imperative sentence that does not repeat the message; rendered after it as `hint: …`.
    fn hint(&self) -> Option<String> {
        None
    }

    /// What is to blame.
    fn class(&self) -> Class {
        Class::Environment
    }
}
