//! `front` and `fallback` around a store in an object service, by the binary.

use std::net::TcpListener;

use cachekeep_test_support::object_services::Front;
use cachekeep_test_support::project::{Project, Ran, file_url};
use cachekeep_test_support::tree::snapshot;

use super::service::{Running, fresh_prefix};

const CONFIG: &str = "[cache.deps]\npath = \"deps\"\nkey = \"deps-{var.day}\"\n";

/// A project whose store is at a port, with this at the head of its configuration.
struct Job<'a> {
    project: Project,
    service: &'a Running,
    location: String,
}

impl<'a> Job<'a> {
    fn new(service: &'a Running, layers: &str) -> Self {
        let project = Project::new(&format!("{layers}\n{CONFIG}"));
        project.write("workspace/deps/a", vec![7; 3 << 20]);
        project.write("workspace/deps/b/c", "c");
        Job { project, service, location: service.location(&fresh_prefix()).to_string() }
    }

    fn run_at(&self, port: u16, arguments: &[&str]) -> Ran {
        let mut command = self.project.command();
        command.args(arguments).args(["--store", &self.location, "--var", "day=1", "--json"]);
        Ran::of(command.envs(self.service.variables_at(port)))
    }

    /// The bytes of the cache are removed, restored, and as they were.
    fn restores_at(&self, port: u16) -> Ran {
        let before = snapshot(&self.project.path("workspace/deps"));
        std::fs::remove_dir_all(self.project.path("workspace/deps")).expect("removed");
        let restored = self.run_at(port, &["restore", "--required"]).success();
        assert_eq!(restored.json()["caches"][0]["restore"]["hit"], "exact", "{}", restored.stderr);
        assert_eq!(snapshot(&self.project.path("workspace/deps")), before);
        restored
    }
}

/// A port that nothing listens at.
fn dead_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
    listener.local_addr().expect("a bound listener").port()
}

/// The URL of a directory beside the project's workspace.
fn url(directory: &tempfile::TempDir) -> String {
    file_url(&directory.path().join("entries"))
}

/// How many archives were read from the service.
fn reads(front: &Front) -> usize {
    front.seen().iter().filter(|target| target.starts_with("GET") && target.contains(".tar.zst")).count()
}

fn a_front(service: &Running) {
    let directory = tempfile::tempdir().expect("a directory");
    let job = Job::new(service, &format!("front = \"{}\"", url(&directory)));
    let network = Front::start(service.port());
    job.run_at(network.port(), &["save", "--required"]).success();
    let after_save = reads(&network);
    assert!(after_save > 0, "what the store has is read back");
    job.restores_at(network.port());
    assert_eq!(reads(&network), after_save, "the copy of the save serves the restore");

    std::fs::remove_dir_all(directory.path().join("entries")).expect("removed");
    job.restores_at(network.port());
    assert!(reads(&network) > after_save, "without a copy, the store is read");
    let after_read = reads(&network);
    job.restores_at(network.port());
    assert_eq!(reads(&network), after_read, "the copy of the restore serves the next");

    // A file in place of the directory.
    std::fs::remove_dir_all(directory.path().join("entries")).expect("removed");
    std::fs::write(directory.path().join("entries"), "a file").expect("written");
    let restored = job.restores_at(network.port());
    assert!(restored.stderr.contains("is not used: "), "{}", restored.stderr);
}

#[test]
fn a_front_of_azurite_is_read_through_and_filled() {
    if let Some(service) = Running::azurite() {
        a_front(&service);
    }
}

#[test]
fn a_front_of_versitygw_is_read_through_and_filled() {
    if let Some(service) = Running::versitygw() {
        a_front(&service);
    }
}

#[test]
fn a_front_answers_where_the_store_does_not() {
    let Some(service) = Running::versitygw() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let job = Job::new(&service, &format!("front = \"{}\"", url(&directory)));
    job.run_at(service.port(), &["save", "--required"]).success();
    let restored = job.restores_at(dead_port());
    assert!(restored.stderr.contains("does not answer; "), "{}", restored.stderr);

    // Over a tree that is there, the list of the entry is read, and what differs.
    let changed = job.project.path("workspace/deps/b/c");
    std::fs::write(&changed, "changed").expect("written");
    let restored = job.run_at(dead_port(), &["restore", "--required"]).success();
    assert_eq!(restored.json()["caches"][0]["restore"]["hit"], "exact", "{}", restored.stderr);
    assert_eq!(std::fs::read_to_string(&changed).expect("restored"), "c");
}

#[test]
fn a_fallback_is_used_where_the_store_does_not_answer_and_the_outcome_says_so() {
    let Some(service) = Running::versitygw() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let job = Job::new(&service, &format!("fallback = \"{}\"", url(&directory)));
    let saved = job.run_at(dead_port(), &["save", "--required"]).success();
    let said = format!("warning: the store at {} does not answer, and its fallback ", job.location);
    assert!(saved.stderr.contains(&said), "{}", saved.stderr);
    let used = directory.path().join("entries").display().to_string();
    assert_eq!(saved.json()["fallback"], used.as_str(), "{}", saved.stdout);
    let restored = job.restores_at(dead_port());
    assert_eq!(restored.json()["fallback"], used.as_str(), "{}", restored.stdout);

    // The store answers again: what the fallback has is not looked for.
    let missed = job.run_at(service.port(), &["restore"]).success().json();
    assert_eq!(missed["caches"][0]["restore"]["hit"], "none", "{missed}");
    assert!(missed["fallback"].is_null(), "{missed}");
}

#[test]
fn a_denied_right_is_an_answer() {
    let Some(service) = Running::versitygw() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let job = Job::new(&service, &format!("fallback = \"{}\"", url(&directory)));
    let mut variables = service.variables();
    variables[1].1 = "another".to_owned();
    let mut command = job.project.command();
    command.args(["save", "--json", "--store", &job.location, "--var", "day=1"]).envs(variables);
    let ran = Ran::of(&mut command);
    assert!(ran.stderr.contains("not permitted"), "{}", ran.stderr);
    assert!(ran.json()["fallback"].is_null() && !directory.path().join("entries").exists(), "{}", ran.stdout);
}
