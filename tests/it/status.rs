//! How full things are: the same figures as those of `du` and `df`, in metrics that Prometheus' own client reads.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cachekeep_test_support::project::{Project, Ran, file_url};
use cachekeep_test_support::skip;

const CONFIG: &str = r#"
quota = "1MB"
[cache.out]
path = "{workspace}/out"
key = "out-{var.n}"
trim = { max-size = "10MB" }
"#;

fn run(project: &Project, arguments: &[&str]) -> Ran {
    let store = file_url(&project.path("store"));
    project.run(&[&["--store", &store, "--ref", "main"], arguments].concat()).success()
}

/// A project that saved three times.
fn project() -> Project {
    let project = Project::new(CONFIG);
    for n in 1..=3_usize {
        project.write(&format!("workspace/out/deep/{n}"), vec![7; n * 100_000]);
        run(&project, &["--var", &format!("n={n}"), "save"]);
    }
    project
}

fn archives(store: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for child in fs::read_dir(store).into_iter().flatten().flatten() {
        if child.path().is_dir() {
            found.extend(archives(&child.path()));
        } else if child.file_name().to_string_lossy().ends_with(".tar.zst") {
            found.push(child.path());
        }
    }
    found.sort();
    found
}

fn size(paths: &[PathBuf]) -> u64 {
    paths.iter().map(|path| fs::metadata(path).expect("a file").len()).sum()
}

#[test]
fn text_and_json_show_what_is_there() {
    let project = project();
    let store = project.path("store");
    let status = run(&project, &["--json", "--var", "n=4", "status"]).json();
    assert_eq!(status["store"]["entries"], 3, "{status}");
    assert_eq!(status["store"]["bytes"], size(&archives(&store)));
    assert_eq!(status["store"]["quota-bytes"], 1_000_000);
    assert_eq!(status["store"]["evicted"], 0);
    assert!(status["store"]["next"][0]["key"].as_str().expect("a key").starts_with("out-"));
    // The store is younger than a day.
    assert!(status["store"]["runs-out-at"].is_null(), "{status}");
    assert_eq!((&status["caches"][0]["cache"], &status["caches"][0]["units"]), (&"out".into(), &3.into()));
    assert_eq!(status["caches"][0]["limit-bytes"], 10_000_000);
    let text = run(&project, &["--var", "n=4", "status"]).stdout;
    let place = file_url(&store);
    let place = place.trim_start_matches(if cfg!(windows) { "file:///" } else { "file://" });
    assert!(text.starts_with(&format!("3 entries in {place}: ")), "{text}");
    assert!(
        text.contains("Deleted first, once it is full") && text.contains("out: ") && text.contains("Volumes"),
        "{text}"
    );
}

#[test]
fn looking_makes_no_store_and_a_page_loads_nothing() {
    let project = Project::new(CONFIG);
    let page = project.path("page.html");
    run(&project, &["--var", "n=1", "status", "--html", page.to_str().expect("a path")]);
    assert!(!project.path("store").exists());
    let page = project.read("page.html");
    assert!(
        page.contains("default-src 'none'") && !page.contains("<script") && !page.contains("src="),
        "{page}"
    );
    let refused = project.run(&["--var", "n=1", "status", "--textfile", "missing/x.prom"]);
    assert!(
        refused.code != 0 && refused.stderr.replace('\\', "/").contains("workspace/missing`"),
        "{}",
        refused.stderr
    );
}

