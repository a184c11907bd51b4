//! Several processes at one service, and processes that are killed.

use std::process::{Child, Command, Stdio};
use std::time::Instant;

use cachekeep_test_support::project::{Project, Ran};
use cachekeep_test_support::tree::snapshot;

use super::service::{Running, fresh_prefix};

const CONFIG: &str = "[cache.deps]\npath = \"deps\"\nkey = \"deps-{var.n}\"\n";

const WRITERS: usize = 8;

/// Kills for each service; `CACHEKEEP_TEST_KILLS` asks for more.
fn kills() -> u32 {
    std::env::var("CACHEKEEP_TEST_KILLS").map_or(5, |text| text.parse().expect("a number"))
}

struct Job<'a> {
    project: Project,
    service: &'a Running,
    location: String,
}

impl<'a> Job<'a> {
    fn new(service: &'a Running, location: &str, fill: u8) -> Self {
        let project = Project::new(CONFIG);
        let bytes: Vec<u8> =
            (0..20_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 ^ fill).collect();
        project.write("workspace/deps/a", bytes);
        Job { project, service, location: location.to_owned() }
    }

    fn command(&self, arguments: &[&str], n: u32) -> Command {
        let mut command = self.project.command();
        let common = ["--store", &self.location, "--ref", "main", "--var", &format!("n={n}")];
        command.args(arguments).args(common).envs(self.service.variables());
        command
    }

    fn run(&self, arguments: &[&str], n: u32) -> Ran {
        Ran::of(&mut self.command(arguments, n))
    }

    fn start(&self, arguments: &[&str], n: u32) -> Child {
        let mut command = self.command(arguments, n);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("the binary starts")
    }
}

/// Workspaces of one repository that save different trees under one key at once.
fn one_of_eight_jobs_saves(service: &Running) {
    let location = service.location(&fresh_prefix()).to_string();
    let jobs: Vec<Job<'_>> = (0..WRITERS).map(|n| Job::new(service, &location, n as u8)).collect();
    for job in &jobs {
        git_remote(&job.project);
    }
    let children: Vec<Child> =
        jobs.iter().map(|job| job.start(&["save", "--json", "--required"], 1)).collect();
    let mut words = Vec::new();
    let mut winner = None;
    for (number, child) in children.into_iter().enumerate() {
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout);
        let word = ["saved", "exists"].into_iter().find(|word| text.contains(&format!("\"{word}\"")));
        let word = word.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
        if word == "saved" {
            winner = Some(number);
        }
        words.push(word);
    }
    assert_eq!(words.iter().filter(|word| **word == "saved").count(), 1, "{words:?}");
    let reader = &jobs[0];
    let expected = snapshot(&jobs[winner.expect("one saved")].project.path("workspace/deps"));
    std::fs::remove_dir_all(reader.project.path("workspace/deps")).expect("removed");
    reader.run(&["restore", "--fail-on-miss"], 1).success();
    assert_eq!(snapshot(&reader.project.path("workspace/deps")), expected);
}

/// All projects with it are checkouts of one repository.
fn git_remote(project: &Project) {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        let output = command.args(arguments).current_dir(project.path("workspace")).output();
        assert!(output.expect("git starts").status.success(), "{arguments:?}");
    };
    git(&["init", "--quiet"]);
    git(&["remote", "add", "origin", "https://git.example/group/tool"]);
}

/// Whatever is under the name after a kill is whole.
fn a_killed_save_leaves_no_half_entry(service: &Running) {
    let location = service.location(&fresh_prefix()).to_string();
    let job = Job::new(service, &location, 0);
    let deps = job.project.path("workspace/deps");
    let tree = snapshot(&deps);
    let begun = Instant::now();
    job.run(&["save", "--required"], 0).success();
    let whole = begun.elapsed();
    let mut killed = 0;
    for n in 1..=kills() {
        let mut child = job.start(&["save"], n);
        std::thread::sleep(whole.mul_f64(f64::from(n) / f64::from(kills())));
        killed += u32::from(child.try_wait().expect("a state").is_none());
        child.kill().expect("killed");
        child.wait().expect("it ends");
        std::fs::remove_dir_all(&deps).expect("removed");
        let restored = job.run(&["restore", "--required"], n).success();
        let listed = job.run(&["ls", "--json"], n).success().json();
        let is_listed = listed.to_string().contains(&format!("\"deps-{n}\""));
        assert_eq!(restored.stderr.contains("exact hit"), is_listed, "{}", restored.stderr);
        if is_listed {
            assert_eq!(snapshot(&deps), tree, "after kill {n}");
        }
        job.run(&["restore", "--required", "--fail-on-miss"], 0).success();
        assert_eq!(snapshot(&deps), tree);
        // The name is free, or taken by a whole entry.
        job.run(&["save", "--required"], n).success();
    }
    assert!(killed > 0, "every save was faster than its kill, after {whole:?}");
}

#[test]
fn of_eight_jobs_at_once_one_saves() {
    for service in [Running::azurite(), Running::versitygw(), Some(Running::gcs())].into_iter().flatten() {
        one_of_eight_jobs_saves(&service);
    }
}

#[test]
fn killed_saves_leave_no_half_entry() {
    for service in [Running::azurite(), Running::versitygw(), Some(Running::gcs())].into_iter().flatten() {
        a_killed_save_leaves_no_half_entry(&service);
    }
}
