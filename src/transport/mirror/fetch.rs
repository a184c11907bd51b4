//! Many objects from many mirrors: which mirror is asked for which object, and when another one is asked too.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt as _};
use tempfile::TempPath;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Mirror;
use super::attempt::{AttemptError, MirrorAttempt};
use super::health::{Availability, BreakerPolicy, Health, RequestEnding};
use crate::domain::digest::ObjectId;
use crate::domain::event::Meter;
use crate::domain::outcome::MirrorUse;
use crate::threads::blocking::blocking;
use crate::transport::http::attempts::{Failures, retry_in};
use crate::transport::http::client::Client;
use crate::transport::http::error::Cause;
use crate::transport::http::options::FetchOptions;
use crate::transport::http::retry::{Clock, RetryPolicy};

/// How objects are fetched.
#[derive(Debug, Clone)]
pub(crate) struct MirrorSettings {
    /// Objects that are fetched at once.
    pub workers: usize,
    /// How often one mirror is asked for one object, and how soon again.
    pub retry: RetryPolicy,
    /// How dropped connections are resumed.
    pub resume: RetryPolicy,
    /// When a mirror is left alone.
    pub breaker: BreakerPolicy,
    /// After this long without a byte, another mirror is asked for the object as well (a hedge). Where bytes arrive, the
    /// hedge waits until no other object is left to begin.
    pub hedge_after: Duration,
    /// Upper bound for the mirrors that are asked for one object at once.
    pub max_requests: usize,
    /// How long one object may take, over all mirrors and waits.
    pub object_deadline: Duration,
    /// Larger objects are refused.
    pub largest_object: u64,
}

impl Default for MirrorSettings {
    /// 16 objects at once, two tries a mirror, a hedge after 3 seconds, 15 minutes and 64 GiB an object.
    fn default() -> Self {
        MirrorSettings {
            workers: 16,
            retry: RetryPolicy { attempts: 2, ..RetryPolicy::default() },
            resume: RetryPolicy {
                attempts: 3,
                first_wait: Duration::from_millis(300),
                ..RetryPolicy::default()
            },
            breaker: BreakerPolicy::default(),
            hedge_after: Duration::from_secs(3),
            max_requests: 3,
            object_deadline: Duration::from_mins(15),
            largest_object: 64 << 30,
        }
    }
}

/// A fetch of many objects, and all that it works with.
#[derive(Clone)]
pub(crate) struct MirrorFetch<'a> {
    /// Makes the requests.
    pub client: &'a Client,
    /// The mirrors to ask; the earlier one if nothing else decides.
    pub mirrors: &'a [Mirror],
    /// How they are asked.
    pub settings: &'a MirrorSettings,
    /// A directory of the caller, where files lie until they are taken; each has a name of its own.
    pub temp: &'a Path,
    /// Verifies and takes.
    pub accept: Arc<Accept>,
    /// What time it is, for `Retry-After` dates.
    pub clock: Clock,
    /// Cancels the fetch.
    pub cancel: &'a CancellationToken,
    /// Counts received bytes and accepted objects.
    pub meter: &'a Meter,
}

impl MirrorFetch<'_> {
    /// Fetches each object from one mirror after the other into a new file and gives that to `accept`, on a blocking thread; where
    /// it is refused, the next mirror is asked. It must run on a runtime with time and I/O.
    pub(crate) async fn run(&self, objects: Vec<ObjectId>) -> FetchReport {
        let scheduler = Scheduler {
            job: self,
            // One local failure ends it for all.
            cancel: self.cancel.child_token(),
            health: Mutex::new(vec![Health::new(self.settings.breaker); self.mirrors.len()]),
            changed: Notify::new(),
            waiting: AtomicUsize::new(objects.len()),
        };
        let mut report = FetchReport { fetched: vec![], missing: vec![], mirrors: vec![], stopped: None };
        let work = futures::stream::iter(objects).map(|object| scheduler.fetch(object));
        let mut results = std::pin::pin!(work.buffer_unordered(self.settings.workers.max(1)));
        while let Some(result) = results.next().await {
            match result {
                Ok(Ok(fetched)) => report.fetched.push(fetched),
                Ok(Err(missing)) => report.missing.push(missing),
                Err(stop) => {
                    scheduler.cancel.cancel();
                    // The first reason is the true one; the others were cancelled by it.
                    report.stopped.get_or_insert(stop);
                }
            }
        }
        let health = scheduler.health();
        let judged = self.mirrors.iter().zip(health.iter());
        let used = |(mirror, health): (&Mirror, &Health)| MirrorUse {
            mirror: mirror.to_string(),
            requests: health.requests(),
            delivered: health.delivered(),
            given_up: health.availability(Instant::now()) == Availability::GivenUp,
        };
        report.mirrors = judged.map(used).collect();
        report
    }
}

