//! Threads, of which there may be none to be had: a container limits its tasks (`pids.max`), a system those of a user
//! (`ulimit -u`), and each needs address space.
//!
//! Every thread of the program is started here. A caller that gets none does the work itself: slower, with the same result.
//! [`start`] starts single threads, [`blocking`] is for asynchronous code, [`executor`] drives that code, and [`contain`]
//! turns a panic into an error, so that no thread waits for one that is gone.

#![expect(clippy::disallowed_methods, reason = "this room starts the threads of all others")]

pub(crate) mod blocking;
pub(crate) mod contain;
pub(crate) mod executor;
pub(crate) mod start;
