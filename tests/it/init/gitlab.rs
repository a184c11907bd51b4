//! The template for GitLab CI: its scripts, run by the shell as a runner does, and the page about it.

use std::fs;
use std::process::{Command, Output};

use cachekeep_test_support::project::{Project, binary, file_url, scrub};

use super::gitlab_schema;
use crate::action::definition::{root, sha256, text};

const CONFIG: &str = "[cache.out]\npath = \"out\"\nkey = \"out-{sha}\"\nexport = { OUT = \"{path}\" }\n";

/// The script of a field of the template.
fn script(field: &str) -> String {
    let template = text("gitlab/cachekeep.yml");
    let (_, rest) = template.split_once(&format!("  {field}:\n    - |\n")).expect(field);
    let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with("      "));
    lines.map(|line| format!("{}\n", line.strip_prefix("      ").unwrap_or(line))).collect()
}

/// A program beside those of the machine.
fn install(project: &Project, name: &str, contents: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = project.write(&format!("bin/{name}"), contents);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("executable");
}

/// Runs a script in a job with these variables.
fn run(project: &Project, script: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new("sh");
    scrub(&mut command, &project.path(""));
    let path = format!("{}:/usr/bin:/bin", project.path("bin").display());
    command.current_dir(project.path("workspace")).args(["-e", "-c", script]);
    command.env("PATH", path).env("CACHEKEEP_STORE", file_url(&project.path("store")));
    for (name, value) in [
        ("GITLAB_CI", "true"),
        ("CI", "true"),
        ("CI_JOB_ID", "7"),
        ("CI_COMMIT_SHA", "0123456789abcdef0123456789abcdef01234567"),
        ("CI_COMMIT_REF_NAME", "main"),
        ("CI_DEFAULT_BRANCH", "main"),
        ("CI_PIPELINE_SOURCE", "push"),
        ("CI_SERVER_HOST", "gitlab.example.org"),
        ("CI_PROJECT_PATH", "group/sample"),
        ("CACHEKEEP_CACHES", "out"),
        ("CACHEKEEP_SAVE_WHEN", "on_success"),
        ("CACHEKEEP_VERSION", "v0.1.0"),
        ("CACHEKEEP_SUMS", ""),
    ] {
        command.env(name, value);
    }
    command.envs(variables.iter().copied()).env("CI_PROJECT_DIR", project.path("workspace"));
    command.output().expect("a shell")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn a_job_saves_and_the_next_one_restores() {
    let project = Project::new(CONFIG);
    install(&project, "cachekeep", &fs::read(binary()).expect("a program"));
    let build =
        format!("{}mkdir -p \"$OUT\"\nls \"$OUT\"\necho built >\"$OUT/file\"\n", script("before_script"));
    let first = run(&project, &build, &[]);
    assert!(first.status.success() && said(&first).contains("out: miss"), "{}", said(&first));
    // A job that failed saves nothing unless that is wanted.
    let after = script("after_script");
    for (when, status, saves) in
        [("on_success", "failed", false), ("always", "failed", true), ("on_success", "success", false)]
    {
        let variables = [("CACHEKEEP_SAVE_WHEN", when), ("CI_JOB_STATUS", status)];
        let saved = run(&project, &after, &variables);
        assert!(saved.status.success(), "{}", said(&saved));
        assert_eq!(said(&saved).contains("out: saved"), saves, "{when} {status}: {}", said(&saved));
    }
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    let second = run(&project, &build, &[]);
    assert!(said(&second).contains("out: exact hit") && said(&second).contains("file"), "{}", said(&second));
}

#[test]
fn the_program_is_installed_from_a_release_only_if_its_sum_is_right() {
    let project = Project::new(CONFIG);
    let directory = project.path("release");
    fs::create_dir(&directory).expect("a directory");
    fs::copy(binary(), directory.join("cachekeep")).expect("a copy");
    let archive = project.path("archive.tar.gz");
    let packed =
        Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(&directory).arg("cachekeep").status();
    assert!(packed.expect("tar").success());
    let sum = sha256(&fs::read(&archive).expect("an archive"));
    let names = [
        "x86_64-unknown-linux-musl",
        "aarch64-unknown-linux-musl",
        "x86_64-apple-darwin",
        "aarch64-apple-darwin",
    ];
    let list = |sum: &str| names.map(|name| format!("{sum}  cachekeep-0.1.0-{name}.tar.gz\n")).concat();
    project.write("sums", list(&sum));
    let curl = format!(
        "#!/bin/sh\nfor last; do :; done\ncase $last in */release.sha256) cat '{}' ;; */v0.1.0/cachekeep-0.1.0-*.tar.gz) cat '{}' ;; *) exit 22 ;; esac\n",
        project.path("sums").display(),
        archive.display(),
    );
    install(&project, "curl", curl.as_bytes());
    let before = script("before_script");
    let found = run(&project, &format!("{before}cachekeep --version\n"), &[]);
    assert!(found.status.success() && said(&found).contains("out: miss"), "{}", said(&found));
    run(&project, &script("after_script"), &[("CI_JOB_STATUS", "success")]);
    let wrong = list(&sum.replace(['0', '1'], "2"));
    for (variables, reason) in [
        ([("CACHEKEEP_SUMS", wrong.as_str())], "the archive is not the one that the release lists"),
        ([("CACHEKEEP_SUMS", "x")], "there is no sum of the archive for"),
        ([("CACHEKEEP_VERSION", "installed")], "no cachekeep is on PATH"),
    ] {
        let found = run(&project, &format!("{before}echo goes on\n"), &variables);
        assert!(found.status.success() && said(&found).contains("goes on"), "{}", said(&found));
        assert!(
            said(&found).contains(reason) && said(&found).contains("without its caches"),
            "{}",
            said(&found)
        );
        run(&project, &script("after_script"), &[("CI_JOB_STATUS", "success")]);
    }
}

#[test]
fn the_page_shows_pipelines_that_fit_the_schema() {
    let page = fs::read_to_string(root().join("docs/gitlab.md")).expect("a page");
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 2);
    let project = Project::new("");
    for block in blocks {
        project.write("workspace/.gitlab-ci.yml", block);
        gitlab_schema(&project, ".gitlab-ci.yml");
    }
    let template = text("gitlab/cachekeep.yml");
    for line in page.lines().filter(|line| line.starts_with("| `CACHEKEEP_")) {
        let name = line.split('`').nth(1).expect("a name");
        let is_of_program = ["CACHEKEEP_ROLE", "CACHEKEEP_STORE"].contains(&name);
        assert!(is_of_program || template.contains(&format!("    {name}: ")), "{name}");
    }
    assert!(template.contains(&format!("CACHEKEEP_VERSION: v{}\n", env!("CARGO_PKG_VERSION"))));
}
