//! What every command works with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::interrupt::Interrupt;
use crate::domain::event::{Details, Event, Level, Observer, Phase, Running};
use crate::domain::freeable::Freed;
use crate::domain::quota::Quota;
use crate::domain::retention::Policy;
use crate::domain::scope::Access;
use crate::domain::spec::{CacheSpec, DiskPolicy};
use crate::domain::trust::Grants;
use crate::domain::unit::SizeOrShare;
use crate::fs::records::Records;
use crate::fs::volume::{Volume, volume_of};
use crate::github::credentials::NoCredentials;
use crate::platform::{Env, Platform};
use crate::store::{JobStore, Store, StoreError, StoreErrorKind, SurveyRequest};
use crate::threads::executor::Executor;
use crate::transport::http::client::{Client, ClientError, Timeouts};

/// The time limit for housekeeping of the store; the next start goes on.
const HOUSEKEEPING: Duration = Duration::from_secs(30);

/// A job: its caches, its directories, its store, and its observer.
pub(crate) struct Context<'a> {
    /// The caches to work on.
    pub caches: &'a [CacheSpec],
    /// What is kept free.
    pub disk: &'a DiskPolicy,
    /// The quota of the store, if it has one.
    pub quota: Option<Quota>,
    /// Which entries `clean` deletes, and which nothing does.
    pub clean: &'a Policy,
    /// The checkout.
    pub workspace: &'a Path,
    /// What `{temp}` means.
    pub temp: &'a Path,
    /// Values of `{var.NAME}`.
    pub variables: &'a BTreeMap<String, String>,
    /// The environment, for `{env.NAME}`.
    pub env: &'a Env,
    /// Where this runs.
    pub platform: &'a dyn Platform,
    /// The ref of the job, for `{ref}`.
    pub git_ref: Option<&'a str>,
    /// Who may read and write what.
    pub access: &'a Access,
    /// What the event and the workflow let the job do with its configuration.
    pub grants: &'a Grants,
    /// Where publications are recorded.
    pub records: Records,
    /// Where entries live.
    pub store: JobStore<'a>,
    /// Why nothing is saved, where the job has no store but a directory that ends with it.
    pub keeps_nothing: Option<&'a NoCredentials>,
    /// The volumes that the job works on, as they were when it began to.
    pub volumes: Mutex<Vec<Volume>>,
    /// What was removed for room so far.
    pub freed: Mutex<Vec<Freed>>,
    /// Whether something had no room beside the reserve.
    pub room_was_short: AtomicBool,
    /// Where events go.
    pub observer: Arc<dyn Observer>,
    /// Signals that ask the job to stop.
    pub interrupt: &'a Interrupt,
    /// Has signals cancel the work; `None` where they do.
    pub listen_later: Option<&'a (dyn Fn() + Sync)>,
    /// The runtime of asynchronous work.
    pub runtime: Executor,
    /// The time at which the process started.
    pub now: DateTime<Utc>,
    /// The same by the clock of durations, a moment later.
    pub started: Instant,
    /// Threads that pack, unpack and verify.
    pub workers: usize,
    /// The time limit for one cache.
    pub timeout: Duration,
    /// Whether standard output carries the outcome as JSON, and nothing else may.
    pub stdout_is_json: bool,
}

