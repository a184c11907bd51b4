//! What moves archives where this program has no way to the cache service, and where trees lie for it.

use std::path::{Path, PathBuf};

use crate::command::context::Context;
use crate::domain::fault::Fault;
use crate::domain::unit::ByteSize;
use crate::domain::version::LAYOUT_ROOT;
use crate::fs::volume;
use crate::tree::hard_links;
use crate::tree::plain_files::Metadata;

/// The name of the directory that `Cache@2` writes its archives in.
const STAGING: &str = "cachekeep-task";

/// What moves archives between this machine and the cache service of the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// actions/cache, in steps of the action between our own. A cache lies in the workspace for it.
    ActionsCache {
        /// The workspace.
        workspace: PathBuf,
    },
    /// `Cache@2`, in steps of the template between our own. Each of its steps has a directory of its own.
    CacheTask {
        /// The directory of the pipeline on this machine.
        pipeline: PathBuf,
        /// What tells uses of the template in one job apart: the prefix of its variables.
        prefix: String,
        /// Whether the task keeps modes and times.
        metadata: Metadata,
        /// Where the task writes its archives.
        staging: PathBuf,
    },
}

impl Carrier {
    /// actions/cache in this job.
    pub(crate) fn actions_cache(ctx: &Context<'_>) -> Result<Self, Fault> {
        let workspace = ctx.platform.facts().workspace.clone();
        let unknown = || Fault::usage("the workspace is not known: GITHUB_WORKSPACE is not set");
        Ok(Carrier::ActionsCache { workspace: workspace.ok_or_else(unknown)? })
    }

    /// `Cache@2` in this job. It writes its archives where `staging` says, else on the roomier one of the job's own volumes.
    pub(crate) fn cache_task(
        ctx: &Context<'_>,
        prefix: &str,
        metadata: Metadata,
        staging: Option<PathBuf>,
    ) -> Result<Self, Fault> {
        let unknown =
            || Fault::usage("the directory of the pipeline is not known: PIPELINE_WORKSPACE is not set");
        let pipeline = ctx.env.path("PIPELINE_WORKSPACE").ok_or_else(unknown)?;
        let place = staging.unwrap_or_else(|| roomier(&ctx.platform.facts().temp, &pipeline).to_owned());
        let prefix = prefix.to_owned();
        Ok(Carrier::CacheTask {
            staging: place.join(format!("{STAGING}-{prefix}")),
            pipeline,
            prefix,
            metadata,
        })
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Carrier::ActionsCache { .. } => "actions/cache",
            Carrier::CacheTask { .. } => "Cache@2",
        }
    }

    /// How the same step can work on more caches.
    pub(super) fn for_more(&self) -> &'static str {
        match self {
            Carrier::ActionsCache { .. } => {
                "name at most four in `cache:` and use the action once more for the others, or give the job \
                 `permissions: id-token: write`"
            }
            Carrier::CacheTask { .. } => {
                "name at most four in `cache` and use the template once more with another `prefix` for the others, or \
                 use a store of your own"
            }
        }
    }

    /// Where `Cache@2` writes its archives and what it keeps of a tree, if it is that.
    pub(crate) fn task(&self) -> Option<(&Path, Metadata)> {
        match self {
            Carrier::ActionsCache { .. } => None,
            Carrier::CacheTask { metadata, staging, .. } => Some((staging, *metadata)),
        }
    }

    /// The directory that a cache's [`LAYOUT_ROOT`] lies in.
    pub(crate) fn base(&self, slot: usize) -> PathBuf {
        self.trusted().join(self.below(slot))
    }

    /// A directory with next to nothing in it, of a carrier that saves whatever a directory holds.
    pub(crate) fn nothing(&self) -> PathBuf {
        self.trusted().join(self.below_prefix()).join("nothing")
    }

    /// The directory that the platform gave the job.
    fn trusted(&self) -> &Path {
        match self {
            Carrier::ActionsCache { workspace } => workspace,
            Carrier::CacheTask { pipeline, .. } => pipeline,
        }
    }

    fn below_prefix(&self) -> PathBuf {
        match self {
            Carrier::ActionsCache { .. } => PathBuf::new(),
            Carrier::CacheTask { prefix, .. } => Path::new(LAYOUT_ROOT).join(prefix),
        }
    }

    fn below(&self, slot: usize) -> PathBuf {
        match self {
            Carrier::ActionsCache { .. } => PathBuf::new(),
            Carrier::CacheTask { .. } => self.below_prefix().join(slot.to_string()),
        }
    }

    /// Fails where a link is in the way to a slot's [`LAYOUT_ROOT`]; `false` where nothing is there.
    pub(super) fn is_there(&self, slot: usize) -> Result<bool, Fault> {
        hard_links::is_plain_directory(self.trusted(), &self.below(slot).join(LAYOUT_ROOT))
    }
}

/// Of two directories the one on the volume with more room; the first one where they share it.
fn roomier<'a>(first: &'a Path, second: &'a Path) -> &'a Path {
    let free = |path| volume::volume_of(path).map_or(ByteSize(0), |volume| volume.free);
    if free(second) > free(first) { second } else { first }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::fs::testing::Mount;
    use crate::fs::write;

    #[test]
    fn the_roomier_volume_is_chosen_and_the_first_of_equals() {
        let place = tempfile::tempdir().expect("a place");
        let (first, second) = (place.path().join("first"), place.path().join("second"));
        for path in [&first, &second] {
            write::make_directory(path).expect("made");
        }
        assert_eq!(roomier(&first, &second), first);
        let Some(_mount) = Mount::tmpfs(&first, "1m") else { return };
        assert_eq!(roomier(&first, &second), second);
    }
}
