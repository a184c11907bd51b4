//! A large C++ project before and after: `tests/fixtures/reference`. Its lines for caches are counted, and those with cachekeep are run:
//! the workflows by act, the pipelines by the imitation of the agent of Azure Pipelines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cachekeep_test_support::azure_agent::{JobResult, Pipeline, Status};
use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};
use cachekeep_test_support::github_service::signing::now;
use cachekeep_test_support::project::{Project, file_url};
use cachekeep_test_support::skip::{skip, works};
use walkdir::WalkDir;

use crate::action::act::{Given, Ran, Sample, Transport};
use crate::action::definition::root;
use crate::azure::template::{Machine, output};

/// Fewer lines than this keep the caches with cachekeep.
const LIMIT: usize = 110;

const PIPELINES: [&str; 5] = ["linux", "linux-python", "macos", "windows", "batch"];

/// Files that are there for caches alone, from the first line to the last.
const WHOLE: [&str; 3] = ["ci/caching/", "cachekeep.toml", "pipelines/caches.yml"];

/// What stands in every file of the test data.
const OBJECTS: [(&str, &str); 2] = [("brain.mha", "of the seed"), ("knee.mha", "of a mirror")];

/// The files of a side, by their names.
fn files(side: &str) -> BTreeMap<String, String> {
    let directory = root().join("tests/fixtures/reference").join(side);
    let found = WalkDir::new(&directory).into_iter().map(|item| item.expect("an item"));
    let name = |path: &Path| path.strip_prefix(&directory).expect("below").display().to_string();
    found
        .filter(|item| item.file_type().is_file())
        .map(|item| (name(item.path()), fs::read_to_string(item.path()).expect("text")))
        .collect()
}

/// How many lines of a file are there for its caches, and the other lines.
fn split<'a>(name: &str, text: &'a str) -> (usize, Vec<&'a str>) {
    let is_whole = WHOLE.iter().any(|start| name.starts_with(start));
    let (mut caching, mut others, mut is_caching) = (0, Vec::new(), is_whole);
    for line in text.lines() {
        match line {
            "# caching" => is_caching = true,
            "# end" => is_caching = false,
            line if is_caching => {
                let is_code = !line.trim().is_empty() && !line.trim_start().starts_with('#');
                caching += usize::from(is_code);
            }
            line => others.push(line),
        }
    }
    (caching, others)
}

#[test]
fn the_same_builds_keep_their_caches_in_an_eighth_of_the_lines() {
    let sides = ["before", "after"].map(files);
    let count = |side: &BTreeMap<String, String>| -> usize {
        side.iter().map(|(name, text)| split(name, text).0).sum()
    };
    let [before, after] = [count(&sides[0]), count(&sides[1])];
    assert!(after < LIMIT && after * 8 <= before, "{before} lines before, {after} after");
    let builds = |side: &BTreeMap<String, String>| -> BTreeMap<String, Vec<String>> {
        let others = side.iter().map(|(name, text)| (name.clone(), split(name, text).1));
        let kept = others.filter(|(_, lines)| !lines.is_empty());
        kept.map(|(name, lines)| (name, lines.into_iter().map(str::to_owned).collect())).collect()
    };
    let (old, new) = (builds(&sides[0]), builds(&sides[1]));
    assert_eq!(old.len(), 7, "two workflows and five pipelines build: {:?}", old.keys());
    assert_eq!(old, new, "the same builds");
}

fn lint(project: &Project, program: &str, arguments: &[&str]) {
    match Command::new(program).args(arguments).current_dir(project.path("workspace")).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
        }
        Err(error) => skip("a check of the reference project", &format!("{program}: {error}")),
    }
}

#[test]
fn both_sides_pass_the_linters_and_the_new_one_passes_check() {
    for side in ["before", "after"] {
        let project = Project::new("");
        let files = files(side);
        for (name, text) in &files {
            project.write(&format!("workspace/{name}"), text);
        }
        for name in files.keys() {
            if name.starts_with(".github/") {
                lint(&project, "actionlint", &[name]);
                lint(&project, "check-jsonschema", &["--builtin-schema", "vendor.github-workflows", name]);
            } else if name.starts_with("pipelines/") {
                let vendor = ["--regex-variant", "python", "--builtin-schema", "vendor.azure-pipelines"];
                let transform = ["--data-transform", "azure-pipelines", name];
                lint(&project, "check-jsonschema", &[&vendor[..], &transform].concat());
            } else if Path::new(name).extension().is_some_and(|extension| extension == "sh") {
                lint(&project, "shellcheck", &[name]);
            }
        }
        if side == "after" {
            project.write("workspace/Data/a.sha512", "0".repeat(128));
            let text = project.run(&["check"]).success().stdout;
            assert_eq!(text, "no problems in 11 files\n");
        }
    }
}

/// The test data in a place: links, the archive of a release with one object, a mirror with the other.
struct TestData {
    /// Links, by their names.
    links: Vec<(String, String)>,
    /// The configuration, with this archive and this mirror.
    config: String,
}

