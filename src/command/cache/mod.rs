//! A declared cache, opened for this job: its roots, its key, its objects.

pub(crate) mod expand;
mod paths;

pub(crate) use expand::expand_one;
pub(in crate::command) use paths::own_places;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::context::Context;
use crate::domain::content_link::WantedObjects;
use crate::domain::entry::Entry;
use crate::domain::event::Phase;
use crate::domain::fault::Fault;
use crate::domain::gate::GateReport;
use crate::domain::inventory::Inventory;
use crate::domain::key::Key;
use crate::domain::scope::{Access, Section};
use crate::domain::spec::{CacheSpec, PathPattern, Thoroughness};
use crate::domain::template::{Placeholder, Template};
use crate::domain::trust::ExportVerdict;
use crate::domain::version::{Version, portable_roots};
use crate::fs::lease::LeasedDirectory;
use crate::fs::path_error::PathError;
use crate::fs::staging::{Staging, StagingError, Usage};
use crate::fs::write;
use crate::inputs::globs::TreeGlob;
use crate::inputs::links;
use crate::objects::inventory::VerifyMode;
use crate::objects::layout::ObjectLayout;
use crate::objects::verified::VerifiedFiles;
use crate::tree::fingerprint::{self, Quick};
use crate::tree::selection::{Exclusion, Resolved, Selection, resolve};
use crate::tree::walk::WalkError;
use expand::{KeyInputs, Sources};

/// A part of a key: the placeholder, what it became, and what went into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyPart {
    /// The placeholder as written.
    pub placeholder: String,
    /// What it became.
    pub value: String,
    /// For digests: the files or objects, sorted by name, each with its own digest where it has one.
    pub inputs: KeyInputs,
}

/// The keys of a cache in this job.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the name that GitHub's input has")]
pub(crate) struct Keys {
    /// The primary key.
    pub key: Key,
    /// The prefixes to fall back to, in order.
    pub restore_keys: Vec<Key>,
    /// What went into the primary key.
    pub parts: Vec<KeyPart>,
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

impl<'a> Cache<'a> {
    /// Resolves the paths of a declared cache.
    pub(crate) fn open(ctx: &'a Context<'a>, spec: &'a CacheSpec) -> Result<Self, Fault> {
        let rules =
            spec.paths.iter().map(|pattern| paths::rule(ctx, pattern)).collect::<Result<Vec<_>, Fault>>()?;
        let Resolved { selections, members, exclusions } = resolve(&rules)?;
        selections.iter().try_for_each(|selection| paths::refuse(ctx, selection))?;
        let prefixes = portable_roots(&spec.name, selections.len());
        let layout = spec.links.as_ref().map(|links| ObjectLayout::new(&links.object)).transpose()?;
        let recorded: Vec<String> = spec.paths.iter().map(|pattern| paths::recorded(ctx, pattern)).collect();
        let ready = |(selection, members): (Selection, Vec<usize>)| {
            let written = members.iter().map(|index| recorded[*index].clone()).collect();
            let counters = spec.kind.map_or::<&[&str], _>(&[], |kind| kind.counters);
            paths::leave_out(ctx, selection).written_as(written).without_counting(counters)
        };
        let mut selections: Vec<Selection> = selections.into_iter().zip(members).map(ready).collect();
        if let (Some(layout), Some(first)) = (&layout, selections.first_mut()) {
            *first = first.clone().without_leftovers(layout.clone());
        }
        let allowed = spec.links.as_ref().map(|links| links.allow_unverified.clone()).unwrap_or_default();
        Ok(Cache {
            ctx,
            spec,
            selections,
            exclusions,
            prefixes,
            layout,
            wanted: OnceCell::new(),
            verified: Arc::new(VerifiedFiles::allowing(allowed)),
        })
    }

    /// As [`Cache::open`], with the name of the cache in a fault: for commands that end with it.
    pub(crate) fn open_named(ctx: &'a Context<'a>, spec: &'a CacheSpec) -> Result<Self, Fault> {
        Cache::open(ctx, spec).map_err(|fault| spec.named_in(fault))
    }

    /// The cache's name.
    pub(crate) fn name(&self) -> &str {
        &self.spec.name
    }

    /// The first root: what `{path}` means, and where objects and the sentinel lie.
    pub(crate) fn root(&self) -> &Path {
        &self.selections[0].root
    }

    /// An empty tree that may become a root of this cache.
    pub(crate) fn staging(&self, selection: &Selection) -> Result<Staging, StagingError> {
        let ctx = self.ctx;
        let usage = Usage::of(ctx.workspace, &ctx.env.current_dir);
        Staging::prepare(&selection.root, !selection.is_whole(), &usage, &ctx.records, ctx.now)
    }

