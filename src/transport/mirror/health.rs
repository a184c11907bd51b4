//! The health of one mirror: a circuit breaker and what it costs to ask, as pure values: the time is a parameter.
//!
//! A mirror that keeps failing is left alone for a while, then tried with a single request, and given up after
//! some of these trials failed too. What it asks to wait is kept to.

use std::time::{Duration, Instant};

/// When a mirror is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BreakerPolicy {
    /// Failures in a row that open the circuit.
    pub failures: u32,
    /// How long it stays open at first; doubles each time.
    pub first_pause: Duration,
    /// The longest it stays open.
    pub longest_pause: Duration,
    /// How often it may open before the mirror is given up.
    pub openings: u32,
    /// Requests at once to a mirror that has not delivered yet, or failed last.
    pub cautious_requests: u32,
    /// A server that asks to wait longer than this is given up.
    pub longest_requested_wait: Duration,
}

impl Default for BreakerPolicy {
    /// Three failures, then trials after 2, 4 and 8 seconds: a dead mirror is asked about six times.
    fn default() -> Self {
        BreakerPolicy {
            failures: 3,
            first_pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(30),
            openings: 4,
            cautious_requests: 2,
            longest_requested_wait: Duration::from_mins(2),
        }
    }
}

/// Whether a mirror may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Availability {
    /// Now.
    Ready,
    /// When one of the requests to it has ended.
    Busy,
    /// Not before this time.
    Until(Instant),
    /// Never again in this run.
    GivenUp,
}

/// How a request to a mirror ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestEnding {
    /// With the right bytes.
    Delivered,
    /// It works and has no such object.
    Missing,
    /// It is rate limited, for this long if the server gives a time.
    RateLimited(Option<Duration>),
    /// With nothing usable: no connection, an error, wrong bytes.
    Failed,
    /// Another mirror was faster; `idle` where this one had not sent a byte.
    LostRace {
        /// Whether no byte had arrived.
        idle: bool,
    },
    /// It was not wanted any more.
    Cancelled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Circuit {
    Closed,
    Open { until: Instant },
    Trial,
    GivenUp,
}

/// What is known of a mirror.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    policy: BreakerPolicy,
    circuit: Circuit,
    failures: u32,
    openings: u32,
    not_before: Option<Instant>,
    limited: u32,
    in_flight: u32,
    requests: u64,
    delivered: u64,
    ended: u64,
    mean_seconds: Option<f64>,
}

/// What is assumed of a mirror before it has answered, so that each is tried early.
const ASSUMED_SECONDS: f64 = 0.1;

/// The weight of the newest request in the mean.
const NEWEST: f64 = 0.2;

impl Health {
    /// A mirror that was not asked yet.
    pub(crate) fn new(policy: BreakerPolicy) -> Self {
        Health {
            policy,
            circuit: Circuit::Closed,
            failures: 0,
            openings: 0,
            not_before: None,
            limited: 0,
            in_flight: 0,
            requests: 0,
            delivered: 0,
            ended: 0,
            mean_seconds: None,
        }
    }

    /// Requests that were begun.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Objects that came right.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Whether it may be asked now.
    pub(crate) fn availability(&self, now: Instant) -> Availability {
        let waits = self.not_before.filter(|time| *time > now);
        match self.circuit {
            Circuit::GivenUp => return Availability::GivenUp,
            Circuit::Open { until } if until > now => {
                return Availability::Until(waits.map_or(until, |time| time.max(until)));
            }
            _ => {}
        }
        if let Some(time) = waits {
            return Availability::Until(time);
        }
        let room = match self.circuit {
            Circuit::Closed if self.delivered > 0 && self.failures == 0 && self.limited == 0 => true,
            Circuit::Closed => self.in_flight < self.policy.cautious_requests,
            // What is left from before the circuit opened must not keep the trial waiting.
            Circuit::Open { .. } => true,
            Circuit::Trial | Circuit::GivenUp => false,
        };
        if room { Availability::Ready } else { Availability::Busy }
    }

