//! Threads beside a test.

use std::sync::atomic::{AtomicBool, Ordering};

/// Sets a flag when it is dropped, so that threads beside a test end also where the test panics: the scope waits for them.
pub struct SetAtTheEnd<'a>(pub &'a AtomicBool);

impl Drop for SetAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
