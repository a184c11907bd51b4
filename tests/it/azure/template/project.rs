//! A large C++ project with five pipelines: its caching by hand and with the templates, counted, and the templates run.

use std::fs;

use cachekeep_test_support::azure_agent::{Job, JobResult, Pipeline, Status};

use super::{Machine, output};
use crate::action::definition::root;

const PIPELINES: [&str; 5] = ["linux", "linux-python", "macos", "windows", "batch"];

fn file(relative: &str) -> String {
    fs::read_to_string(root().join("tests/it/azure/fixture").join(relative)).expect(relative)
}

/// The lines of a pipeline that are there for its caches, and the others.
fn split(text: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut caching, mut others, mut is_caching) = (Vec::new(), Vec::new(), false);
    for line in text.lines() {
        match line {
            "# caching" => is_caching = true,
            "# end" => is_caching = false,
            line if is_caching => caching.push(line),
            line => others.push(line),
        }
    }
    (caching, others)
}

#[test]
fn the_templates_take_a_fifth_of_the_lines() {
    let (mut by_hand, mut with_templates) = (0, file("templates/cachekeep.toml").lines().count());
    for name in PIPELINES {
        let (hand, templates) =
            (file(&format!("by-hand/{name}.yml")), file(&format!("templates/{name}.yml")));
        let (hand, templates) = (split(&hand), split(&templates));
        assert_eq!(hand.1, templates.1, "{name}: the same build");
        by_hand += hand.0.len();
        with_templates += templates.0.len();
    }
    assert!(with_templates * 5 <= by_hand, "{with_templates} lines with the templates, {by_hand} by hand");
}

#[test]
fn the_pipelines_run_cold_and_warm() {
    let machine = Machine::new();
    let mirror = machine.path("mirror");
    fs::create_dir_all(&mirror).expect("a directory");
    let data = "test data";
    let hash = sha512(data);
    fs::write(mirror.join(&hash), data).expect("an object");
    for name in PIPELINES {
        let path = root().join(format!("tests/it/azure/fixture/templates/{name}.yml"));
        let pipeline = Pipeline::of(&path).repository("cachekeep", &root()).load().expect("a pipeline");
        let run = || -> JobResult {
            let job: Job<'_> = machine.job(&pipeline, "1");
            let job =
                job.file("cachekeep.toml", &file("templates/cachekeep.toml")).file("Data/a.sha512", &hash);
            // What a build does: it reads the data, and its compiler fills the cache.
            let script = "test -e \"$ExternalData_OBJECT_STORES/SHA512\" || exit 3\n\
                          mkdir -p \"$CCACHE_DIR\" && echo object >\"$CCACHE_DIR/object\"\n";
            let bin = machine.path("bin");
            fs::create_dir_all(&bin).expect("a directory");
            program(&bin.join("cmake"), "true");
            program(&bin.join("make"), script);
            job.on_path(&bin).variable("MIRROR", &mirror.display().to_string()).run()
        };
        let cold = run().expect(Status::Succeeded);
        assert_eq!(output(&cold, "cachekeep_save.save-result"), "staged", "{}", cold.log);
        assert_eq!(output(&cold, "cachekeep_restore.complete"), "true", "{}", cold.log);
        let told =
            "`ExternalData_OBJECT_STORES` is `EXTERNALDATA_OBJECT_STORES` in the environment of later steps";
        assert!(cold.log.contains(told), "{}", cold.log);
        let warm = run().expect(Status::Succeeded);
        assert_eq!(output(&warm, "cachekeep_restore.hit"), "exact", "{}", warm.log);
    }
    let data: Vec<String> = machine.keys().into_iter().filter(|key| key.contains("\"data-\"")).collect();
    assert_eq!(data.len(), 1, "the data is saved once for all five: {:?}", machine.keys());
}

fn sha512(text: &str) -> String {
    use std::io::Write as _;
    let mut command = std::process::Command::new("sha512sum");
    let mut child = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("sha512sum");
    child.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ended");
    String::from_utf8_lossy(&output.stdout).split_whitespace().next().expect("a hash").to_owned()
}

fn program(path: &std::path::Path, script: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("mode");
}