    /// A temporary directory inside the cache, on the volume of its objects.
    pub(crate) fn temporary(&self, purpose: &str) -> Result<LeasedDirectory, PathError> {
        write::make_directory(self.root())?;
        LeasedDirectory::create_in(self.root(), &format!("{purpose} `{}`", self.name()), self.ctx.now)
    }

    /// What its trees look like from outside.
    pub(crate) fn quick(&self) -> Result<Quick, WalkError> {
        fingerprint::quick(&self.selections, self.ctx.workers)
    }

    /// All roots.
    pub(crate) fn roots(&self) -> Vec<PathBuf> {
        self.selections.iter().map(|selection| selection.root.clone()).collect()
    }

    /// Directories whose files never go into a key: what the cache holds, and this program's own.
    fn hidden_from_keys(&self) -> Vec<PathBuf> {
        // Of a root that holds the workspace, the key is all the same made of files in it.
        let is_below = |selection: &&Selection| !self.ctx.workspace.starts_with(&selection.root);
        let whole = self.selections.iter().filter(|selection| selection.is_whole()).filter(is_below);
        let own = own_places(self.ctx).into_iter();
        whole.map(|selection| selection.root.clone()).chain(own).collect()
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

    /// The objects that the content links want; empty for a cache without links.
    pub(crate) fn wanted(&self) -> Result<&WantedObjects, Fault> {
        if let Some(wanted) = self.wanted.get() {
            return Ok(wanted);
        }
        let wanted = match &self.spec.links {
            None => WantedObjects::default(),
            Some(links) => {
                let _scanning = self.ctx.start(self.name(), Phase::Scan);
                let globs = TreeGlob::new(&links.files)?;
                let hidden = self.hidden_from_keys();
                let (wanted, unreadable) = expand::within_deadline(self.ctx, |cancel| {
                    links::wanted_objects(self.ctx.workspace, &globs, &hidden, self.ctx.workers, cancel)
                })?;
                expand::warn_of_unread(self.ctx, &unreadable);
                wanted
            }
        };
        Ok(self.wanted.get_or_init(|| wanted))
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

    /// Expands the keys, within the time for one cache: what goes into them may be large.
    pub(crate) fn keys(&self) -> Result<Keys, Fault> {
        expand::within_deadline(self.ctx, |cancel| self.keys_until(cancel))
    }

    fn keys_until(&self, cancel: &CancellationToken) -> Result<Keys, Fault> {
        let needs_links = |template: &Template| template.placeholders().any(|p| *p == Placeholder::Links);
        let templates = || std::iter::once(&self.spec.key).chain(&self.spec.restore_keys);
        let wanted = if templates().any(needs_links) { Some(self.wanted()?) } else { None };
        let hidden = self.hidden_from_keys();
        let sources = Sources { path: None, wanted, without: &hidden };
        let mut all_inputs: Vec<(Placeholder, KeyInputs)> = Vec::new();
        let mut made = Vec::new();
        let mut parts = Vec::new();
        for template in templates() {
            let hear = |placeholder: &Placeholder, inputs| all_inputs.push((placeholder.clone(), inputs));
            let expanded = expand::expand(self.ctx, template, &sources, cancel, hear)?;
            let key = Key::for_job(expanded.text)
                .map_err(|why| Fault::usage(format!("`{}`", template.source())).caused_by(why))?;
            if made.is_empty() {
                parts = expanded.parts;
            }
            made.push(key);
        }
        let part = |(placeholder, value): (Placeholder, String)| {
            let inputs =
                all_inputs.iter().find(|(of, _)| *of == placeholder).map(|(_, inputs)| inputs.clone());
            KeyPart { placeholder: placeholder.to_string(), value, inputs: inputs.unwrap_or_default() }
        };
        let restore_keys = made.split_off(1);
        let key = made.remove(0);
        Ok(Keys { key, restore_keys, parts: parts.into_iter().map(part).collect() })
    }

    /// The variables that tell the build where the cache is, as far as the event and the workflow let the configuration
    /// export them.
    pub(crate) fn exports(&self) -> Result<Vec<(String, String)>, Fault> {
        let sources = Sources { path: Some(self.root()), ..Sources::default() };
        let mut exports = Vec::new();
        for (name, template) in &self.spec.export {
            let is_of_kind = self.spec.kind_exports.contains(name);
            // What a job sets itself goes before what a kind suggests, but for the place of the cache.
            let is_set = is_of_kind && template.source() != "{path}" && self.ctx.env.var(name).is_some();
            if is_set || self.ctx.grants.export_of(self.spec, name) != ExportVerdict::Exported {
                continue;
            }
            match expand_one(self.ctx, template, &sources) {
                Ok(value) => exports.push((name.clone(), value)),
                // The limit of a cache, of which the trim warns.
                Err(_) if is_of_kind => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(exports)
    }
}
