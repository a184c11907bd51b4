//! The binary as a job at the service: its effects and messages when the service fails or permits only part of the
//! work. Without `--required`, no fault of the service fails a build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::github_store::fault_table::Often::{self, Always};
use crate::github_store::fault_table::{answer, arm, denied, not_ok, wait};
use crate::github_store::job::{MAIN, payload};
use cachekeep_test_support::github_service::{Checks, Fault, GitHubService, Point};
use cachekeep_test_support::tree::snapshot;

/// Longer than any run here may take, on a machine that others use as well.
const BOUND: Duration = Duration::from_mins(1);

/// The deadline of runs that would otherwise wait for the service to recover. Their messages depend on the step that
/// the deadline interrupts, so only the common part is compared.
const SOON: &str = "2s";

/// The deadline of those that wait for nothing.
const LATE: &str = "50s";

/// A workspace with a tree, and what a job knows of the service.
struct Job {
    directory: tempfile::TempDir,
    url: String,
    token: String,
}

impl Job {
    fn new(service: &GitHubService, scopes: &[(&str, u8)]) -> Self {
        let directory = tempfile::tempdir().expect("a temp dir");
        for name in ["workspace/out", "temp", "home"] {
            fs::create_dir_all(directory.path().join(name)).expect("a directory");
        }
        let config = "[cache.out]\npath = \"{workspace}/out\"\nkey = \"out-{var.n}\"\n";
        fs::write(directory.path().join("workspace/cachekeep.toml"), config).expect("a file");
        fs::write(directory.path().join("workspace/out/mine"), "as it was").expect("a file");
        fs::write(directory.path().join("workspace/out/large"), payload(300_000)).expect("a file");
        Job { directory, url: service.url(), token: GitHubService::token(scopes) }
    }

    fn out(&self) -> PathBuf {
        self.directory.path().join("workspace/out")
    }

