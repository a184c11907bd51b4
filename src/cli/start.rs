//! A command started: with the runtime of asynchronous code, signals that end it, and what it works with.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use chrono::{DateTime, Utc};

use super::args::{Args, Command};
use super::exit::{self, Exit};
use super::site::Site;
use super::{signals, table};
use crate::command::child::ChildCommand;
use crate::command::context::Context;
use crate::command::interrupt::Interrupt;
use crate::command::script::CommandLine;
use crate::domain::event::{Event, Level, Observer};
use crate::domain::fault::Fault;
use crate::domain::quota::Quota;
use crate::domain::spec::StoreLocation;
use crate::domain::unit::ByteSize;
use crate::fs::records::Records;
use crate::platform::{Env, limits};
use crate::report::stderr::print_line;
use crate::report::{Log, failure};
use crate::store::{JobStore, OpenOptions, StoreChoice};
use crate::threads::contain::contain;
use crate::threads::executor::{Executor, NO_DESCRIPTORS, Owner};

/// Bytes of address space below which `run` does nothing for its caches: memory that cannot be had ends the process, and the
/// command would not run. The worst archive needs half of it.
const LEAST_MEMORY: u64 = 512 << 20;

/// Bytes of address space below which no threads are started: each has a heap of its own, of at least 64 MiB.
const MEMORY_FOR_THREADS: u64 = 4 << 30;

/// Runs a command where everything that it needs was found.
pub(super) fn run(args: &Args, on_caches: bool, site: &Site<'_>, interrupt: &Arc<Interrupt>) -> Exit {
    for warning in &site.settings.warnings {
        site.report(Level::Warning, warning.body(), None);
    }
    let runtime = match start(&args.command) {
        Ok(runtime) => runtime,
        Err(reason) => {
            site.report(Level::Error, format!("cannot start: {reason}"), None);
            let command = args.command.child();
            return without_caches(command.as_ref(), site.env, site.now, interrupt, args.common.json);
        }
    };
    let executor = runtime.executor();
    let listen_later = || listen(site, executor, interrupt);
    // Without threads signals are noticed only while work waits: until then, their default is better.
    let listen_now = executor.has_threads();
    if listen_now {
        listen(site, executor, interrupt);
    } else {
        site.report(Level::Debug, "few threads can be had here: the work is done by one".to_owned(), None);
    }
    site.report_findings(on_caches, args.command.child().is_some());
    let mut ctx = context(site, executor, interrupt, args.common.json);
    ctx.listen_later = (!listen_now).then_some(&listen_later);
    let exit = table::execute(&args.command, site, &ctx).unwrap_or_else(|fault| refuse(&site.log, &fault));
    match interrupt.signal() {
        // What the command of `run` made of the signal counts, if it ran.
        Some(signal) if exit == exit::OK => Exit::by_signal(signal),
        _ => exit,
    }
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

/// Reports why a command came to no outcome.
pub(super) fn refuse(log: &Log, fault: &Fault) -> Exit {
    let (text, hint) = (failure::chain(fault), fault.hint());
    log.observe(Event::Message { level: Level::Error, cache: None, text, hint });
    Exit::of_fault(fault)
}

/// Has signals cancel the work.
fn listen(site: &Site<'_>, executor: &Executor, interrupt: &Arc<Interrupt>) {
    // Panics without descriptors for it.
    let listening = contain(|| signals::listen(executor, interrupt));
    if let Err(error) = listening.unwrap_or_else(|_| Err(std::io::Error::other(NO_DESCRIPTORS))) {
        site.report(Level::Warning, format!("signals end this program at once: {error}"), None);
    }
}

/// What a command works with, where everything that it needs was found.
pub(super) fn context<'a>(
    site: &'a Site<'_>,
    executor: &Executor,
    interrupt: &'a Interrupt,
    stdout_is_json: bool,
) -> Context<'a> {
    let settings = &site.settings;
    let observer = Arc::clone(&site.log) as Arc<dyn Observer>;
    let options = OpenOptions {
        time_limit: settings.timeout,
        cancel: interrupt.cancel.clone(),
        now: site.now,
        observer: Some(Arc::clone(&observer)),
    };
    let ctx = Context {
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
        store: JobStore::new(&site.store, options),
        keeps_nothing: site.keeps_nothing(),
        volumes: Mutex::default(),
        freed: Mutex::default(),
        room_was_short: AtomicBool::default(),
        observer,
        interrupt,
        listen_later: None,
        runtime: executor.clone(),
        now: site.now,
        started: Instant::now(),
        workers: if memory() < MEMORY_FOR_THREADS { 0 } else { settings.workers },
        timeout: settings.timeout,
        stdout_is_json,
    };
    let staging = site.template.as_ref().and_then(|template| template.staging.as_deref());
    for place in [Some(ctx.workspace), Some(ctx.temp), staging, site.store.directory()].into_iter().flatten()
    {
        ctx.note_volume(place);
    }
    ctx
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

/// The exit of a command that cannot do its work. The command of `run` is run even so, unless it was already.
pub(super) fn without_caches(
    command: Option<&CommandLine>,
    env: &Env,
    now: DateTime<Utc>,
    interrupt: &Interrupt,
    stdout_is_json: bool,
) -> Exit {
    let Some(command) = command else { return exit::FAILED };
    if let Some(child) = interrupt.end() {
        return Exit::of_child(child);
    }
    // Stopped, or lost while it ran.
    if interrupt.signal().is_some() || interrupt.child().is_some() {
        return exit::FAILED;
    }
    let report = |level, text: String| {
        let level = if level == Level::Error { "error" } else { "warning" };
        print_line(&format!("{level}: {text}"));
    };
    let command = match command.prepare(&env.temp_dir, now) {
        Ok(command) => command,
        Err(fault) => {
            report(Level::Error, failure::chain(&fault));
            return Exit::of_fault(&fault);
        }
    };
    report(Level::Warning, "the command is run without its caches".to_owned());
    let child = ChildCommand {
        words: &command.words,
        tail: command.tail.as_deref(),
        env,
        variables: &[],
        stdout_is_taken: stdout_is_json,
    };
    Exit::of_child(child.run(interrupt, None, &report))
}
