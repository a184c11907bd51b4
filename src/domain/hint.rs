//! Hints: what a person can do about an error, kept apart from the error's message.

/// Something that may know its own cure.
pub trait Hint {
    /// One sentence that says what to do, without repeating what went wrong.
    fn hint(&self) -> Option<String> {
        None
    }
}
