//! The Markdown that cleaning leaves for a summary, as the documents show it.
//!
//! `CACHEKEEP_BLESS=1 cargo test --test it clean::summary_page` writes it again.

use std::fs;
use std::path::Path;

use cachekeep::domain::clean::{CleanOutcome, End};
use cachekeep::domain::scope::Scope;
use cachekeep::parts::clean_summary as clean;
use cachekeep::store::{Catalog as _, SurveyRequest};

use super::catalog::catalog_of;
use super::{NIGHTLY, now, setup, sweep};

/// What `cachekeep clean --dry-run` finds out and writes.
fn dry_run() -> String {
    let (api, _project) = setup(NIGHTLY);
    sweep::populate(&mut api.world());
    let policy =
        cachekeep::parts::parse(NIGHTLY, Path::new("cachekeep.toml")).expect("a configuration").spec.clean;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let _entered = runtime.enter();
    let target = catalog_of(&api);
    let default_branch = Scope::new("main").expect("a ref");
    let request = SurveyRequest { now: now(), default_branch, only_pull_request: None };
    let survey = runtime.block_on(target.survey(&request)).expect("a survey");
    let outcome = CleanOutcome {
        by_hand: false,
        // As it would be on github.com.
        location: target.location().replace(" at 127.0.0.1", ""),
        plan: policy.plan(&survey.facts),
        rounds: Vec::new(),
        end: End::DryRun,
        calls: target.calls(),
        notes: survey.notes,
        swept: None,
    };
    clean::markdown(&outcome)
}

#[test]
fn the_summary_in_the_documents_is_what_cleaning_writes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples/clean-summary.md");
    let made = dry_run();
    if std::env::var_os("CACHEKEEP_BLESS").is_some() {
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, &made).expect("written");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/examples/clean-summary.md is not current: CACHEKEEP_BLESS=1 cargo test --test it clean::summary_page"
    );
}
