//! Tools that keep caches themselves: their statistics, and their own way to trim.

mod cargo;
mod ccache;
mod note;
pub(crate) mod source_times;

use super::cache::Cache;
use crate::domain::event::Level;
use crate::domain::kinds::Kind;
use crate::domain::outcome::JobOutcome;
use crate::report::text;

pub(crate) use cargo::leave_out;
pub(crate) use ccache::Ccache;
pub(super) use note::used_since;

/// After a restore, hit or miss: has the tool count from here, and notes when the job began to use the cache.
pub(super) fn begin(cache: &Cache<'_>, kind: &Kind) {
    if kind.marks_use {
        note::leave(cache);
    }
    if let Some(ccache) = Ccache::of_kind(cache) {
        ccache.zero();
    }
}

/// What the tool counted since the restore, with what is to be known about it; before anything is trimmed.
pub(super) fn report(cache: &Cache<'_>, job: &mut JobOutcome) {
    let Some(used) = Ccache::of_kind(cache).and_then(|ccache| ccache.statistics()) else { return };
    cache.ctx.report(Level::Info, cache.name(), text::used(&used, cache.name()));
    if used.is_thrashing() {
        let hint = "raise `max-size` of its `trim`, or give fewer jobs the same cache".to_owned();
        let message = format!(
            "{} is thrashing: it removed results {} times during this job, and missed more than it found",
            used.tool, used.cleanups
        );
        cache.ctx.report_with_hint(Level::Warning, cache.name(), message, Some(hint));
    }
    job.cache(cache.name()).tool = Some(used);
}
