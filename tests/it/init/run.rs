//! Workflows that `init` proposes, run by act: cold, and then warm.

use std::fs;
use std::path::{Path, PathBuf};

use cachekeep_test_support::project::binary;
use cachekeep_test_support::skip::skip;

use super::{copy, fixtures};
use crate::action::act::{Given, Ran, Sample, Transport};

/// Actions that the workflows use and that need the network: here they do nothing, since what they set up is installed.
const INSTALLED: [&str; 6] = [
    "actions/setup-go@v5",
    "actions/setup-node@v4",
    "actions/setup-python@v5",
    "dtolnay/rust-toolchain@stable",
    "hendrikmuhs/ccache-action@v1.2",
    "Swatinem/rust-cache@v2",
];

/// A workflow that is run.
struct Job {
    repository: &'static str,
    workflow: &'static str,
    name: &'static str,
    /// Steps that do not work without the network, and what stands for them.
    instead: &'static [(&'static str, &'static str)],
    /// Its caches.
    caches: &'static [&'static str],
}

const JOBS: [Job; 5] = [
    Job {
        repository: "cpp",
        workflow: "build",
        name: "cmake",
        instead: &[("os: [ubuntu-24.04, macos-15]", "os: [ubuntu-latest]"), ("[Debug, Release]", "[Debug]")],
        caches: &["ccache", "images"],
    },
    Job { repository: "rust", workflow: "ci", name: "lint", instead: &[], caches: &["cargo"] },
    Job {
        repository: "node",
        workflow: "test",
        name: "unit",
        instead: &[
            ("'22', '24'", "'24'"),
            ("npm ci\n    - run: npm test", "npm cache add ./sample.tgz\n    - run: npm test"),
        ],
        caches: &["npm"],
    },
    Job {
        repository: "python",
        workflow: "checks",
        name: "tests",
        instead: &[
            (
                "pip install -r requirements/dev.txt",
                r#"mkdir -p "$(pip cache dir)" && touch "$(pip cache dir)/wheel""#,
            ),
            ("- run: pytest", r#"- run: test -e "$(pip cache dir)/wheel""#),
        ],
        caches: &["pip"],
    },
    Job { repository: "go", workflow: "go", name: "build", instead: &[], caches: &["go"] },
];

/// The sample with the files of a fixture, after `init --write`.
fn sample(job: &Job) -> Result<Sample, String> {
    let sample = Sample::new()?;
    let repository = sample.repository();
    // The action under the name that the proposal uses, with the binary of this test.
    let action = sample.path("action");
    fs::create_dir(&action).expect("a directory");
    for name in ["action.yml", "restore", "save", "scripts"] {
        let (from, to) = (repository.join(name), action.join(name));
        if from.is_dir() { copy(&from, &to) } else { fs::copy(&from, &to).map(|_| ()).expect("a copy") }
    }
    let text = fs::read_to_string(action.join("action.yml")).expect("text");
    let (before, version) = text.split_once("  version:\n").expect("an input");
    let version = version.replacen("default: \"\"", "default: installed", 1);
    fs::write(action.join("action.yml"), format!("{before}  version:\n{version}")).expect("written");
    fs::remove_dir_all(repository.join(".github")).expect("removed");
    copy(&fixtures().join(job.repository), &repository);
    for (from, to) in job.instead {
        let path = workflow(&repository, job);
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replace(from, to)).expect("written");
    }
    if job.repository == "node" {
        let packed =
            std::process::Command::new("npm").args(["pack", "--silent"]).current_dir(&repository).output();
        assert!(packed.expect("npm").status.success());
        fs::rename(repository.join("sample-1.0.0.tgz"), repository.join("sample.tgz")).expect("a package");
    }
    if job.repository == "cpp" {
        let main = "int main() { return 0; }\n";
        fs::write(repository.join("main.cpp"), main).expect("written");
    }
    let made =
        std::process::Command::new(binary()).args(["init", "--write"]).current_dir(&repository).output();
    assert!(made.expect("init runs").status.success());
    sample.commit();
    let stub = sample.path("stub");
    fs::create_dir(&stub).expect("a directory");
    fs::write(
        stub.join("action.yml"),
        "name: stub\nruns:\n  using: composite\n  steps:\n    - run: exit 0\n      shell: bash\n",
    )
    .expect("written");
    Ok(sample)
}

fn workflow(repository: &Path, job: &Job) -> PathBuf {
    repository.join(format!(".github/workflows/{}.yml", job.workflow))
}

fn run(sample: &Sample, job: &Job, transport: Transport) -> Ran {
    let (mut env, _) = sample.cache_service(transport, &[("refs/heads/main", 3)]);
    // Tools of this machine that live below the home of its user.
    let home = std::env::var("HOME").expect("a home");
    for (name, directory) in [("RUSTUP_HOME", ".rustup"), ("PYENV_ROOT", ".pyenv")] {
        let directory = std::env::var(name).unwrap_or_else(|_| format!("{home}/{directory}"));
        env.push((name, directory));
    }
    let mut arguments = vec!["--job".to_owned(), job.name.to_owned()];
    let mut local = |name: &str, path: &Path| {
        arguments.extend(["--local-repository".to_owned(), format!("{name}={}", path.display())]);
    };
    local("cachekeep/cachekeep@v1", &sample.path("action"));
    for name in INSTALLED {
        local(name, &sample.path("stub"));
    }
    let payload = r#"{"ref": "refs/heads/main", "repository": {"default_branch": "main", "full_name": "owner/sample"}}"#;
    let given = Given { payload: payload.to_owned(), env, arguments, ..Given::default() };
    let ran = sample.act(job.workflow, "push", &given);
    assert!(ran.success, "{}/{} failed:\n{}", job.repository, job.workflow, ran.log);
    ran
}

#[test]
fn what_is_proposed_runs_cold_and_warm() {
    for job in &JOBS {
        let sample = match sample(job) {
            Ok(sample) => sample,
            Err(missing) => return skip("what_is_proposed_runs_cold_and_warm", &missing),
        };
        let transport = if job.repository == "python" { Transport::Wrapped } else { Transport::Native };
        let cold = run(&sample, job, transport);
        for cache in job.caches {
            assert!(cold.log.contains(&format!("{cache}: miss: ")), "{}: {}", job.repository, cold.log);
            assert!(cold.log.contains(&format!("{cache}: saved: ")), "{}: {}", job.repository, cold.log);
        }
        assert_eq!(sample.entries().len(), job.caches.len(), "{:?}", sample.entries());
        let warm = run(&sample, job, transport);
        for cache in job.caches {
            assert!(warm.log.contains(&format!("{cache}: exact hit: ")), "{}: {}", job.repository, warm.log);
        }
        assert_eq!(sample.entries().len(), job.caches.len(), "{:?}", sample.entries());
    }
}