/// The samples that the client library of Prometheus finds in a file, by name and labels; `None` without it.
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "volumes of a known size are mounted on Linux")
)]
fn parsed(file: &Path) -> Option<BTreeMap<String, f64>> {
    const PROGRAM: &str = "
import json, sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
samples = [s for family in parse(open(sys.argv[1]).read()) for s in family.samples]
print(json.dumps({' '.join([s.name] + sorted(s.labels.values())): s.value for s in samples}))
";
    let ran = Command::new("python3").args(["-c", PROGRAM]).arg(file).output();
    let errors = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
    match ran {
        Ok(ran) if ran.status.success() => Some(serde_json::from_slice(&ran.stdout).expect("samples")),
        Ok(ran) if !errors(&ran).contains("ModuleNotFoundError") => panic!("{}", errors(&ran)),
        _ => {
            skip("a test of metrics", "it needs python3 with prometheus_client");
            None
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn metrics_parse_and_equal_du_and_df() {
    let project = project();
    let textfile = project.path("metrics.prom");
    run(&project, &["--var", "n=4", "status", "--textfile", textfile.to_str().expect("a path")]);
    let Some(samples) = parsed(&textfile) else { return };
    let printed = run(&project, &["--var", "n=4", "status", "--format", "openmetrics"]).stdout;
    assert!(printed.ends_with("# EOF\n"), "{printed}");
    let number = |program: &str, arguments: &[&str], path: &Path| -> f64 {
        let ran = Command::new(program).args(arguments).arg(path).output().expect(program);
        let text = String::from_utf8(ran.stdout).expect("text");
        text.lines().last().and_then(|line| line.split_whitespace().next()?.parse().ok()).expect("a number")
    };
    let store = project.path("store").display().to_string();
    let du: f64 = archives(&project.path("store")).iter().map(|path| number("du", &["--bytes"], path)).sum();
    let sample = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("{name} of {samples:?}"));
    assert_eq!(sample(&format!("cachekeep_store_bytes {store}")), du);
    assert_eq!(sample(&format!("cachekeep_store_entries {store}")), 3.0);
    assert_eq!(sample(&format!("cachekeep_store_evictions_total {store}")), 0.0);
    let files = |n: u32| project.path(&format!("workspace/out/deep/{n}"));
    let du: f64 = (1..=3).map(|n| number("du", &["--block-size=1"], &files(n))).sum();
    assert_eq!(sample("cachekeep_cache_bytes out"), du);
    let volume = project.path("workspace");
    let total = number("df", &["--block-size=1", "--output=size"], &volume);
    assert_eq!(sample(&format!("cachekeep_volume_size_bytes {}", volume.display())), total);
    assert!(sample(&format!("cachekeep_volume_free_bytes {}", volume.display())) < total);
}

/// Makes a file one that cannot be deleted, and back.
#[cfg(target_os = "linux")]
const HOLDS: [[&str; 2]; 2] =
    [["chattr +i FILE", "chattr -i FILE"], ["mount --bind FILE FILE", "umount FILE"]];

/// What cannot be deleted, because it is immutable or something is mounted on it, is reported, others go in its place, and it is
/// still counted.
#[cfg(target_os = "linux")]
#[test]
fn an_entry_that_cannot_be_deleted_is_reported_and_counted() {
    for [hold, release] in HOLDS {
        entry_that_cannot_be_deleted(hold, release);
    }
}

#[cfg(target_os = "linux")]
fn entry_that_cannot_be_deleted(hold: &str, release: &str) {
    let project = project();
    let store = project.path("store");
    let held = archives(&store).remove(0);
    let old = fs::File::options().write(true).open(&held).expect("an entry");
    old.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(86_400)).expect("a time");
    drop(old);
    let change = |how: &str| {
        let how = how.replace("FILE", held.to_str().expect("text"));
        let words: Vec<&str> = how.split(' ').collect();
        Command::new(words[0]).args(&words[1..]).output().is_ok_and(|ran| ran.status.success())
    };
    if !change(hold) {
        skip(
            "a test of deletions that fail",
            &format!("`{hold}` fails: it needs root, and a volume with attributes"),
        );
        return;
    }
    project.write("workspace/cachekeep.toml", CONFIG.replace("1MB", "1kB"));
    let ran = run(&project, &["--json", "--var", "n=9", "save"]);
    let listed = run(&project, &["ls"]).stdout;
    let status = run(&project, &["--json", "--var", "n=4", "status"]).json();
    let usage = run(&project, &["--json", "usage"]).json();
    assert!(change(release), "it is taken back");
    assert!(ran.stderr.contains("warning: cannot delete `out-1`"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("cannot delete `out-1`").count(), 1, "{}", ran.stderr);
    let quota = &ran.json()["quota"];
    assert_eq!(
        (&quota["failed"][0]["path"], quota["failed"].as_array().map(Vec::len)),
        (&"out-1".into(), Some(1))
    );
    assert_eq!(archives(&store), std::slice::from_ref(&held), "{}", ran.stderr);
    assert!(listed.contains("out-1"), "{listed}");
    assert_eq!(status["store"]["bytes"], size(&[held]));
    assert_eq!(usage["total"]["bytes"], status["store"]["bytes"], "{usage}");
}