/// Why a fetched file was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It is not the object: the mirror's fault, another one is asked.
    WrongContent(String),
    /// Nothing proves that it is the object: another one is asked, and this one is not blamed.
    Unproven(String),
    /// It cannot be kept here: no mirror can help.
    Local(String),
}

/// Verifies a fetched file and takes it, by renaming it away or by copying. It is called in blocking threads, for
/// one object never twice at once.
pub(crate) type Accept = dyn Fn(&ObjectId, &Path) -> Result<(), Refusal> + Send + Sync;

/// An object that was fetched and taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Which.
    pub object: ObjectId,
    /// The mirror that had it, as an index into those that were given.
    pub mirror: usize,
    /// Its bytes.
    pub bytes: u64,
}

/// An object that no mirror gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotFetched {
    /// Which.
    pub object: ObjectId,
    /// For every mirror, in the order given, why not.
    pub reasons: Vec<String>,
}

/// What ended a fetch early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    /// The user.
    #[error("interrupted")]
    Cancelled,
    /// Objects cannot be kept here.
    #[error("{}: {reason}", .path.display())]
    Local {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// The outcome of a fetch. What was taken stays taken, whatever stopped the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchReport {
    /// What was taken.
    pub fetched: Vec<Fetched>,
    /// Objects that no mirror delivered. Objects that were not reached before a stop are not listed.
    pub missing: Vec<NotFetched>,
    /// The mirrors, in the order given.
    pub mirrors: Vec<MirrorUse>,
    /// What ended it early.
    pub stopped: Option<Stop>,
}

struct Scheduler<'a> {
    job: &'a MirrorFetch<'a>,
    cancel: CancellationToken,
    health: Mutex<Vec<Health>>,
    changed: Notify,
    waiting: AtomicUsize,
}

/// The progress of one object at one mirror.
#[derive(Debug, Clone, Default)]
struct FetchProgress {
    failures: Failures,
    not_before: Option<Instant>,
    running: bool,
    received: Arc<AtomicU64>,
    exhausted: bool,
    reason: Option<String>,
}

enum MirrorChoice {
    Ask(usize),
    Wait(Option<Instant>),
    Exhausted,
}

