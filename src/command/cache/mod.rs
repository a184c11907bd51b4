//! A declared cache, opened for this job: its roots and its objects. [`open`] opens it, [`keys`] makes its keys.

mod keys;
mod open;

pub(crate) use keys::{KeyPart, Keys, OpenedCache, Sources, expand_one, with_computed_keys, with_keys};
pub(crate) use open::open_all;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::context::Context;
use crate::domain::content_link::WantedObjects;
use crate::domain::digest::ObjectId;
use crate::domain::entry::Entry;
use crate::domain::event::{Level, Phase};
use crate::domain::fault::Fault;
use crate::domain::gate::GateReport;
use crate::domain::inventory::Inventory;
use crate::domain::scope::{Access, Section};
use crate::domain::spec::{CacheSpec, PathPattern, Thoroughness};
use crate::domain::template::Template;
use crate::domain::unit::{ByteSize, counted};
use crate::domain::version::Version;
use crate::fs::lease::LeasedDirectory;
use crate::fs::path_error::PathError;
use crate::fs::write;
use crate::objects::inventory::VerifyMode;
use crate::objects::layout::ObjectLayout;
use crate::objects::verified::VerifiedFiles;
use crate::tree::fingerprint::{self, Quick};
use crate::tree::selection::{Exclusion, Selection};
use crate::tree::walk::WalkError;

/// How many objects are named before the rest is only counted.
const OBJECTS_NAMED: usize = 3;

/// A selected cache, opened, or why it cannot be.
pub(crate) struct DeclaredCache<'a> {
    /// Its declaration.
    pub(crate) spec: &'a CacheSpec,
    /// The cache.
    pub(crate) opened: Result<Cache<'a>, Fault>,
}

/// A cache, opened.
pub(crate) struct Cache<'a> {
    /// The job.
    pub ctx: &'a Context<'a>,
    /// The declaration.
    pub spec: &'a CacheSpec,
    /// Its roots and what of them belongs to it; the first one is `{path}`.
    pub selections: Vec<Selection>,
    /// In the order of the declaration.
    exclusions: Vec<Exclusion>,
    /// Where its roots lie in an archive, in the same order.
    pub prefixes: Vec<String>,
    layout: Option<ObjectLayout>,
    wanted: OnceCell<WantedObjects>,
    verified: Arc<VerifiedFiles>,
}

