//! A repository whose workflows act runs on this machine, without containers, against a fake of the cache service.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use md5::Digest as _;
use tempfile::TempDir;

use crate::action::definition::{root, sha256};
use cachekeep_test_support::github_service::{GitHubService, capture};
use cachekeep_test_support::npm::installed;

/// The ref of actions/cache in `action.yml`.
fn pinned() -> String {
    let action = crate::action::definition::text("action.yml");
    let start = action.find("actions/cache/restore@").expect("a pin") + "actions/cache/restore@".len();
    action[start..].chars().take_while(char::is_ascii_hexdigit).collect()
}

/// How archives are moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The binary has the job's token.
    Native,
    /// Only actions/cache has it.
    Wrapped,
}

/// The event that runs the workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A push to the default branch.
    Push,
    /// A pull request, whose entries belong to its own ref.
    PullRequest,
    /// A pull request from a fork: nothing in the job may write, and its `run:` steps have no token.
    Fork,
}

/// The sample project: the repository's example, its action and its workflows.
pub struct Sample {
    directory: TempDir,
    pub service: GitHubService,
    standin: PathBuf,
}

/// What act printed.
pub struct Ran {
    pub log: String,
    /// Whether the workflow succeeded.
    pub success: bool,
}

/// What the jobs of a run find: variables, and what only the runner knows.
#[derive(Default)]
pub struct Given<'a> {
    /// The event's payload.
    pub payload: String,
    /// Variables of every step.
    pub env: Vec<(&'a str, String)>,
    /// `github.token`.
    pub token: Option<&'a str>,
    /// More arguments of act.
    pub arguments: Vec<String>,
}

impl Sample {
    /// The project at its first commit; an error names the program that is missing.
    pub fn new() -> Result<Self, String> {
        Sample::named("owner/sample")
    }

    /// The same with another name on GitHub.
    pub fn named(repository_name: &str) -> Result<Self, String> {
        for (program, argument) in
            [("act", "--version"), ("git", "--version"), ("node", "--version"), ("zstd", "--version")]
        {
            let found = Command::new(program).arg(argument).output();
            found.map_err(|error| format!("{program} cannot be started: {error}"))?;
        }
        let standin = installed("actions-cache")?.join("standin.mjs");
        let service = GitHubService::start();
        let sample = Sample { directory: tempfile::tempdir().map_err(|e| e.to_string())?, service, standin };
        let repository = sample.repository();
        for directory in ["scripts", "example", ".github/workflows", "restore", "save"] {
            copy(&root().join(directory), &repository.join(directory));
        }
        fs::copy(root().join("action.yml"), repository.join("action.yml")).expect("copied");
        for directory in ["home/act", "bin"] {
            fs::create_dir_all(sample.path(directory)).expect("a directory");
        }
        // act asks people for an image unless it has a configuration.
        fs::write(sample.path("home/act/actrc"), "").expect("written");
        let name = format!("cachekeep{}", std::env::consts::EXE_SUFFIX);
        fs::copy(env!("CARGO_BIN_EXE_cachekeep"), sample.path("bin").join(name)).expect("copied");
        sample.git(&["init", "--quiet", "--initial-branch=main"]);
        sample.git(&["remote", "add", "origin", &format!("https://github.com/{repository_name}")]);
        sample.commit();
        Ok(sample)
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.directory.path().join(relative)
    }

    /// The checkout.
    pub fn repository(&self) -> PathBuf {
        self.path("repository")
    }

    fn git(&self, arguments: &[&str]) {
        let done = Command::new("git")
            .args([
                "-c",
                "user.name=tests",
                "-c",
                "user.email=tests@example.org",
                "-c",
                "commit.gpgsign=false",
            ])
            .args(arguments)
            .current_dir(self.repository())
            .output()
            .expect("git starts");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Commits what is there: act runs what is committed or not, and names the commit.
    pub fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message=change"]);
    }