impl Context<'_> {
    /// Where entries live; see [`StoreChoice`](crate::store::StoreChoice) for what it is. The store is opened when it is first used.
    pub(crate) fn store(&self) -> &dyn Store {
        &**self.store.get()
    }

    /// The store, the state that outlives a command, and records of publications. They need not exist.
    pub(crate) fn own_places(&self) -> Vec<PathBuf> {
        let facts = self.platform.facts();
        let records = facts.record_dirs.iter().filter_map(|directory| directory.parent());
        let places = [facts.store_dir.as_path(), facts.state_dir.as_path()];
        let mut all: Vec<PathBuf> = self
            .store
            .choice
            .directory()
            .into_iter()
            .chain(places)
            .chain(records)
            .map(Path::to_owned)
            .collect();
        all.sort();
        all.dedup();
        all
    }

    /// Measures the volume of a place that the job works on, unless it is known.
    pub(crate) fn note_volume(&self, place: &Path) {
        // A volume that cannot be measured is left out of a table, and that is all.
        let Ok(volume) = volume_of(place) else { return };
        let mut known = self.volumes.lock().unwrap_or_else(PoisonError::into_inner);
        if known.iter().all(|other| other.id != volume.id) {
            known.push(volume);
        }
    }

    /// The volumes that were measured, in the order in which they were.
    pub(crate) fn measured_volumes(&self) -> Vec<Volume> {
        self.volumes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what was removed for room, for the outcome of the job.
    pub(crate) fn note_freed(&self, freed: &[Freed]) {
        self.freed.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(freed);
    }

    /// Logs a message about a cache.
    pub(crate) fn report(&self, level: Level, cache: &str, text: impl Into<String>) {
        self.report_with_hint(level, cache, text, None);
    }

    /// Logs a message about a cache, with a hint.
    pub(crate) fn report_with_hint(
        &self,
        level: Level,
        cache: &str,
        text: impl Into<String>,
        hint: Option<String>,
    ) {
        let cache = Some(cache.to_owned());
        self.observer.observe(Event::Message { level, cache, text: text.into(), hint });
    }

    /// Logs a message about the job.
    pub(crate) fn report_about_job(&self, level: Level, text: impl Into<String>) {
        self.observer.observe(Event::Message { level, cache: None, text: text.into(), hint: None });
    }

    /// Logs a message about the job, with a hint.
    pub(crate) fn report_about_job_with_hint(
        &self,
        level: Level,
        text: impl Into<String>,
        hint: Option<String>,
    ) {
        self.observer.observe(Event::Message { level, cache: None, text: text.into(), hint });
    }

    /// Hands a command of the platform's to its log.
    pub(crate) fn command_line(&self, line: String) {
        self.observer.observe(Event::Command(line));
    }

    /// A client that tells its requests and retries to the log.
    pub(crate) fn http_client(&self) -> Result<Client, ClientError> {
        let details = Details::to(Arc::clone(&self.observer));
        Client::new(Timeouts::default()).map(|client| client.with_details(details))
    }

    /// Waits for the store, until the deadline.
    pub(crate) fn wait<T, E: From<StoreError>>(
        &self,
        deadline: &Deadline,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.runtime.block_on(async {
            tokio::select! {
                // After the deadline nothing is started.
                biased;
                () = deadline.cancel.cancelled() => Err(self.stopped(deadline).into()),
                result = work => result,
            }
        })
    }

    /// A survey of a catalog, of one pull request or of everything.
    pub(crate) fn survey_request(&self, only_pull_request: Option<u64>) -> SurveyRequest {
        let default_branch = self.access.readable.last().unwrap_or(&self.access.own).clone();
        SurveyRequest { now: self.now, default_branch, only_pull_request }
    }

    /// Why a wait ended before its work did.
    fn stopped(&self, deadline: &Deadline) -> StoreError {
        let kind = match self.interrupt.signal() {
            Some(_) => StoreErrorKind::Interrupted,
            None => StoreErrorKind::TimedOut,
        };
        StoreError::new(kind, deadline.reason(self.interrupt).unwrap_or_else(|| "cancelled".to_owned()))
    }

    /// Waits for housekeeping of the store, for a short while.
    pub(crate) fn wait_for_store<T, E: From<StoreError>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let limit = self.timeout.min(HOUSEKEEPING);
        self.runtime.block_on(async {
            let given_up = |_| {
                let message = format!("given up after {} s", limit.as_secs());
                Err(StoreError::new(StoreErrorKind::TimedOut, message).into())
            };
            tokio::time::timeout(limit, work).await.unwrap_or_else(given_up)
        })
    }

    /// Announces long work on a cache; it ends when the returned value is dropped.
    pub(crate) fn start(&self, cache: &str, phase: Phase) -> Running<'_> {
        Running::start(&*self.observer, cache, phase)
    }

    /// Groups log lines until the returned value is dropped.
    pub(crate) fn group(&self, title: &str) -> LogGroup<'_> {
        self.observer.observe(Event::GroupStarted(title.to_owned()));
        LogGroup(&*self.observer)
    }

    /// What stays free on every volume.
    pub(crate) fn reserve(&self) -> SizeOrShare {
        self.disk.reserve
    }

    /// A token that is cancelled by an interruption or when the time for one cache is over, which [`Deadline::reason`] tells apart; the
    /// guard ends the watch.
    pub(crate) fn deadline(&self) -> Deadline {
        let cancel = self.interrupt.cancel.child_token();
        let (token, timeout) = (cancel.clone(), self.timeout);
        if timeout.is_zero() {
            cancel.cancel();
        }
        let watch = self.runtime.spawn(async move {
            tokio::time::sleep(timeout).await;
            token.cancel();
        });
        Deadline { cancel, watch, timeout }
    }
}

/// Ends a group of messages when dropped.
pub(crate) struct LogGroup<'a>(&'a dyn Observer);

impl Drop for LogGroup<'_> {
    fn drop(&mut self) {
        self.0.observe(Event::GroupFinished);
    }
}

/// The time that is left for a cache: a token for its work, cancelled when it is over or by an interruption. Dropping this ends the watch.
pub(crate) struct Deadline {
    /// Cancelled when it is over, or by an interruption.
    pub cancel: CancellationToken,
    watch: tokio::task::JoinHandle<()>,
    timeout: Duration,
}

impl Deadline {
    /// Why work stopped, where this stopped it.
    pub(crate) fn reason(&self, interrupt: &Interrupt) -> Option<String> {
        if interrupt.signal().is_some() {
            Some("interrupted".to_owned())
        } else if self.cancel.is_cancelled() {
            Some(format!("given up after {} s, the time for one cache", self.timeout.as_secs()))
        } else {
            None
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.watch.abort();
    }
}
