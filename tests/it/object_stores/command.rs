//! The binary with a store in an object service.

use std::time::{Duration, Instant};

use cachekeep_test_support::github_service::Fault;
use cachekeep_test_support::object_services::Front;
use cachekeep_test_support::object_services::front::Matching;
use cachekeep_test_support::project::{Project, Ran};
use cachekeep_test_support::tree::snapshot;

use crate::clean::own_store::keys;

use super::service::{Running, fresh_prefix};

const CONFIG: &str = r#"
[cache.deps]
path = "deps"
key = "deps-{var.day}"

[clean]
superseded = { keep = 1 }
"#;

fn run(project: &Project, service: &Running, location: &str, arguments: &[&str]) -> Ran {
    let mut command = project.command();
    command.args(arguments).args(["--store", location]).envs(service.variables());
    Ran::of(&mut command)
}

/// A miss, a save, a hit, the list, and cleaning.
fn a_round(service: &Running) {
    let location = service.location(&fresh_prefix()).to_string();
    let project = Project::new(CONFIG);
    let run = |day: u8, arguments: &[&str]| {
        let day = format!("day=2026110{day}");
        let common = ["--ref", "main", "--default-ref", "main", "--var", &day];
        run(&project, service, &location, &[arguments, &common].concat())
    };
    project.write("workspace/deps/a", vec![7; 20 << 20]);
    project.write("workspace/deps/b/c", "c");
    let before = snapshot(&project.path("workspace/deps"));

    let miss = run(1, &["restore", "--required"]).success();
    assert!(miss.stderr.contains("miss"), "{}", miss.stderr);
    for day in 1..=3 {
        let saved = run(day, &["save", "--required"]).success();
        assert!(saved.stderr.contains("saved: 2 files"), "{}", saved.stderr);
        // The clock of a service counts in seconds.
        std::thread::sleep(Duration::from_millis(1100));
    }
    let again = run(1, &["save", "--required"]).success();
    assert!(!again.stderr.contains("saved: "), "{}", again.stderr);

    std::fs::remove_dir_all(project.path("workspace/deps")).expect("removed");
    let hit = run(1, &["restore", "--required"]).success();
    assert!(hit.stderr.contains("exact hit"), "{}", hit.stderr);
    assert_eq!(snapshot(&project.path("workspace/deps")), before);

    let listed = run(1, &["ls", "--json"]).success().json();
    let entries = listed["entries"].as_array().expect("entries");
    let used = |entry: &&serde_json::Value| !entry["last-used-at"].is_null();
    assert_eq!((entries.len(), entries.iter().filter(used).count()), (3, 1), "{listed}");

    // The first was used a moment ago, the third is the newest.
    let cleaned = run(1, &["clean", "--json"]).success().json();
    assert_eq!(keys(&cleaned, "delete"), ["deps-20261102".to_owned()].into(), "{cleaned}");
    assert_eq!(cleaned["freed"]["entries"], 1, "{cleaned}");
    let listed = run(1, &["ls", "--json"]).success().json();
    assert_eq!(listed["entries"].as_array().map(Vec::len), Some(2), "{listed}");
}

#[test]
fn a_job_at_azurite() {
    if let Some(service) = Running::azurite() {
        a_round(&service);
    }
}

#[test]
fn a_job_at_versitygw() {
    if let Some(service) = Running::versitygw() {
        a_round(&service);
    }
}

#[test]
fn a_job_at_the_fake_of_google() {
    a_round(&Running::gcs());
}

#[test]
fn a_deadline_ends_what_a_service_does_not() {
    let Some(service) = Running::versitygw() else { return };
    let location = service.location(&fresh_prefix()).to_string();
    let front = Front::start(service.port());
    let project = Project::new(CONFIG);
    project.write("workspace/deps/a", vec![7; 1 << 20]);
    let run = |arguments: &[&str]| {
        let mut command = project.command();
        command.args(arguments).args(["--store", &location, "--var", "day=1", "--timeout", "3s"]);
        let begun = Instant::now();
        let ran = Ran::of(command.envs(service.variables_at(front.port()))).success();
        // The client itself would wait for 30 s.
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}: {}", begun.elapsed(), ran.stderr);
        ran.stderr
    };
    front.arm(Matching("PUT", "partNumber="), Fault::StallRequestAt(10), 1_000);
    let said = run(&["save"]);
    assert!(said.contains("given up after 3 s"), "{said}");
    front.arm(Matching("GET", "list-type=2"), Fault::Trickle(Duration::from_secs(1)), 1_000);
    let said = run(&["restore"]);
    assert!(said.contains("given up after 3 s"), "{said}");
}

#[test]
fn what_doctor_finds() {
    let Some(service) = Running::versitygw() else { return };
    let location = service.location("some/where").to_string();
    let project = Project::new(CONFIG);
    let doctor = |variables: Vec<(&str, String)>| {
        let mut command = project.command();
        Ran::of(command.args(["doctor", "--online", "--store", &location, "--var", "day=1"]).envs(variables))
    };
    let fine = doctor(service.variables());
    let found = "s3://bucket/some/where: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY opens http://127.0.0.1:";
    assert!(fine.code == 0 && fine.stdout.contains(found), "{}{}", fine.stdout, fine.stderr);
    assert!(fine.stdout.contains("s3://bucket/some/where answers in"), "{}", fine.stdout);

    let mut wrong = service.variables();
    wrong[1].1 = "another".to_owned();
    let refused = doctor(wrong);
    assert!(refused.code == 1 && refused.stdout.contains("s3:ListBucket"), "{}", refused.stdout);

    let nothing = doctor(Vec::new());
    assert!(
        nothing.code == 1 && nothing.stdout.contains("there is no credential for S3"),
        "{}",
        nothing.stdout
    );
}

#[test]
fn without_a_credential_the_job_goes_on_and_says_what_was_looked_for() {
    let project = Project::new(CONFIG);
    project.write("workspace/deps/a", "a");
    for (location, looked_for) in [
        ("az://account/container", "AZURE_STORAGE_CONNECTION_STRING"),
        ("s3://bucket/prefix", "AWS_ACCESS_KEY_ID"),
        ("gs://bucket", "GOOGLE_APPLICATION_CREDENTIALS"),
    ] {
        let restored = project.run(&["restore", "--store", location, "--var", "day=1"]).success();
        let said = format!("cannot open {location}: there is no credential for");
        assert!(restored.stderr.contains(&said), "{}", restored.stderr);
        assert!(restored.stderr.contains(looked_for), "{}", restored.stderr);
    }
}
