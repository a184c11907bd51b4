//! Objects from mirrors, each verified before it enters.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use super::mirrors;
use super::prover::{Prover, gateways};
use crate::command::cache::Cache;
use crate::command::context::Deadline;
use crate::domain::digest::{CidCodec, ObjectId};
use crate::domain::event::{Meter, Phase};
use crate::domain::fault::Fault;
use crate::domain::gate::GateReport;
use crate::domain::outcome::MirrorUse;
use crate::objects::merge::Merger;
use crate::transport::http::retry::Clock;
use crate::transport::mirror::{FetchReport, MirrorFetch, MirrorSettings};

/// The objects that mirrors delivered.
#[derive(Debug, Default)]
pub(super) struct FetchSummary {
    /// Objects that entered.
    pub(super) objects: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// What each mirror did.
    pub(super) mirrors: Vec<MirrorUse>,
    /// Why no mirror delivered an object.
    pub(super) reasons: BTreeMap<ObjectId, String>,
    /// What ended it early.
    pub(super) stopped: Option<String>,
}

impl FetchSummary {
    /// The summary of a fetch, without the reasons for missing objects.
    fn of(report: &FetchReport) -> Self {
        FetchSummary {
            objects: report.fetched.len() as u64,
            bytes: report.fetched.iter().map(|fetched| fetched.bytes).sum(),
            mirrors: report.mirrors.clone(),
            reasons: BTreeMap::new(),
            stopped: report.stopped.as_ref().map(ToString::to_string),
        }
    }

    /// Counts an object and its bytes, or records why no mirror delivered it.
    fn note(&mut self, object: ObjectId, taken: Result<u64, String>, meter: &Meter) {
        match taken {
            Ok(bytes) => {
                self.objects += 1;
                self.bytes += bytes;
                meter.add_items(1);
            }
            Err(reason) => drop(self.reasons.insert(object, reason)),
        }
    }
}

/// Fetches and merges the objects that the report lists as missing. What was fetched is kept, whatever ends the work.
pub(super) fn fetch_missing(
    cache: &Cache<'_>,
    report: &GateReport,
    deadline: &Deadline,
) -> Result<FetchSummary, Fault> {
    let ctx = cache.ctx;
    let layout = cache.layout().expect("asked for only with a layout");
    let mirrors = mirrors::usable(cache);
    let client = ctx.http_client()?;
    let temp = cache.temporary("fetching for")?;
    let clock = Clock::starting_at(ctx.now);
    let settings = MirrorSettings::default();
    let prover = Arc::new(Prover {
        client: client.clone(),
        gateways: gateways(&mirrors),
        runtime: ctx.runtime.clone(),
        clock,
        deadline: Instant::now() + ctx.timeout,
        cancel: deadline.cancel.clone(),
        root: cache.root().to_owned(),
        temp: temp.payload().to_owned(),
        sequence: AtomicU64::default(),
    });
    let merger =
        Arc::new(Merger::new(cache.root(), layout, temp.payload(), cache.verified(), &deadline.cancel));
    let running = ctx.start(cache.name(), Phase::Fetch);
    let lacks = report.missing.iter().chain(&report.unproven).map(|lack| &lack.object);
    // What is there and lacks only a proof need not come again.
    let wanted: Vec<ObjectId> =
        lacks.filter(|object| !prover.proves_in_place(layout, object)).cloned().collect();
    let accept = {
        let (merger, prover) = (Arc::clone(&merger), Arc::clone(&prover));
        move |object: &ObjectId, file: &Path| prover.take(&merger, object, file)
    };
    let job = MirrorFetch {
        client: &client,
        mirrors: &mirrors,
        settings: &settings,
        temp: temp.payload(),
        accept: Arc::new(accept),
        clock,
        cancel: &deadline.cancel,
        meter: &running.meter,
    };
    let fetched = ctx.runtime.block_on(job.run(wanted));
    let mut summary = FetchSummary::of(&fetched);
    for missing in fetched.missing {
        let why = with_mirrors(&summary.mirrors, &missing.reasons);
        let is_tree = matches!(missing.object.cid(), Some((CidCodec::DagPb, _)));
        let taken = if is_tree && summary.stopped.is_none() {
            let taken = prover.take_as_car(&merger, &missing.object, settings.largest_object);
            taken.map_err(|reason| format!("{why}; as a CAR: {reason}"))
        } else {
            Err(why)
        };
        summary.note(missing.object, taken, &running.meter);
    }
    temp.close()?;
    Ok(summary)
}

/// Each reason with the mirror that it is about; the same ones together.
fn with_mirrors(mirrors: &[MirrorUse], reasons: &[String]) -> String {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (used, reason) in mirrors.iter().zip(reasons) {
        by_reason.entry(reason).or_default().push(&used.mirror);
    }
    let texts: Vec<String> =
        by_reason.into_iter().map(|(reason, mirrors)| format!("{}: {reason}", mirrors.join(", "))).collect();
    if texts.is_empty() { "no mirror can be asked".to_owned() } else { texts.join("; ") }
}
