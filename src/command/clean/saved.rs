//! Plans in files: written to be looked at, read back to be carried out.

use std::path::Path;

use chrono::{DateTime, Utc};

use crate::domain::fault::Fault;
use crate::domain::hint::Class;
use crate::domain::retention::Plan;
use crate::fs::atomic;
use crate::fs::open::Links;
use crate::fs::read;
use crate::report::json;
use crate::report::json::plan::PlanDocument;

/// A plan of a million entries is smaller.
const MAX_BYTES: u64 = 2 << 30;

/// Saves a plan for a store.
pub(super) fn write(path: &Path, plan: &Plan, store: &str, now: DateTime<Utc>) -> Result<(), Fault> {
    let text = json::render(&PlanDocument::of(plan, store));
    atomic::write(path, text.as_bytes(), now)
        .map_err(|why| Fault::from(why).in_context("the plan is not saved"))
}

/// Reads a plan for this store.
pub(super) fn read(path: &Path, store: &str) -> Result<Plan, Fault> {
    let text = read::text(path, Links::Followed, MAX_BYTES).map_err(|why| why.with_class(Class::Usage))?;
    let invalid = |why: Fault| {
        Fault::usage(format!("`{}`", path.display()))
            .caused_by(why)
            .with_hint("write plans with `cachekeep clean --plan-out FILE`".to_owned())
    };
    let document = PlanDocument::parse(&text).map_err(invalid)?;
    if document.store() != store {
        let planned = document.store();
        return Err(Fault::usage(format!("`{}` is a plan for {planned}, not for {store}", path.display())));
    }
    document.plan().map_err(invalid)
}