impl Scheduler<'_> {
    fn health(&self) -> MutexGuard<'_, Vec<Health>> {
        // Health is whole after every step, also where a panic came between two.
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks mirrors for an object, the cheapest first and a further one where one is slow, until a file is accepted or all have failed.
    async fn fetch(&self, object: ObjectId) -> Result<Result<Fetched, NotFetched>, Stop> {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let deadline = Instant::now() + self.job.settings.object_deadline;
        let mut progress = vec![FetchProgress::default(); self.job.mirrors.len()];
        let mut running = FuturesUnordered::new();
        let mut hedge_at: Option<Instant> = None;
        loop {
            if self.cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            let now = Instant::now();
            let mut wake = None;
            let mut hedge =
                hedge_at.is_some_and(|at| at <= now) && running.len() < self.job.settings.max_requests;
            if hedge && self.waiting.load(Ordering::Relaxed) > 0 && is_sending(&progress) {
                hedge_at = Some(now + self.job.settings.hedge_after);
                hedge = false;
            }
            if now < deadline && (running.is_empty() || hedge) {
                match self.choose(&progress, now) {
                    MirrorChoice::Ask(mirror) => {
                        progress[mirror].running = true;
                        progress[mirror].received = Arc::default();
                        hedge_at = Some(now + self.job.settings.hedge_after);
                        let received = Arc::clone(&progress[mirror].received);
                        running.push(self.ask(mirror, object.clone(), received, deadline));
                        continue;
                    }
                    MirrorChoice::Wait(until) => wake = until,
                    MirrorChoice::Exhausted if running.is_empty() => {
                        return Ok(Err(missing(object, progress)));
                    }
                    MirrorChoice::Exhausted => {}
                }
            } else if now >= deadline && running.is_empty() {
                return Ok(Err(missing(object, progress)));
            }
            let timer = [wake, hedge_at.filter(|at| *at > now)].into_iter().flatten().min();
            let timer = timer.unwrap_or(deadline).min(deadline.max(now + Duration::from_millis(1)));
            let (mirror, ended) = tokio::select! {
                Some(ended) = running.next() => ended,
                () = tokio::time::sleep_until(timer.into()) => continue,
                () = changed => continue,
                () = self.cancel.cancelled() => return Err(Stop::Cancelled),
            };
            progress[mirror].running = false;
            // Where one of several has failed, the next takes its place at once: the wait was for an answer.
            hedge_at = if running.is_empty() { None } else { Some(Instant::now()) };
            if let Some(bytes) = self.conclude(mirror, &object, ended, &mut progress[mirror]).await? {
                self.job.meter.add_items(1);
                return Ok(Ok(Fetched { object, mirror, bytes }));
            }
        }
    }

    /// The cheapest mirror that may be asked now.
    fn choose(&self, progress: &[FetchProgress], now: Instant) -> MirrorChoice {
        let health = self.health();
        let mut best: Option<(usize, f64)> = None;
        let mut wait: Option<Option<Instant>> = None;
        let mut wait_for = |until: Option<Instant>| {
            wait = Some(match (wait, until) {
                (Some(Some(known)), Some(until)) => Some(known.min(until)),
                (Some(known), None) => known,
                (_, until) => until,
            });
        };
        for (index, at_mirror) in
            progress.iter().enumerate().filter(|(_, at_mirror)| !at_mirror.exhausted && !at_mirror.running)
        {
            if let Some(until) = at_mirror.not_before.filter(|time| *time > now) {
                wait_for(Some(until));
                continue;
            }
            match health[index].availability(now) {
                Availability::Ready => {
                    let cost = health[index].cost();
                    if best.is_none_or(|(_, least)| cost < least) {
                        best = Some((index, cost));
                    }
                }
                Availability::Busy => wait_for(None),
                Availability::Until(until) => wait_for(Some(until)),
                Availability::GivenUp => {}
            }
        }
        match (best, wait) {
            (Some((mirror, _)), _) => MirrorChoice::Ask(mirror),
            (None, Some(until)) => MirrorChoice::Wait(until),
            (None, None) => MirrorChoice::Exhausted,
        }
    }

    /// Asks one mirror, and returns which one it was.
    async fn ask(
        &self,
        mirror: usize,
        object: ObjectId,
        received: Arc<AtomicU64>,
        deadline: Instant,
    ) -> (usize, Ended<'_>) {
        let request = Request::begin(self, mirror, received);
        let source = match self.job.mirrors[mirror].source(&object) {
            Ok(source) => source,
            Err(error) => {
                return (mirror, Ended { request, result: Err(FetchFailure::Never(error.to_string())) });
            }
        };
        let attempt = MirrorAttempt {
            client: self.job.client,
            options: FetchOptions {
                retry: RetryPolicy::never(),
                deadline: Some(deadline),
                clock: self.job.clock,
                accept: None,
                digest_is_checked: true,
                cancel: self.cancel.clone(),
            },
            resume: self.job.settings.resume,
            largest: self.job.settings.largest_object,
            temp: self.job.temp,
            meter: self.job.meter,
            received: &request.received,
        };
        let result = attempt.run(&source).await.map_err(|error| match error {
            AttemptError::Mirror(error) => FetchFailure::Mirror(error.cause),
            AttemptError::Local(error) => FetchFailure::Local(error.to_string()),
        });
        (mirror, Ended { request, result })
    }

    /// Takes the file and returns its size, or records why there is none.
    async fn conclude(
        &self,
        mirror: usize,
        object: &ObjectId,
        ended: Ended<'_>,
        at_mirror: &mut FetchProgress,
    ) -> Result<Option<u64>, Stop> {
        let Ended { mut request, result } = ended;
        let (ending, reason) = match result {
            Ok((path, bytes)) => match self.accept(object, path).await {
                Ok(()) => {
                    request.ending = Some(RequestEnding::Delivered);
                    return Ok(Some(bytes));
                }
                Err(Refusal::Local(reason)) => {
                    return Err(Stop::Local { path: self.job.temp.to_owned(), reason });
                }
                Err(Refusal::WrongContent(reason)) => {
                    at_mirror.exhausted = true;
                    (RequestEnding::Failed, reason)
                }
                Err(Refusal::Unproven(reason)) => {
                    at_mirror.exhausted = true;
                    (RequestEnding::Missing, reason)
                }
            },
            Err(FetchFailure::Local(reason)) => {
                return Err(Stop::Local { path: self.job.temp.to_owned(), reason });
            }
            Err(FetchFailure::Never(reason)) => {
                at_mirror.exhausted = true;
                (RequestEnding::Missing, reason)
            }
            Err(FetchFailure::Mirror(Cause::Cancelled)) => return Err(Stop::Cancelled),
            Err(FetchFailure::Mirror(cause)) => {
                let reason = cause.to_string();
                (self.note_failure(&cause, at_mirror), reason)
            }
        };
        let next = match at_mirror.not_before.map(|at| at.saturating_duration_since(Instant::now())) {
            _ if at_mirror.exhausted => String::new(),
            Some(wait) if !wait.is_zero() => format!("; {}", retry_in(wait)),
            _ => "; retry when the mirror may be asked again".to_owned(),
        };
        let from = &self.job.mirrors[mirror];
        self.job.client.details().tell(format_args!("{object} from {from}: {reason}{next}"));
        at_mirror.reason = Some(reason);
        request.ending = Some(ending);
        Ok(None)
    }

    fn note_failure(&self, cause: &Cause, at_mirror: &mut FetchProgress) -> RequestEnding {
        if let Cause::RateLimited(wait) = cause {
            // The mirror's waits are kept by its health; the object may come back after each, as long as its
            // own deadline allows.
            return RequestEnding::RateLimited(*wait);
        }
        match at_mirror.failures.wait(&self.job.settings.retry, cause.verdict(), None) {
            Some(wait) => at_mirror.not_before = Some(Instant::now() + wait),
            None => at_mirror.exhausted = true,
        }
        if matches!(cause, Cause::NotFound) { RequestEnding::Missing } else { RequestEnding::Failed }
    }

    /// Hands a file over to the caller, who may refuse it.
    async fn accept(&self, object: &ObjectId, path: TempPath) -> Result<(), Refusal> {
        let (accept, object) = (Arc::clone(&self.job.accept), object.clone());
        let taken = blocking(move || accept(&object, &path)).await;
        taken.unwrap_or_else(|error| Err(Refusal::Local(error.to_string())))
    }
}

