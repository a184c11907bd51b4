//! Hints: what a user can do about an error, kept apart from the error's message.

/// An error that may suggest how to fix it.
pub trait Hint {
    /// One imperative sentence that does not repeat the message; rendered after it as `hint: …`.
    fn hint(&self) -> Option<String> {
        None
    }
}
