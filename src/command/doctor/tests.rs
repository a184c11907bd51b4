//! What `doctor` says of jobs of every kind.

use super::*;
use crate::platform::detect;

fn examined(variables: &[(&str, &str)], configuration: Configuration<'_>) -> Report {
    let env = Env::of(variables.iter().copied());
    let platform = detect(&env, Path::new("/"));
    let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
    check(&DoctorInput {
        env: &env,
        facts: platform.facts(),
        workspace: Path::new("/"),
        configuration,
        repository: None,
        keys: Vec::new(),
        is_github: env.flag("GITHUB_ACTIONS"),
        credentials: Credentials::from_env(&env, now),
        object_service: None,
        answer: None,
        lookup_counts: None,
        now,
    })
}

fn absent() -> Configuration<'static> {
    Configuration::Absent("none".to_owned(), None)
}

fn status(report: &Report, name: &str) -> Option<Status> {
    report.checks.iter().find(|check| check.name == name).map(|check| check.status)
}

#[test]
fn a_job_without_a_token_works_and_is_told_how_to_work_better() {
    let found = examined(&[("GITHUB_ACTIONS", "true"), ("RUNNER_TEMP", "/tmp")], absent());
    assert_eq!(status(&found, "credentials"), Some(Status::Warning));
    assert!(!found.has_problem() && found.render().contains("id-token: write"), "{}", found.render());
}

#[test]
fn what_is_configured_and_cannot_work_is_a_problem() {
    let spec = Spec {
        store: StoreLocation::GitHub,
        fallback: None,
        front: None,
        caches: vec![],
        quota: None,
        disk: crate::domain::spec::DiskPolicy::default(),
        clean: crate::domain::retention::Policy::default(),
    };
    let own = crate::domain::scope::Scope::new("main").expect("a scope");
    let access = Access::new(own, None, None);
    let grants = Grants {
        trust: crate::domain::trust::Trust::without_events(),
        says_writer: false,
        allow_export: std::collections::BTreeSet::new(),
    };
    let usable = Configuration::Usable { spec: &spec, warnings: vec![], access: &access, grants: &grants };
    let found = examined(&[], usable);
    assert_eq!(status(&found, "credentials"), Some(Status::Problem));
    assert!(found.has_problem());
    let wrong = Configuration::Wrong(vec![(true, "bad\n::error".to_owned())]);
    let found = examined(&[], wrong);
    assert!(found.has_problem() && found.render().contains("bad ::error"));
}

#[test]
fn a_clock_that_disagrees_with_the_token_is_told() {
    let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
    let told = |left: TimeDelta| {
        let mut report = Report::default();
        clock(Some(now + left), now, &mut report);
        status(&report, "clock")
    };
    assert_eq!(told(TimeDelta::hours(6)), Some(Status::Ok));
    assert_eq!(told(TimeDelta::days(400)), Some(Status::Warning));
}