    /// Changes what a link names: new bytes, which a mirror in a directory has and the seed has not.
    pub fn change(&self, link: &str, mirror: &Path) {
        let bytes = format!("P2\n# {link}, taken anew\n1 1\n255\n7\n");
        let digest = data_encoding::HEXLOWER.encode(&md5::Md5::digest(&bytes));
        fs::create_dir_all(mirror.join("MD5")).expect("a directory");
        fs::write(mirror.join("MD5").join(&digest), bytes).expect("written");
        fs::write(self.repository().join(link), format!("{digest}\n")).expect("written");
    }

    /// Names a mirror in the configuration of the content-addressed cache.
    pub fn use_mirror(&self, template: &str) {
        let config = self.repository().join("example/cachekeep.toml");
        let text = fs::read_to_string(&config).expect("a file");
        let links = "[cache.frames.links]\n";
        assert!(text.contains(links));
        fs::write(&config, text.replace(links, &format!("{links}mirrors = [\"{template}\"]\n")))
            .expect("written");
    }

    /// Changes a workflow as a fork can.
    pub fn rewrite(&self, workflow: &str, from: &str, to: &str) {
        let file = self.repository().join(format!(".github/workflows/{workflow}.yml"));
        let text = fs::read_to_string(&file).expect("a file");
        assert!(text.contains(from), "{text}");
        fs::write(&file, text.replace(from, to)).expect("written");
    }

    /// Takes a link away, and its object out of an earlier version of the seed; returns what was there.
    pub fn without(&self, link: &str) -> Vec<(PathBuf, Vec<u8>)> {
        let repository = self.repository();
        let seed = repository.join("example/frames-1.0.tar.gz");
        let config = repository.join("example/cachekeep.toml");
        let link = repository.join(link);
        let before: Vec<_> =
            [&seed, &config, &link].map(|path| (path.clone(), fs::read(path).expect("a file"))).into();
        let object = String::from_utf8(before[2].1.clone()).expect("text");
        let unpacked = self.path("seed");
        fs::create_dir(&unpacked).expect("a directory");
        let status = Command::new("tar").arg("-xzf").arg(&seed).arg("-C").arg(&unpacked).status();
        assert!(status.expect("tar starts").success());
        fs::remove_file(unpacked.join("frames-1.0/objects/MD5").join(object.trim())).expect("its object");
        let status =
            Command::new("tar").arg("-czf").arg(&seed).arg("-C").arg(&unpacked).arg("frames-1.0").status();
        assert!(status.expect("tar starts").success());
        let text = String::from_utf8(before[1].1.clone()).expect("text");
        let text = text.replace(&sha256(&before[0].1), &sha256(&fs::read(&seed).expect("a seed")));
        let text = text.replace("version = \"1.0\"", "version = \"0.9\"");
        fs::write(&config, text).expect("written");
        fs::remove_file(&link).expect("a link");
        before
    }

    /// Puts files back as they were.
    pub fn put_back(files: &[(PathBuf, Vec<u8>)]) {
        for (path, bytes) in files {
            fs::write(path, bytes).expect("written");
        }
    }

    /// Runs a workflow about caches to its end, which is a success.
    pub fn run(&self, workflow: &str, event: Event, transport: Transport) -> Ran {
        let ran = self.attempt(workflow, event, transport);
        assert!(ran.success, "{workflow} failed:\n{}", ran.log);
        ran
    }

