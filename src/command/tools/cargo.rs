//! cargo: what of its directories a save leaves out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::command::cache::Cache;
use crate::domain::event::Level;
use crate::domain::fault::Fault;
use crate::domain::kinds::CargoPackages;
use crate::fs::handle::Handle;
use crate::fs::open::Links;
use crate::fs::{link, read};
use crate::inputs::globs::TreeGlob;
use crate::report::failure;
use crate::tree::selection::Filter;

/// Where lock files are looked for.
const LOCKS: [&str; 2] = ["**/Cargo.lock", "!target/**"];

/// Upper bound for a lock file, in bytes.
const MAX_LOCK: u64 = 16 << 20;

/// The order of the roots of the kind: `registry`, `git/db`, `target`.
const REGISTRY: usize = 0;
pub(super) const TARGET: usize = 2;

/// How deep directories of profiles lie: `debug`, `TRIPLE/debug`.
const PROFILE_DEPTH: usize = 2;

/// Leaves out of the selections what another commit's job would not use.
pub(crate) fn leave_out(cache: &Cache<'_>, cancel: &CancellationToken) {
    let is_cargo = cache.spec.kind.is_some_and(|kind| kind.name == "cargo");
    if !is_cargo || !cache.spec.is_in_usual_place() || cache.selections.len() <= TARGET {
        return;
    }
    let packages = match packages(cache, cancel) {
        Ok(packages) => packages,
        Err(fault) => {
            let text = format!("saved with all that cargo has built: {}", failure::chain(&fault));
            cache.ctx.report_with_hint(Level::Warning, cache.name(), text, fault.hint());
            return;
        }
    };
    if packages.is_empty() {
        cache.ctx.report(
            Level::Debug,
            cache.name(),
            "no Cargo.lock tells which packages are the workspace's own",
        );
        return;
    }
    let members: Vec<&str> = packages.members().collect();
    let keeps_own = cache.spec.source_times;
    let own = if keeps_own {
        "the state of incremental compilation".to_owned()
    } else {
        format!("what is built of {}", members.join(", "))
    };
    let text = format!("leaving out {own} and downloads that no Cargo.lock names");
    cache.ctx.report(Level::Debug, cache.name(), text);
    let (of_registry, of_target) = (packages.clone(), packages);
    cache.selections[REGISTRY].refine(Filter::new(move |path| {
        names(path).is_some_and(|names| of_registry.is_stale_download(&names))
    }));
    cache.selections[TARGET].refine(Filter::new(move |path| {
        names(path).is_some_and(|names| {
            if keeps_own { of_target.is_incremental(&names) } else { of_target.is_built_again(&names) }
        })
    }));
}

/// The names on the way to a path; `None` if one is not Unicode, which no name of cargo's is.
fn names(path: &Path) -> Option<Vec<&str>> {
    path.components().map(|part| part.as_os_str().to_str()).collect()
}

/// The packages of the workspace, and what was built of them.
fn packages(cache: &Cache<'_>, cancel: &CancellationToken) -> Result<CargoPackages, Fault> {
    let mut packages = CargoPackages::default();
    let roots = cache.roots();
    let found = TreeGlob::new(&LOCKS)?.files(cache.ctx.workspace, &roots, cache.ctx.workers, cancel)?;
    for lock in found.files {
        packages.add_lock(&read::text(&lock.location, Links::Followed, MAX_LOCK)?);
    }
    let target = &cache.selections[TARGET].root;
    // What is not there yet has built nothing.
    if let Ok(handle) = Handle::open(&link::resolved(target).unwrap_or_else(|| target.clone())) {
        add_profiles(&mut packages, &handle, &PathBuf::new(), PROFILE_DEPTH);
    }
    Ok(packages)
}

/// Adds the profiles in a directory and in those below it.
fn add_profiles(packages: &mut CargoPackages, directory: &Handle, path: &Path, depth: usize) {
    let entries = |directory: &Handle| directory.names().unwrap_or_default();
    for name in entries(directory) {
        let Ok(inner) = directory.child(&name) else { continue };
        let path = path.join(&name);
        let Ok(units) = inner.child(&OsString::from(".fingerprint")) else {
            if depth > 1 {
                add_profiles(packages, &inner, &path, depth - 1);
            }
            continue;
        };
        let profile =
            path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/");
        for unit in entries(&units) {
            for file in units.child(&unit).map(|unit| entries(&unit)).unwrap_or_default() {
                packages.add_fingerprint(&profile, &unit.to_string_lossy(), &file.to_string_lossy());
            }
        }
    }
}