    /// Runs a command; returns its exit code and its output, without the line that masks the token.
    fn run(&self, arguments: &[&str], env: &[(&str, &str)]) -> (i32, String) {
        let path = |name: &str| self.directory.path().join(name);
        let output = Command::new(env!("CARGO_BIN_EXE_cachekeep"))
            .args(arguments)
            .current_dir(path("workspace"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", path("home"))
            .env("TMPDIR", path("temp"))
            .envs(cachekeep_test_support::event::started_by("push", self.directory.path()))
            .env("GITHUB_WORKSPACE", path("workspace"))
            .env("GITHUB_REF", MAIN)
            .env("RUNNER_TEMP", path("temp"))
            .env("ACTIONS_RESULTS_URL", &self.url)
            .env("ACTIONS_RUNTIME_TOKEN", &self.token)
            .envs(env.iter().copied())
            .output()
            .expect("the binary starts");
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("::add-mask::")).collect();
        let text = lines.join("\n");
        assert!(!text.contains("sig=") && !text.contains(&self.token), "a secret is shown: {text}");
        (output.status.code().expect("no signal"), text)
    }

    #[track_caller]
    fn save(&self, n: &str, env: &[(&str, &str)]) -> String {
        let (code, said) = self.run(&["save", "--required", "--var", &format!("n={n}")], env);
        assert_eq!(code, 0, "{said}");
        said
    }
}

#[test]
fn a_save_asks_once_whether_its_key_exists() {
    let service = GitHubService::start();
    let pull_request = "refs/pull/7/merge";
    let job = Job::new(&service, &[(pull_request, 3), (MAIN, 1)]);
    let env = [("GITHUB_REF", pull_request), ("GITHUB_BASE_REF", "main")];
    let said = job.save("1", &env);
    assert!(said.contains("out: saved"), "{said}");
    // One request before the upload, and one to read back what was stored.
    assert_eq!(service.count(Point::Lookup), 2, "{said}");
    let said = job.save("1", &env);
    assert!(said.contains("(exists)"), "{said}");
    assert_eq!(service.count(Point::Lookup), 3, "{said}");
}

#[test]
fn a_job_that_may_only_write_saves_and_reads_nothing_back() {
    for (permission, mode) in [(3, "write-only"), (2, "write")] {
        let service = GitHubService::start();
        let job = Job::new(&service, &[(MAIN, permission)]);
        let only_write = [("ACTIONS_CACHE_MODE", mode)];
        let said = job.save("1", &only_write);
        assert!(said.contains("out: saved") && said.contains("is not read back"), "{said}");
        assert!(!said.contains("::warning"), "{said}");
        assert_eq!(service.entries().len(), 1);
        let asked = [Point::Lookup, Point::Head, Point::Get].map(|point| service.count(point));
        assert_eq!(asked, [0, 0, 0], "nothing is asked that would be refused");
        // That the name is taken is the service's word.
        let said = job.save("1", &only_write);
        assert!(said.contains("(exists)") && !said.contains("::warning"), "{said}");

        let other = Job::new(&service, &[(MAIN, 3)]);
        fs::remove_dir_all(other.out()).expect("removed");
        let (code, said) = other.run(&["restore", "--fail-on-miss", "--var", "n=1"], &[]);
        assert_eq!(code, 0, "{said}");
        assert_eq!(fs::read(other.out().join("large")).expect("restored"), payload(300_000));
    }
}

#[test]
fn as_much_is_read_back_as_the_storage_makes_necessary_or_was_asked_for() {
    let by_default: &[&str] = &[];
    let (ends, whole, nothing) =
        ("first and last bytes of the entry are as they were sent", "read back ", "is not verified");
    for (checks, arguments, expect, gets) in [
        (Checks::Both, by_default, ends, 2),
        (Checks::Md5, by_default, ends, 2),
        (Checks::Nothing, by_default, whole, 1),
        (Checks::Both, &["--verify-save", "full"], whole, 1),
        (Checks::Nothing, &["--verify-save", "ends"], ends, 2),
        (Checks::Nothing, &["--verify-save", "none"], nothing, 0),
    ] {
        let service = GitHubService::start();
        service.set_checks(checks);
        let job = Job::new(&service, &[(MAIN, 3)]);
        let all = [&["--verbose", "save", "--required", "--var", "n=1"], arguments].concat();
        let (code, said) = job.run(&all, &[]);
        assert_eq!(code, 0, "{checks:?}, {arguments:?}: {said}");
        assert!(said.contains(expect), "{checks:?}, {arguments:?}: {said}");
        assert_eq!(service.count(Point::Get), gets, "{checks:?}, {arguments:?}: {said}");
    }
}

#[test]
fn an_entry_that_is_not_what_was_sent_is_not_called_saved() {
    for (checks, fault, expect) in [
        (Checks::Nothing, Fault::Flip(1_000_003), "reading back failed"),
        (Checks::InVain, Fault::None, "is not what was sent"),
    ] {
        let service = GitHubService::start();
        service.set_checks(checks);
        let job = Job::new(&service, &[(MAIN, 3)]);
        // A block is sent twice where its first checksum is ignored.
        service.fail_next(Point::PutBlock, [fault.clone(), fault]);
        let (code, said) = job.run(&["save", "--required", "--var", "n=1"], &[]);
        assert_ne!(code, 0, "{checks:?}: {said}");
        assert!(said.contains("not saved (failed)") && said.contains(expect), "{checks:?}: {said}");
    }
}

#[test]
fn an_entry_goes_where_the_token_may_write_whatever_the_ref_is() {
    let service = GitHubService::start();
    let job = Job::new(&service, &[("refs/pull/7/merge", 3), (MAIN, 1)]);
    let said = job.save("1", &[]);
    assert!(said.contains("out: saved"), "{said}");
    let scopes: Vec<String> = service.entries().into_iter().map(|(kept, _)| kept.scope).collect();
    assert_eq!(scopes, ["refs/pull/7/merge"]);
    // A ref that is named is used, and the error says why the job may not write to it.
    let (code, said) = job.run(&["save", "--var", "n=2", "--ref", "refs/heads/other"], &[]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("the job's token writes to refs/pull/7/merge, not to refs/heads/other"), "{said}");
    assert_eq!(service.entries().len(), 1);
}

/// What the service does, to which request, when we give up, and what a person reads of it.
type Case = (&'static str, Point, Often, &'static str, &'static str);

fn arguments<'a>(verb: &'a str, timeout: &'a str, wish: Option<&'a str>) -> Vec<&'a str> {
    [verb, "--var", "n=1", "--timeout", timeout].into_iter().chain(wish).collect()
}

/// Runs the verb as it is and with each wish to fail; the tree in the workspace stays as it was.
#[track_caller]
fn check(what: &str, job: &Job, (verb, timeout): (&str, &str), expect: &str, wishes: &[(&str, i32)]) {
    let before = snapshot(&job.out());
    let wishes = wishes.iter().map(|(wish, code)| (Some(*wish), *code));
    for (wish, code) in std::iter::once((None, 0)).chain(wishes) {
        let begun = Instant::now();
        let (returned, said) = job.run(&arguments(verb, timeout, wish), &[]);
        let wish = wish.unwrap_or_default();
        assert!(begun.elapsed() < BOUND, "{what}: {verb} took {:?}", begun.elapsed());
        assert_eq!(returned, code, "{what}: {verb} {wish}: {said}");
        assert!(said.contains("::warning"), "{what}: {verb} {wish} is silent: {said}");
        assert!(said.contains(expect), "{what}: {verb} {wish}: {said}");
        assert_eq!(snapshot(&job.out()), before, "{what}: {verb} {wish} touched the target");
        let leftovers = temporary_things(job.directory.path());
        assert!(leftovers.is_empty(), "{what}: {verb} {wish} left {leftovers:?}");
    }
}