    /// Runs a workflow about caches to its end.
    pub fn attempt(&self, workflow: &str, event: Event, transport: Transport) -> Ran {
        let repository = r#""repository": {"default_branch": "main", "full_name": "owner/sample"}"#;
        let pull = |head: &str| {
            format!(
                r#"{{"number": 7, {repository}, "pull_request": {{"number": 7, "head": {head}, "base": {{"ref": "main"}}}}}}"#
            )
        };
        let (name, payload, scopes): (_, _, &[(&str, u8)]) = match event {
            Event::Push => {
                ("push", format!(r#"{{"ref": "refs/heads/main", {repository}}}"#), &[("refs/heads/main", 3)])
            }
            Event::PullRequest => {
                let head = r#"{"ref": "topic", "repo": {"full_name": "owner/sample"}}"#;
                ("pull_request", pull(head), &[("refs/pull/7/merge", 3), ("refs/heads/main", 1)])
            }
            Event::Fork => {
                let head = r#"{"ref": "main", "repo": {"full_name": "stranger/sample", "fork": true}}"#;
                ("pull_request", pull(head), &[("refs/pull/7/merge", 1), ("refs/heads/main", 1)])
            }
        };
        let (env, token) = self.cache_service(transport, scopes);
        let ran = self.act(workflow, name, &Given { payload, env, ..Given::default() });
        assert!(!ran.log.contains(&token), "the token is in the log:\n{}", ran.log);
        ran
    }

    /// Variables of a job that has a token for these scopes, and the token.
    pub fn cache_service(
        &self,
        transport: Transport,
        scopes: &[(&str, u8)],
    ) -> (Vec<(&'static str, String)>, String) {
        let (url, token) = (self.service.url(), GitHubService::token(scopes));
        let [url_is, token_is] = match transport {
            Transport::Native => ["ACTIONS_RESULTS_URL", "ACTIONS_RUNTIME_TOKEN"],
            Transport::Wrapped => ["STANDIN_URL", "STANDIN_TOKEN"],
        };
        (vec![(url_is, url), (token_is, token.clone())], token)
    }

    /// Runs a workflow to its end, for an event.
    pub fn act(&self, workflow: &str, event: &str, given: &Given<'_>) -> Ran {
        fs::write(self.path("event.json"), &given.payload).expect("written");
        // A list of processes shows arguments, and no environment.
        let env: Vec<String> = given.env.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        fs::write(self.path("job.env"), env.concat()).expect("written");
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap_or_default());
        let local = root().join("tests/peer/actions-cache-action");
        let mut command = Command::new("act");
        command
            .arg(event)
            .args(["--workflows", &format!(".github/workflows/{workflow}.yml")])
            .args(["--platform", "ubuntu-latest=-self-hosted"])
            .args(["--no-cache-server", "--container-daemon-socket", "-"])
            .args(["--local-repository", &format!("actions/cache@{}={}", pinned(), local.display())])
            .arg("--local-repository")
            .arg(format!("cachekeep/cachekeep@v1={}", self.repository().display()))
            .args(["--var", "CACHEKEEP_VERSION=installed"])
            .arg("--eventpath")
            .arg(self.path("event.json"))
            .args(["--env", &format!("STANDIN={}", self.standin.display())])
            .arg("--env-file")
            .arg(self.path("job.env"))
            .current_dir(self.repository())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.path("home"))
            .env("XDG_CONFIG_HOME", self.path("home"))
            .env("XDG_CACHE_HOME", self.path("home/cache"));
        if let Some(token) = given.token {
            // Without a value, act takes it from its environment.
            command.args(["--secret", "GITHUB_TOKEN"]).env("GITHUB_TOKEN", token);
        }
        command.args(&given.arguments);
        let output = capture::output("act", &mut command).expect("act starts");
        let log =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        Ran { log, success: output.status.success() }
    }

    /// The entries of the service: `scope key`.
    pub fn entries(&self) -> Vec<String> {
        let entries = self.service.entries().into_iter();
        entries.map(|(kept, _)| format!("{} {}", kept.scope, kept.key)).collect()
    }
}

impl Ran {
    /// The output `name` of the last step of the workflow.
    #[track_caller]
    pub fn said(&self, name: &str) -> String {
        let line =
            self.log.lines().rfind(|line| line.contains("| hit=")).unwrap_or_else(|| panic!("{}", self.log));
        let start = format!("{name}=");
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(&start));
        word.unwrap_or_else(|| panic!("{line}")).to_owned()
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a listing").flatten() {
        let target = to.join(entry.file_name());
        if entry.file_name() == "build" {
            continue;
        }
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).expect("a copy");
        }
    }
}