fn sha512(text: &[u8]) -> String {
    use sha2::Digest as _;
    data_encoding::HEXLOWER.encode(&sha2::Sha512::digest(text))
}

impl TestData {
    fn new(place: &Path) -> Self {
        let links: Vec<(String, String)> = OBJECTS
            .iter()
            .map(|(name, text)| (format!("Testing/Data/{name}.sha512"), sha512(text.as_bytes())))
            .collect();
        let unpacked = place.join("Data-5.4.5/objects/SHA512");
        let mirror = place.join("mirror/SHA512");
        for (directory, (_, hash), (_, text)) in
            [(&unpacked, &links[0], OBJECTS[0]), (&mirror, &links[1], OBJECTS[1])]
        {
            fs::create_dir_all(directory).expect("a directory");
            fs::write(directory.join(hash), text).expect("an object");
        }
        let archive = place.join("Data-5.4.5.tar.gz");
        let mut tar = Command::new("tar");
        tar.args(["-czf"]).arg(&archive).args(["-C"]).arg(place).arg("Data-5.4.5");
        assert!(tar.status().expect("tar starts").success());
        let config = files("after").remove("cachekeep.toml").expect("a configuration");
        let config = config
            .replace("https://example.org/releases/Data-5.4.5.tar.gz", &file_url(&archive))
            .replace(&"0".repeat(128), &sha512(&fs::read(&archive).expect("an archive")))
            .replace("https://data.example.org", "http://127.0.0.1:9")
            .replace("https://mirror.example.org/data", &file_url(&place.join("mirror")));
        TestData { links, config }
    }

    /// What a build and its tests do: they compile with ccache, and read the data.
    fn build(&self) -> String {
        let read: Vec<String> = self
            .links
            .iter()
            .map(|(_, hash)| format!("test -s \"$ExternalData_OBJECT_STORES/SHA512/{hash}\" || exit 3\n"))
            .collect();
        format!("{}echo 'int f(void) {{ return 1; }}' >f.c\nccache cc -c f.c -o f.o\n", read.concat())
    }
}

fn program(path: &Path, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("mode");
}

/// The pipelines as a job finds them, with the binary of this test in the place of a release.
fn pipelines(place: &Path) -> PathBuf {
    let directory = place.join("pipelines");
    fs::create_dir(&directory).expect("a directory");
    for (name, text) in files("after") {
        if let Some(name) = name.strip_prefix("pipelines/") {
            fs::write(directory.join(name), text.replace("version: v0.1.0", "version: installed"))
                .expect("written");
        }
    }
    directory
}

#[test]
fn the_pipelines_run_cold_and_warm() {
    if !works("ccache") || !works("cc") {
        return skip("the_pipelines_run_cold_and_warm", "ccache and a C compiler are not installed");
    }
    let machine = Machine::new();
    let data = TestData::new(&machine.path("data"));
    let directory = pipelines(&machine.path("data"));
    program(&machine.path("bin/cmake"), "true");
    program(&machine.path("bin/make"), &data.build());
    for name in PIPELINES {
        let pipeline = Pipeline::of(&directory.join(format!("{name}.yml")))
            .repository("cachekeep", &root())
            .load()
            .expect("a pipeline");
        let run = || -> JobResult {
            let job = machine.job(&pipeline, "1").file("cachekeep.toml", &data.config);
            let job = data.links.iter().fold(job, |job, (link, hash)| job.file(link, hash));
            job.on_path(&machine.path("bin")).run()
        };
        let cold = run().expect(Status::Succeeded);
        assert_eq!(output(&cold, "cachekeep_restore.complete"), "true", "{name}: {}", cold.log);
        assert_eq!(output(&cold, "cachekeep_save.save-result"), "staged", "{name}: {}", cold.log);
        let warm = run().expect(Status::Succeeded);
        assert_eq!(output(&warm, "cachekeep_restore.hit"), "exact", "{name}: {}", warm.log);
        assert_eq!(output(&warm, "cachekeep_save.hit-rate"), "100.0", "{name}: {}", warm.log);
        // What `ccache --show-stats` and `df` said.
        let summary = warm.summaries.concat();
        assert!(summary.contains("100.0 %") && summary.contains("Disk"), "{name}: {summary}");
    }
    let kept: Vec<String> = machine.keys().into_iter().filter(|key| key.contains("\"data-\"")).collect();
    assert_eq!(kept.len(), 1, "the data is saved once for all five: {:?}", machine.keys());
}

