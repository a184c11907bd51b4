//! What a command works with: the runtime of asynchronous code, and the job.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use super::args::Command;
use super::site::Site;
use crate::command::context::Context;
use crate::command::interrupt::Interrupt;
use crate::domain::event::Observer;
use crate::domain::quota::Quota;
use crate::domain::spec::StoreLocation;
use crate::domain::unit::ByteSize;
use crate::fs::records::Records;
use crate::platform::limits;
use crate::store::StoreChoice;
use crate::threads::executor::{Executor, Owner};

/// Bytes of address space below which `run` does nothing for its caches: memory that cannot be had ends the process, and the
/// command would not run. The worst archive needs half of it.
const LEAST_MEMORY: u64 = 512 << 20;

/// Bytes of address space below which no threads are started: each has a heap of its own, of at least 64 MiB.
const MEMORY_FOR_THREADS: u64 = 4 << 30;

/// What a command works with, where everything that it needs was found.
pub(super) fn context<'a>(
    site: &'a Site<'_>,
    executor: &Executor,
    interrupt: &'a Interrupt,
    stdout_is_json: bool,
) -> Context<'a> {
    let settings = &site.settings;
    Context {
        caches: &settings.spec.caches,
        disk: &settings.spec.disk,
        quota: quota(site),
        clean: &settings.spec.clean,
        workspace: &settings.workspace,
        temp: &settings.temp,
        variables: &settings.variables,
        env: site.env,
        platform: site.platform.as_ref(),
        git_ref: settings.git_ref.as_deref(),
        access: &site.access,
        grants: &settings.grants,
        records: Records::in_directories(site.platform.facts().record_dirs.clone()),
        store: &site.store,
        opened: OnceLock::new(),
        keeps_nothing: site.keeps_nothing(),
        freed: Mutex::default(),
        room_was_short: AtomicBool::default(),
        observer: Arc::clone(&site.log) as Arc<dyn Observer>,
        interrupt,
        listen_later: None,
        runtime: executor.clone(),
        now: site.now,
        started: Instant::now(),
        workers: if memory() < MEMORY_FOR_THREADS { 0 } else { settings.workers },
        timeout: settings.timeout,
        stdout_is_json,
    }
}

/// The quota of the store: what is set, or the default of the directory that is used where no store is named.
fn quota(site: &Site<'_>) -> Option<Quota> {
    let spec = &site.settings.spec;
    let set = spec.quota.map(|limit| Quota { limit, is_default: false });
    match site.store.innermost() {
        StoreChoice::Directory { .. } if spec.store == StoreLocation::Auto => {
            Some(set.unwrap_or_else(Quota::of_unnamed_store))
        }
        StoreChoice::Directory { .. } | StoreChoice::Objects { .. } => set,
        _ => None,
    }
}

/// Bytes of address space that this process may have.
fn memory() -> u64 {
    limits::address_space().unwrap_or(u64::MAX)
}

/// Starts the runtime; the error says why nothing is done for caches.
pub(super) fn start(command: &Command) -> Result<Owner, String> {
    let memory = memory();
    if command.child().is_some() && memory < LEAST_MEMORY {
        return Err(format!("{} of address space may be too little", ByteSize(memory)));
    }
    let started = if memory < MEMORY_FOR_THREADS { Owner::start_without_threads() } else { Owner::start() };
    started.map_err(|error| error.to_string())
}