impl Cache<'_> {
    /// The cache's name.
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    /// The first root: what `{path}` means, and where objects and the sentinel lie.
    pub(crate) fn root(&self) -> &Path {
        &self.selections[0].root
    }

    /// A temporary directory inside the cache, on the volume of its objects. It goes when it is dropped, and after a kill at the next start.
    pub(crate) fn temporary(&self, purpose: &str) -> Result<LeasedDirectory, PathError> {
        write::make_directory(self.root())?;
        LeasedDirectory::create_in(self.root(), &format!("{purpose} `{}`", self.name()), self.ctx.now)
    }

    /// The quick fingerprint of its trees.
    pub(crate) fn quick_fingerprint(&self) -> Result<Quick, WalkError> {
        fingerprint::quick(&self.selections, self.ctx.workers)
    }

    /// All roots.
    pub(crate) fn roots(&self) -> Vec<PathBuf> {
        self.selections.iter().map(|selection| selection.root.clone()).collect()
    }

    /// The exclusions that excluded nothing in the walks that were made so far, as declared.
    pub(crate) fn idle_exclusions(&self) -> impl Iterator<Item = &Template> {
        let declared = self.spec.paths.iter().filter(|pattern| pattern.exclude);
        // What a kind leaves out need not be there.
        let is_idle = |(pattern, exclusion): &(&PathPattern, &Exclusion)| {
            pattern.place.is_none() && !exclusion.has_applied()
        };
        let idle = declared.zip(&self.exclusions).filter(is_idle);
        idle.map(|(pattern, _)| &pattern.pattern)
    }

    /// The path patterns of each root, as entries record them.
    pub(crate) fn written(&self) -> impl Iterator<Item = &[String]> {
        self.selections.iter().map(Selection::written)
    }

    /// The scopes that the job reads and writes for this cache.
    pub(crate) fn access(&self) -> Access {
        let section = if self.spec.shared { Section::Shared } else { Section::Own };
        self.ctx.access.within(&section)
    }

    /// The version that entries of this cache have.
    pub(crate) fn version(&self) -> Version {
        Version::of_roots(self.prefixes.iter().map(String::as_str))
    }

    /// The version that its thin entries have.
    pub(crate) fn thin_version(&self) -> Version {
        Version::of_thin_roots(self.prefixes.iter().map(String::as_str))
    }

    /// The size of a whole archive from which on what changed alone is stored; `None` if it never is. Where the store may evict an entry and
    /// keep those that take content from it, as GitHub's service may, it never is unless the configuration says so.
    pub(crate) fn least_generation(&self) -> Option<ByteSize> {
        self.spec.generations.least(self.ctx.store().evicts())
    }

    /// Whether an entry of this cache is a thin one.
    pub(crate) fn is_thin(&self, entry: &Entry) -> bool {
        entry.version == self.thin_version()
    }

    /// Where objects lie, for a content-addressed cache.
    pub(crate) fn layout(&self) -> Option<&ObjectLayout> {
        self.layout.as_ref()
    }

    /// What was found of files when they were hashed in this process.
    pub(crate) fn verified(&self) -> &Arc<VerifiedFiles> {
        &self.verified
    }

    /// What the cache holds, verified as thoroughly as it declares. Files that did not change since the last call
    /// are not read again.
    pub(crate) fn inventory(&self, cancel: &CancellationToken) -> Result<Inventory, Fault> {
        self.inventory_by(self.spec.links.as_ref().map_or(Thoroughness::Full, |links| links.verify), cancel)
    }

    /// What the cache holds, verified so thoroughly.
    pub(crate) fn inventory_by(
        &self,
        thoroughness: Thoroughness,
        cancel: &CancellationToken,
    ) -> Result<Inventory, Fault> {
        self.inventory_at(self.root(), thoroughness, cancel)
    }

    /// What a tree at another place holds that has this cache's layout, such as one that is being restored.
    pub(crate) fn inventory_at(
        &self,
        root: &Path,
        thoroughness: Thoroughness,
        cancel: &CancellationToken,
    ) -> Result<Inventory, Fault> {
        let Some(layout) = &self.layout else { return Ok(Inventory::default()) };
        let running = self.ctx.start(self.name(), Phase::Verify);
        // Runs draw different samples; the steps of one run the same.
        let dice = self.ctx.platform.facts().run_id.as_deref().unwrap_or_default();
        let mode = VerifyMode { thoroughness, seed: dice };
        let (workers, meter) = (self.ctx.workers, &running.meter);
        Ok(self.verified.inventory_by(mode, root, layout, workers, cancel, meter)?)
    }

    /// Warns of objects; the first are named.
    pub(crate) fn warn_of_objects(&self, what: &str, objects: &[&ObjectId]) {
        let named: Vec<String> = objects.iter().take(OBJECTS_NAMED).map(ToString::to_string).collect();
        let more = if objects.len() > OBJECTS_NAMED { ", …" } else { "" };
        let text = format!("{} {what}: {}{more}", counted(objects.len(), "object"), named.join(", "));
        self.ctx.report(Level::Warning, self.name(), text);
    }

    /// Wanted against present, verified as thoroughly as the cache declares.
    pub(crate) fn gate(&self, cancel: &CancellationToken) -> Result<(GateReport, Inventory), Fault> {
        let inventory = self.inventory(cancel)?;
        Ok((GateReport::compare(self.wanted()?, &inventory), inventory))
    }

    /// Wanted against present, every object hashed: what a save must know.
    pub(crate) fn gate_fully(&self, cancel: &CancellationToken) -> Result<(GateReport, Inventory), Fault> {
        let inventory = self.inventory_by(Thoroughness::Full, cancel)?;
        Ok((GateReport::compare(self.wanted()?, &inventory), inventory))
    }
}