fn is_sending(progress: &[FetchProgress]) -> bool {
    progress.iter().any(|at_mirror| at_mirror.running && at_mirror.received.load(Ordering::Relaxed) > 0)
}

fn missing(object: ObjectId, progress: Vec<FetchProgress>) -> NotFetched {
    let unasked = || "not asked: it failed too often for other objects, or there was no time left".to_owned();
    let reasons = progress.into_iter().map(|at_mirror| at_mirror.reason.unwrap_or_else(unasked)).collect();
    NotFetched { object, reasons }
}

/// Why a mirror did not deliver an object.
enum FetchFailure {
    Mirror(Cause),
    Local(String),
    Never(String),
}

struct Ended<'c> {
    request: Request<'c>,
    result: Result<(TempPath, u64), FetchFailure>,
}

/// A request in flight: dropping it tells the mirror's health how it ended.
struct Request<'c> {
    scheduler: &'c Scheduler<'c>,
    mirror: usize,
    begun: Instant,
    received: Arc<AtomicU64>,
    /// `None` until it ended by itself.
    ending: Option<RequestEnding>,
}

impl<'c> Request<'c> {
    fn begin(scheduler: &'c Scheduler<'c>, mirror: usize, received: Arc<AtomicU64>) -> Self {
        scheduler.health()[mirror].begin();
        Request { scheduler, mirror, begun: Instant::now(), received, ending: None }
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let took = self.begun.elapsed();
        let idle = self.received.load(Ordering::Relaxed) == 0;
        let had_its_time =
            took >= self.scheduler.job.settings.hedge_after && !self.scheduler.cancel.is_cancelled();
        let dropped = if had_its_time { RequestEnding::LostRace { idle } } else { RequestEnding::Cancelled };
        self.scheduler.health()[self.mirror].end(Instant::now(), took, self.ending.unwrap_or(dropped));
        self.scheduler.changed.notify_waiters();
    }
}