    /// What one more request is expected to cost, in seconds for each object that it brings.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn cost(&self) -> f64 {
        let hits = (self.delivered + 1) as f64 / (self.ended + 1) as f64;
        self.mean_seconds.unwrap_or(ASSUMED_SECONDS) * f64::from(self.in_flight + 1) / hits
    }

    /// Counts a request that begins; if the mirror was left alone after failures, this one is the trial. Only where it is [`Availability::Ready`].
    pub(crate) fn begin(&mut self) {
        self.in_flight += 1;
        self.requests += 1;
        if matches!(self.circuit, Circuit::Open { .. }) {
            self.circuit = Circuit::Trial;
        }
    }

    /// A request ended after this time.
    pub(crate) fn end(&mut self, now: Instant, took: Duration, ending: RequestEnding) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if ending == RequestEnding::Cancelled {
            // A trial that was cancelled is repeated.
            if self.circuit == Circuit::Trial {
                self.circuit = Circuit::Open { until: now };
            }
            return;
        }
        self.ended += 1;
        let mean = self.mean_seconds.get_or_insert(took.as_secs_f64());
        *mean += NEWEST * (took.as_secs_f64() - *mean);
        match ending {
            RequestEnding::Delivered | RequestEnding::Missing | RequestEnding::LostRace { idle: false } => {
                self.delivered += u64::from(ending == RequestEnding::Delivered);
                self.failures = 0;
                self.limited = 0;
                if self.circuit == Circuit::Trial {
                    self.circuit = Circuit::Closed;
                }
            }
            RequestEnding::RateLimited(wait) => self.limit(now, wait),
            RequestEnding::Failed | RequestEnding::LostRace { idle: true } => self.fail(now),
            RequestEnding::Cancelled => {}
        }
    }

    /// A rate limit is an answer, not a failure; if it comes without a time, the waits double.
    fn limit(&mut self, now: Instant, wait: Option<Duration>) {
        if self.circuit == Circuit::Trial {
            self.circuit = Circuit::Closed;
        }
        let wait = wait.unwrap_or_else(|| self.pause(self.limited));
        self.limited += 1;
        if wait > self.policy.longest_requested_wait {
            self.circuit = Circuit::GivenUp;
        }
        let until = now + wait;
        self.not_before = Some(self.not_before.map_or(until, |time| time.max(until)));
    }

    fn fail(&mut self, now: Instant) {
        self.failures += 1;
        let opens = match self.circuit {
            Circuit::Trial => true,
            Circuit::Closed => self.failures >= self.policy.failures,
            // Stragglers from before it opened.
            Circuit::Open { .. } | Circuit::GivenUp => false,
        };
        if opens {
            self.openings += 1;
            self.circuit = if self.openings >= self.policy.openings {
                Circuit::GivenUp
            } else {
                Circuit::Open { until: now + self.pause(self.openings - 1) }
            };
        }
    }

    fn pause(&self, doublings: u32) -> Duration {
        self.policy.first_pause.saturating_mul(1 << doublings.min(20)).min(self.policy.longest_pause)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn run(health: &mut Health, now: Instant, ending: RequestEnding) {
        assert_eq!(health.availability(now), Availability::Ready);
        health.begin();
        health.end(now, SECOND, ending);
    }

    #[test]
    fn a_dead_mirror_is_asked_a_few_times_at_growing_distances_and_given_up() {
        let mut health = Health::new(BreakerPolicy::default());
        let mut now = Instant::now();
        for _ in 0..3 {
            run(&mut health, now, RequestEnding::Failed);
        }
        for pause in [2, 4, 8] {
            assert_eq!(health.availability(now), Availability::Until(now + pause * SECOND));
            now += pause * SECOND;
            run(&mut health, now, RequestEnding::Failed);
        }
        assert_eq!(health.availability(now + 1000 * SECOND), Availability::GivenUp);
        assert_eq!(health.requests(), 6);
    }

    #[test]
    fn a_trial_is_one_request_and_closes_the_circuit_when_it_succeeds() {
        let mut health = Health::new(BreakerPolicy::default());
        let now = Instant::now();
        for _ in 0..3 {
            run(&mut health, now, RequestEnding::Failed);
        }
        let later = now + 2 * SECOND;
        health.begin();
        assert_eq!(health.availability(later), Availability::Busy);
        health.end(later, SECOND, RequestEnding::Cancelled);
        run(&mut health, later, RequestEnding::Delivered);
        for _ in 0..20 {
            assert_eq!(health.availability(later), Availability::Ready);
            health.begin();
        }
    }

    #[test]
    fn an_unproven_mirror_gets_few_requests_at_once() {
        let mut health = Health::new(BreakerPolicy::default());
        let now = Instant::now();
        health.begin();
        health.begin();
        assert_eq!(health.availability(now), Availability::Busy);
        health.end(now, SECOND, RequestEnding::Missing);
        assert_eq!(health.availability(now), Availability::Ready);
    }

    #[test]
    fn what_a_mirror_asks_to_wait_is_waited() {
        let mut health = Health::new(BreakerPolicy::default());
        let now = Instant::now();
        health.begin();
        health.begin();
        health.end(now, SECOND, RequestEnding::RateLimited(Some(7 * SECOND)));
        health.end(now, SECOND, RequestEnding::RateLimited(Some(3 * SECOND)));
        assert_eq!(health.availability(now + 6 * SECOND), Availability::Until(now + 7 * SECOND));
        let mut later = now + 7 * SECOND;
        run(&mut health, later, RequestEnding::Delivered);
        for pause in [2, 4, 8] {
            run(&mut health, later, RequestEnding::RateLimited(None));
            assert_eq!(health.availability(later), Availability::Until(later + pause * SECOND));
            later += pause * SECOND;
        }
        run(&mut health, later, RequestEnding::RateLimited(Some(500 * SECOND)));
        assert_eq!(health.availability(later), Availability::GivenUp);
    }

    #[test]
    fn a_mirror_that_sends_nothing_fails_and_one_that_is_only_slow_does_not() {
        let now = Instant::now();
        for (idle, expect) in [(true, Availability::Until(now + 2 * SECOND)), (false, Availability::Ready)] {
            let mut health = Health::new(BreakerPolicy::default());
            for _ in 0..3 {
                run(&mut health, now, RequestEnding::LostRace { idle });
            }
            assert_eq!(health.availability(now), expect);
        }
    }

    #[test]
    fn fast_and_complete_mirrors_cost_least() {
        let now = Instant::now();
        let cost = |took: Duration, ending: RequestEnding| {
            let mut health = Health::new(BreakerPolicy::default());
            for _ in 0..10 {
                health.begin();
                health.end(now, took, ending);
            }
            health.cost()
        };
        assert!(cost(SECOND / 10, RequestEnding::Delivered) < cost(SECOND, RequestEnding::Delivered));
        assert!(cost(SECOND / 10, RequestEnding::Delivered) < cost(SECOND / 20, RequestEnding::Missing));
    }

    proptest! {
        #[test]
        fn requests_to_a_mirror_that_never_delivers_are_few(endings in prop::collection::vec(0u8..3, 0..200)) {
            let mut health = Health::new(BreakerPolicy::default());
            let mut now = Instant::now();
            for ending in endings {
                match health.availability(now) {
                    Availability::Until(time) => now = time,
                    Availability::GivenUp => break,
                    Availability::Ready | Availability::Busy => {}
                }
                prop_assert_eq!(health.availability(now), Availability::Ready);
                let ending = [RequestEnding::Failed, RequestEnding::LostRace { idle: true }, RequestEnding::Cancelled][ending as usize];
                health.begin();
                health.end(now, SECOND, ending);
                prop_assert!(health.ended <= 6);
            }
        }
    }
}