fn temporary_things(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "tmp") {
            found.push(path);
        } else if path.is_dir() {
            found.extend(temporary_things(&path));
        }
    }
    found
}

/// All cases at once: most of them wait.
fn at_once(cases: Vec<Case>, run: impl Fn(Case) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            let run = &run;
            scope.spawn(move || run(case));
        }
    });
}

#[test]
fn a_restore_that_the_service_fails_is_a_warning_and_touches_nothing() {
    let cases = vec![
        ("429 with a long wait", Point::Lookup, Always(wait(600)), LATE, "too many requests"),
        ("500 always", Point::Lookup, Always(answer(500, "oops")), SOON, "cannot look up"),
        (
            "a denial",
            Point::Lookup,
            Always(denied(403, "cache read denied: no scopes")),
            LATE,
            "cache read denied",
        ),
        ("malformed JSON", Point::Lookup, Always(answer(200, "<html>")), SOON, "cannot look up"),
        ("a storage that is gone", Point::Head, Always(answer(503, "")), SOON, "cannot look up"),
        ("an expired signature", Point::Get, Always(answer(403, "")), LATE, "accepts no signed URL"),
        ("a body reset half-way", Point::Get, Always(Fault::ResetAt(100_000)), SOON, "cachekeep::out: "),
        ("a body that stalls", Point::Get, Always(Fault::StallAt(100_000)), SOON, "cachekeep::out: "),
        ("a body cut short", Point::Get, Always(Fault::Shorten(100_000)), SOON, "cachekeep::out: "),
    ];
    at_once(cases, |(what, point, often, timeout, expect)| {
        let service = GitHubService::start();
        Job::new(&service, &[(MAIN, 3)]).save("1", &[]);
        let job = Job::new(&service, &[(MAIN, 3)]);
        fs::write(job.out().join("mine"), "another").expect("a file");
        arm(&service, point, often);
        check(what, &job, ("restore", timeout), expect, &[("--required", 1), ("--fail-on-miss", 4)]);
        // It was the service, and nothing else.
        service.heal();
        let (code, said) = job.run(&["restore", "--fail-on-miss", "--var", "n=1"], &[]);
        assert_eq!(code, 0, "{what}: {said}");
        assert_eq!(fs::read_to_string(job.out().join("mine")).expect("restored"), "as it was");
    });
}

#[test]
fn an_entry_that_is_damaged_in_the_storage_is_a_warning_and_touches_nothing() {
    let service = GitHubService::start();
    let job = Job::new(&service, &[(MAIN, 3)]);
    job.save("1", &[]);
    service.replace_blob(&payload(200_000));
    check("damage", &job, ("restore", LATE), "damaged", &[("--required", 1), ("--fail-on-miss", 4)]);
}

#[test]
fn a_save_that_the_service_fails_is_a_warning() {
    let budget = "You have reached your configured budget, your cache is now read only";
    let cases = vec![
        ("429 with a long wait", Point::Create, Always(wait(600)), LATE, "(rate-limited)"),
        ("the budget", Point::Create, Always(not_ok(budget)), LATE, "(denied-budget)"),
        ("a denial", Point::Create, Always(denied(403, "cache write denied")), LATE, "(denied-mode)"),
        ("malformed JSON", Point::Create, Always(answer(200, "<html>")), SOON, "(failed)"),
        ("500 always", Point::Create, Always(answer(500, "oops")), SOON, "(failed)"),
        (
            "an expired signature",
            Point::PutBlock,
            Always(answer(403, "")),
            LATE,
            "no longer accepts the signed URL",
        ),
        ("a block that stalls", Point::PutBlock, Always(Fault::StallRequestAt(1_000)), SOON, "(failed)"),
        ("another size", Point::Finalize, Always(not_ok("size mismatch")), LATE, "size mismatch"),
    ];
    at_once(cases, |(what, point, often, timeout, expect)| {
        let service = GitHubService::start();
        let job = Job::new(&service, &[(MAIN, 3)]);
        arm(&service, point, often.clone());
        // The first save may leave a reservation, which is all that the second would find.
        check(what, &job, ("save", timeout), expect, &[]);
        assert!(service.entries().is_empty(), "{what}: half an entry is served");
        let other = GitHubService::start();
        arm(&other, point, often);
        let job = Job::new(&other, &[(MAIN, 3)]);
        let (code, said) = job.run(&arguments("save", timeout, Some("--required")), &[]);
        assert_eq!(code, 1, "{what}: {said}");
    });
}

#[test]
fn a_service_that_is_gone_is_a_warning() {
    let service = GitHubService::start();
    let job = Job::new(&service, &[(MAIN, 3)]);
    service.vanish();
    check("gone", &job, ("restore", SOON), "cannot look up", &[("--required", 1), ("--fail-on-miss", 4)]);
    check("gone", &job, ("save", SOON), "not saved (failed)", &[("--required", 1)]);
}
