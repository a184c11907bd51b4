//! Tests of surveys and removals.

use std::fs;
use std::path::Path;

use chrono::DateTime;
use filetime::FileTime;

use super::*;
use crate::domain::trim::{Recency, TrimPolicy};
use crate::fs::lease::holder;

const START: i64 = 1_700_000_000;

fn now() -> DateTime<chrono::Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

/// Writes a file that was modified and read this many seconds after the start.
fn write(path: &Path, modified: i64, accessed: i64) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path, vec![1; 100_000]).expect("written");
    let time = |after| FileTime::from_unix_time(START + after, 0);
    filetime::set_file_times(path, time(accessed), time(modified)).expect("touched");
}

fn options(units: TrimUnits, recency: Recency) -> SurveyOptions<'static> {
    SurveyOptions { units, recency, never: &["stats"], now: now() }
}

fn named(survey: &Survey) -> Vec<(String, i64)> {
    let path = |path: &Path| path.display().to_string().replace(std::path::MAIN_SEPARATOR, "/");
    let unit = |unit: &TrimUnit| (path(&unit.path), unit.used_at.timestamp() - START);
    survey.units.iter().map(unit).collect()
}

fn keep(survey: Survey, max: u64) -> TrimPlan {
    let policy = TrimPolicy { max_size: Some(ByteSize(max)), ..TrimPolicy::default() };
    policy.plan(survey.units, survey.total, now())
}

fn place() -> tempfile::TempDir {
    tempfile::tempdir().expect("a place")
}

#[test]
fn files_of_all_roots_are_units_of_one_cache() {
    let place = place();
    let roots = ["a", "b"].map(|name| Selection::everything(place.path().join(name)));
    write(&place.path().join("a/old"), 1, 90);
    write(&place.path().join("a/new"), 30, 30);
    write(&place.path().join("b/deep/middle"), 20, 50);
    write(&place.path().join("b/deep/stats"), 0, 0);
    write(&place.path().join("b/CACHEDIR.TAG"), 0, 0);
    let survey = survey(&roots, &options(TrimUnits::Files, Recency::Modified)).expect("surveyed");
    assert_eq!(named(&survey), [("new".into(), 30), ("old".into(), 1), ("deep/middle".into(), 20)]);
    let total = survey.total.0;
    let one = survey.units[0].frees;
    assert_eq!(total, 4 * one, "a tag counts, and what a tool counts in does not");
    let trimmed = apply(&roots, TrimUnits::Files, keep(survey, total - one - 1), &CancellationToken::new());
    assert_eq!((trimmed.units, trimmed.files, trimmed.failed.len()), (2, 2, 0));
    assert!(place.path().join("a/new").exists() && place.path().join("b/deep/stats").exists());
    assert!(!place.path().join("a/old").exists() && !place.path().join("b/deep/middle").exists());
}

#[test]
fn recency_is_what_was_asked_for() {
    let place = place();
    let roots = [Selection::everything(place.path())];
    write(&place.path().join("x"), 1, 90);
    let used_at = |recency| {
        let survey = survey(&roots, &options(TrimUnits::Files, recency)).expect("surveyed");
        survey.units[0].used_at.timestamp() - START
    };
    assert_eq!((used_at(Recency::Modified), used_at(Recency::Accessed)), (1, 90));
}

#[test]
fn one_root_of_several_may_be_missing() {
    let place = place();
    let roots = ["a", "b"].map(|name| Selection::everything(place.path().join(name)));
    let options = options(TrimUnits::Files, Recency::Modified);
    assert!(matches!(survey(&roots, &options), Err(crate::tree::walk::WalkError::Missing(_))));
    write(&place.path().join("b/x"), 1, 1);
    assert_eq!(survey(&roots, &options).expect("surveyed").units.len(), 1);
}

#[test]
fn a_child_is_as_old_as_the_newest_file_in_it_and_goes_as_a_whole() {
    let place = place();
    let roots = [Selection::everything(place.path())];
    write(&place.path().join("run-1/log"), 5, 5);
    write(&place.path().join("run-1/deep/result"), 40, 40);
    write(&place.path().join("run-2/log"), 20, 20);
    write(&place.path().join("note"), 60, 60);
    let survey = survey(&roots, &options(TrimUnits::Children, Recency::Modified)).expect("surveyed");
    assert_eq!(named(&survey), [("note".into(), 60), ("run-1".into(), 40), ("run-2".into(), 20)]);
    assert_eq!(survey.units[1].files, 2);
    let max = survey.total.0 - 1;
    let trimmed = apply(&roots, TrimUnits::Children, keep(survey, max), &CancellationToken::new());
    assert_eq!((trimmed.units, trimmed.files), (1, 1));
    assert!(!place.path().join("run-2").exists() && place.path().join("run-1/log").exists());
}