/// The sample with the workflows and the configuration, and the action under the name that they use.
fn sample(name: &str) -> Result<(Sample, TestData), String> {
    let sample = Sample::named(name)?;
    let repository = sample.repository();
    let action = sample.path("action");
    fs::create_dir(&action).expect("a directory");
    for name in ["action.yml", "restore", "save", "scripts", ".github"] {
        fs::rename(repository.join(name), action.join(name)).expect("moved");
    }
    for file in ["action.yml", ".github/workflows/populate.yml", ".github/workflows/clean.yml"] {
        let text = fs::read_to_string(action.join(file)).expect("text");
        let (before, version) = text.split_once("  version:\n").expect("an input");
        let version = version.replacen("default: \"\"", "default: installed", 1);
        fs::write(action.join(file), format!("{before}  version:\n{version}")).expect("written");
    }
    let data = TestData::new(&sample.path("data"));
    // Its own links are others.
    fs::remove_dir_all(repository.join("example")).expect("removed");
    let mut written = files("after");
    written.insert("cachekeep.toml".to_owned(), data.config.clone());
    written.extend(data.links.iter().cloned());
    for (name, text) in &written {
        let path = repository.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let text = text.replace("ubuntu-24.04-arm", "ubuntu-latest").replace("ubuntu-24.04", "ubuntu-latest");
        let text = text.replace("          - { os: macos-15, compiler: clang-17 }\n", "");
        fs::write(path, text).expect("written");
    }
    program(
        &sample.path("bin/cmake"),
        &format!("case $1 in --build) ;; *) exit 0 ;; esac\n{}", data.build()),
    );
    program(&sample.path("bin/ctest"), "true");
    sample.commit();
    Ok((sample, data))
}

fn local_action(sample: &Sample) -> Vec<String> {
    let action = sample.path("action").display().to_string();
    vec!["--local-repository".to_owned(), format!("cachekeep/cachekeep@v1={action}")]
}

fn push(sample: &Sample, workflow: &str, transport: Transport) -> Ran {
    let (env, _) = sample.cache_service(transport, &[("refs/heads/main", 3)]);
    let payload = r#"{"ref": "refs/heads/main", "repository": {"default_branch": "main", "full_name": "owner/sample"}}"#;
    let given =
        Given { payload: payload.to_owned(), env, arguments: local_action(sample), ..Given::default() };
    let ran = sample.act(workflow, "push", &given);
    assert!(ran.success, "{workflow} failed:\n{}", ran.log);
    ran
}

#[test]
fn the_workflows_run_cold_and_warm() {
    let test = "the_workflows_run_cold_and_warm";
    if !works("ccache") || !works("cc") {
        return skip(test, "ccache and a C compiler are not installed");
    }
    let (sample, _) = match sample("owner/sample") {
        Ok(found) => found,
        Err(missing) => return skip(test, &missing),
    };
    let populated = push(&sample, "populate", Transport::Native);
    assert!(populated.log.contains("data: saved: 3 files"), "{}", populated.log);
    for workflow in ["arm", "python"] {
        let cold = push(&sample, workflow, Transport::Native);
        assert!(
            cold.log.contains("data: exact hit: ") && cold.log.contains("ccache: miss: "),
            "{}",
            cold.log
        );
        assert!(cold.log.contains("ccache: saved: "), "{}", cold.log);
        let warm = push(&sample, workflow, Transport::Wrapped);
        assert!(
            warm.log.contains("data: exact hit: ") && warm.log.contains("ccache: exact hit: "),
            "{}",
            warm.log
        );
        assert!(warm.log.contains("::set-output:: hit-rate=100"), "{}", warm.log);
    }
    let entries = sample.entries();
    assert_eq!(entries.len(), 3, "the data, and a compiler cache for each platform: {entries:?}");
}

#[test]
fn the_caches_are_cleaned() {
    let (sample, _) = match sample(REPOSITORY) {
        Ok(found) => found,
        Err(missing) => return skip("the_caches_are_cleaned", &missing),
    };
    let api = GitHubApi::start(now());
    api.world().pull(7, Some(0.01));
    let of_pull = api.world().save("refs/pull/7/merge", "ccache-linux-gcc-13-a", (5.0, 4.0), 1).to_string();
    let of_gone = api.world().save("refs/heads/gone", "ccache-linux-gcc-13-b", (150.0, 120.0), 1).to_string();
    let data = api.world().save("refs/heads/main", "data-c", (400.0, 300.0), 1).to_string();
    let run = |event: &str, mut payload: serde_json::Value| {
        payload["repository"] = serde_json::json!({ "default_branch": "main", "full_name": REPOSITORY });
        let graphql = format!("{}/graphql", api.url());
        let env = vec![("GITHUB_API_URL", api.url()), ("GITHUB_GRAPHQL_URL", graphql)];
        let arguments = local_action(&sample);
        let given = Given { payload: payload.to_string(), env, token: Some(TOKEN), arguments };
        let ran = sample.act("clean", event, &given);
        assert!(ran.success, "{event}: {}", ran.log);
        api.world().ids()
    };
    let closed = serde_json::json!({
        "action": "closed", "number": 7,
        "pull_request": { "number": 7, "head": { "ref": "topic" }, "base": { "ref": "main" } },
    });
    let left = run("pull_request_target", closed);
    assert!(!left.contains(&of_pull) && left.contains(&of_gone) && left.contains(&data), "{left:?}");
    let left = run("schedule", serde_json::json!({ "schedule": "41 2 * * *" }));
    assert_eq!(left, BTreeSet::from([data]), "protected, however old");
}
