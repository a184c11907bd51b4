//! What a command comes back with.

use crate::report::json::{CacheReport, Document};

/// The outcome of a command: what to report, and what the exit code is made of.
#[derive(Debug, Default)]
pub struct Finished {
    /// The outcome for machines.
    pub document: Document,
    /// A cache failed: it could not be looked up, restored, seeded or saved.
    pub failed: bool,
    /// A cache was not restored, for whatever reason.
    pub missed: bool,
    /// The gate found objects missing or unproven.
    pub incomplete: bool,
    /// What the command of `run` returned.
    pub child: Option<Child>,
}

/// How the command of `run` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Child {
    /// It returned this.
    Returned(i32),
    /// This signal ended it.
    Signaled(i32),
    /// It was not found.
    NotFound,
    /// It cannot be executed.
    NotExecutable,
}

impl Finished {
    /// Nothing yet.
    pub fn new(command: &'static str) -> Self {
        Finished { document: Document { command, ..Document::default() }, ..Finished::default() }
    }

    /// The report of a cache, made when it is first asked for.
    pub fn report(&mut self, cache: &str) -> &mut CacheReport {
        let caches = &mut self.document.caches;
        let at = caches.iter().position(|report| report.cache == cache).unwrap_or_else(|| {
            caches.push(CacheReport { cache: cache.to_owned(), ..CacheReport::default() });
            caches.len() - 1
        });
        &mut caches[at]
    }
}