#[test]
fn of_a_child_only_what_belongs_to_the_cache_goes() {
    let place = place();
    let roots = [Selection::everything(place.path()).without("run/mine")];
    write(&place.path().join("run/deep/cached"), 5, 5);
    write(&place.path().join("run/mine"), 5, 5);
    let survey = survey(&roots, &options(TrimUnits::Children, Recency::Modified)).expect("surveyed");
    let trimmed = apply(&roots, TrimUnits::Children, keep(survey, 1), &CancellationToken::new());
    assert_eq!((trimmed.units, trimmed.failed.len()), (1, 0));
    assert!(place.path().join("run/mine").exists() && !place.path().join("run/deep").exists());
}

#[cfg(unix)]
#[test]
fn all_names_of_a_file_are_one_unit_and_names_elsewhere_keep_its_bytes() {
    let place = place();
    let root = place.path().join("root");
    let roots = [Selection::everything(&root)];
    write(&root.join("a"), 5, 5);
    fs::hard_link(root.join("a"), root.join("b")).expect("linked");
    write(&root.join("c"), 9, 9);
    fs::hard_link(root.join("c"), place.path().join("outside")).expect("linked");
    let survey = survey(&roots, &options(TrimUnits::Files, Recency::Modified)).expect("surveyed");
    let found: Vec<_> =
        survey.units.iter().map(|unit| (unit.frees > 0, unit.is_shared, unit.also.len())).collect();
    assert_eq!(found, [(true, false, 1), (false, true, 0)]);
    assert_eq!(survey.total.0, 2 * survey.units[0].frees);
    let trimmed = apply(&roots, TrimUnits::Files, keep(survey, 1), &CancellationToken::new());
    assert_eq!((trimmed.units, trimmed.files), (1, 2));
    assert!(!root.join("a").exists() && !root.join("b").exists() && root.join("c").exists());
}

#[test]
fn what_a_process_holds_is_held() {
    let place = place();
    let roots = [Selection::everything(place.path().join("out"))];
    for name in ["run-1", "run-2"] {
        write(&place.path().join("out").join(name).join("deep/file"), 5, 5);
    }
    let held = |units| {
        let survey = survey(&roots, &options(units, Recency::Modified)).expect("surveyed");
        survey.units.iter().map(|unit| unit.held.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(held(TrimUnits::Children), [false, false]);
    for (directory, expect) in [
        ("out/run-2", [false, true]),
        ("out/run-1/deep", [true, false]),
        ("out", [true, true]),
        ("", [true, true]),
    ] {
        let lease = holder::hold(&place.path().join(directory), "make", now()).expect("held");
        assert_eq!((held(TrimUnits::Children), held(TrimUnits::Files)), (expect.to_vec(), expect.to_vec()));
        lease.close().expect("closed");
    }
    assert_eq!(held(TrimUnits::Children), [false, false]);
}

#[test]
fn what_cannot_be_removed_is_reported_and_the_rest_goes() {
    let place = place();
    let roots = [Selection::everything(place.path())];
    write(&place.path().join("a"), 1, 1);
    write(&place.path().join("b"), 2, 2);
    let survey = survey(&roots, &options(TrimUnits::Files, Recency::Modified)).expect("surveyed");
    // Another process puts a directory in the place of a file.
    fs::remove_file(place.path().join("a")).expect("removed");
    fs::create_dir(place.path().join("a")).expect("made");
    let trimmed = apply(&roots, TrimUnits::Files, keep(survey, 1), &CancellationToken::new());
    assert_eq!((trimmed.units, trimmed.failed.len()), (1, 1));
    assert!(!place.path().join("b").exists() && place.path().join("a").exists());
}

#[cfg(unix)]
#[test]
fn nothing_is_removed_through_a_link() {
    let place = place();
    let root = place.path().join("root");
    let roots = [Selection::everything(&root)];
    write(&root.join("dir/file"), 1, 1);
    write(&place.path().join("other/file"), 1, 1);
    let survey = survey(&roots, &options(TrimUnits::Files, Recency::Modified)).expect("surveyed");
    fs::remove_dir_all(root.join("dir")).expect("removed");
    std::os::unix::fs::symlink(place.path().join("other"), root.join("dir")).expect("linked");
    let trimmed = apply(&roots, TrimUnits::Files, keep(survey, 1), &CancellationToken::new());
    assert_eq!(trimmed.failed.len(), 1);
    assert!(place.path().join("other/file").exists());
}
