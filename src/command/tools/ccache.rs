//! ccache, through its own commands: only it knows what its counters must be after files have gone.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::command::cache::Cache;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::kinds::{self, Kind, ToolUse, ccache_use};
use crate::domain::names::CACHE_TAG;
use crate::domain::unit::{ByteSize, Span};
use crate::fs::read;
use crate::platform::programs::{self, Answer, Question};
use crate::report::failure;

/// What ccache writes into its tags of cache directories.
const TAG: &str = "created by ccache";

/// Upper bound for a tag, in bytes.
const MAX_TAG: u64 = 4 << 10;

/// The directories of a cache that may have a tag: itself, and those of its first level.
const TAGGED: [&str; 17] =
    [".", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f"];

/// A cache of ccache.
pub(crate) struct Ccache<'a> {
    cache: &'a Cache<'a>,
    /// The program, where it is installed.
    program: Option<PathBuf>,
}

impl<'a> Ccache<'a> {
    /// The cache, if its kind is ccache.
    pub(crate) fn of_kind(cache: &'a Cache<'a>) -> Option<Self> {
        let is_ccache = cache.spec.kind.is_some_and(|kind| kind.name == "ccache");
        is_ccache.then(|| Ccache { cache, program: programs::find(cache.ctx.env, "ccache") })
    }

    /// The cache, if its kind is ccache, or if it is a directory that ccache tagged as its own.
    pub(crate) fn detect(cache: &'a Cache<'a>) -> Option<Self> {
        let is_tagged = || {
            cache.spec.kind.is_none()
                && cache.selections.len() == 1
                && cache.selections[0].is_whole()
                && TAGGED.iter().any(|directory| is_tagged(&cache.root().join(directory)))
        };
        Self::of_kind(cache).or_else(|| {
            is_tagged().then(|| Ccache { cache, program: programs::find(cache.ctx.env, "ccache") })
        })
    }

    /// Names of files that are never trimmed by others.
    pub(crate) fn never_trimmed() -> Vec<&'static str> {
        kinds::named("ccache").map(Kind::never_trimmed).unwrap_or_default()
    }

    /// Whether the program is here.
    pub(crate) fn is_installed(&self) -> bool {
        self.program.is_some()
    }

    /// Sets the counters of hits and misses to zero. A cache that does not exist counts from zero anyway.
    pub(super) fn zero(&self) {
        if !read::is_directory(self.cache.root()).unwrap_or(false) {
            return;
        }
        if let Err(fault) = self.run(&["--zero-stats"], &[]) {
            let text = format!("statistics are those of earlier jobs, too: {}", failure::chain(&fault));
            self.cache.ctx.report(Level::Debug, self.cache.name(), text);
        }
    }

    /// What it counted; `None` where it is not installed, or has no cache here.
    pub(super) fn statistics(&self) -> Option<ToolUse> {
        if !self.is_installed() || !read::is_directory(self.cache.root()).unwrap_or(false) {
            return None;
        }
        let counted = self.run(&["--print-stats"], &[]).and_then(|statistics| {
            let limit = self.run(&["--get-config", "max_size"], &[])?;
            Ok((statistics.output, limit.output))
        });
        match counted {
            Ok((statistics, limit)) => ccache_use(&statistics, &limit),
            Err(fault) => {
                let text = format!("its statistics are not known: {}", failure::chain(&fault));
                self.cache.ctx.report(Level::Debug, self.cache.name(), text);
                None
            }
        }
    }

    /// Removes what was not used for so long.
    pub(crate) fn evict(&self, unused_for: Span) -> Result<(), Fault> {
        let age = format!("{}s", unused_for.0.as_secs());
        self.run(&["--evict-older-than", &age], &[]).map(|_| ())
    }

    /// Removes the oldest files beyond a size, and counts again. Without a size it only counts again.
    pub(crate) fn clean_up(&self, max_size: Option<ByteSize>) -> Result<(), Fault> {
        // The variable goes before every configuration, and leaves none behind; zero stands for no limit.
        let limit = max_size.map_or("0".to_owned(), |size| format!("{}k", (size.0 / 1000).max(1)));
        self.run(&["--cleanup"], &[("CCACHE_MAXSIZE", limit)]).map(|_| ())
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, String)]) -> Result<Answer, Fault> {
        let ctx = self.cache.ctx;
        let missing = || Fault::environment("ccache is not installed here");
        let program = self.program.as_deref().ok_or_else(missing)?;
        let root = self.cache.root();
        let mut all = vec![("CCACHE_DIR", root.display().to_string())];
        all.extend(variables.iter().cloned());
        let question = Question { program, arguments, variables: &all, directory: root };
        let deadline = ctx.deadline();
        let started = Instant::now();
        let command = format!("ccache {}", arguments.join(" "));
        let failed = |why: &str| Fault::environment(format!("`{command}`: {why}"));
        let answer = question
            .ask(&deadline.cancel)
            .map_err(|error| failed(&deadline.reason(ctx.interrupt).unwrap_or_else(|| error.to_string())))?;
        let text = format!("`{command}` took {:.3} s", started.elapsed().as_secs_f64());
        ctx.report(Level::Debug, self.cache.name(), text);
        if answer.status.success() {
            return Ok(answer);
        }
        Err(failed(answer.errors.lines().next().unwrap_or("it failed without a message")))
    }
}

fn is_tagged(directory: &Path) -> bool {
    let tag = read::read_regular(&directory.join(CACHE_TAG), MAX_TAG);
    tag.is_ok_and(|tag| String::from_utf8_lossy(&tag).contains(TAG))
}
