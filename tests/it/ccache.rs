//! Caches of ccache, beside a real one: what is trimmed, what is counted, and what comes with the kind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cachekeep_test_support::project::{Project, Ran, scrub};
use cachekeep_test_support::skip::{skip, works};
use filetime::FileTime;

const KIND: &str = r#"
[cache.ccache]
kind = "ccache"
path = "{temp}/ccache"
key = "c-{var.n}"
restore-keys = ["c-"]
"#;

/// A project with this policy, where ccache and a compiler are installed.
fn project(test: &str, config: &str) -> Option<Project> {
    if !works("ccache") || !works("cc") {
        skip(test, "ccache and a C compiler are not installed");
        return None;
    }
    let project = Project::new(config);
    for number in 0..8 {
        project.write(
            &format!("workspace/src/f{number}.c"),
            format!("int f(int n) {{ return n + {number}; }}\n"),
        );
    }
    Some(project)
}

fn directory(project: &Project) -> PathBuf {
    project.path("temp/ccache")
}

fn ccache(project: &Project, directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("ccache");
    scrub(&mut command, &project.path(""));
    let ran =
        Ran::of(command.env("CCACHE_DIR", directory).current_dir(project.path("workspace")).args(arguments));
    ran.success().stdout
}

/// Compiles the first sources.
fn build(project: &Project, count: usize) {
    for number in 0..count {
        let source = format!("src/f{number}.c");
        ccache(project, &directory(project), &["cc", "-c", &source, "-o", "x.o"]);
    }
}

/// Makes everything in a cache this many days old.
fn age(directory: &Path, days: i64) {
    let time = FileTime::from_unix_time(FileTime::now().unix_seconds() - days * 86_400, 0);
    for path in files(directory) {
        filetime::set_file_times(directory.join(path), time, time).expect("touched");
    }
}

fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).expect("a directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(directory).expect("below").to_owned());
            }
        }
    }
    found
}

/// Results and manifests.
fn results(directory: &Path) -> BTreeSet<PathBuf> {
    let is_result = |path: &PathBuf| path.to_string_lossy().ends_with(['R', 'M']);
    files(directory).into_iter().filter(is_result).collect()
}

fn counted(project: &Project, directory: &Path) -> usize {
    let printed = ccache(project, directory, &["--print-stats"]);
    let line = printed.lines().find_map(|line| line.strip_prefix("files_in_cache\t"));
    line.expect("a counter").parse().expect("a number")
}

/// A restored cache of eight results, 20 days unused, of which this job has hit three.
fn used(project: &Project) {
    project.write("workspace/untrimmed.toml", KIND);
    let untrimmed = ["--config", "untrimmed.toml"];
    build(project, 8);
    age(&directory(project), 20);
    project.run(&[&untrimmed[..], &["--var", "n=1", "save"]].concat()).success();
    fs::remove_dir_all(directory(project)).expect("removed");
    project.run(&["--var", "n=2", "restore"]).success();
    build(project, 3);
}

/// Trims, and compares with what ccache itself leaves of a copy.
fn trims_like_ccache(project: &Project) {
    let copy = project.path("copy");
    let from = directory(project);
    for path in files(&from) {
        let to = copy.join(&path);
        fs::create_dir_all(to.parent().expect("a parent")).expect("made");
        fs::copy(from.join(&path), &to).expect("copied");
        let time = FileTime::from_last_modification_time(&fs::metadata(from.join(&path)).expect("a file"));
        filetime::set_file_times(&to, time, time).expect("touched");
    }
    ccache(project, &copy, &["--evict-older-than", "7d"]);
    let tags =
        |directory: &Path| files(directory).into_iter().filter(|path| path.ends_with("CACHEDIR.TAG")).count();
    let tagged = tags(&from);
    let ran = project.run(&["--var", "n=2", "trim", "--json"]).success();
    assert_eq!(results(&from), results(&copy));
    assert_eq!(results(&from).len(), 6, "three results and their manifests: {}", ran.stderr);
    assert_eq!((ran.json()["caches"][0]["trim"]["files"].as_u64(), tags(&from)), (Some(10), tagged));
    assert_eq!(counted(project, &from), 6);
    ccache(project, &from, &["--cleanup"]);
    assert_eq!(counted(project, &from), 6, "also after it counted again");
}

#[test]
fn what_is_unused_goes_as_ccache_evicts_it() {
    let config = format!("{KIND}trim = {{ unused-for = \"7d\" }}\n");
    let Some(project) = project("ccache: unused-for", &config) else { return };
    used(&project);
    trims_like_ccache(&project);
}

#[test]
fn a_directory_that_ccache_tagged_is_trimmed_by_it_without_a_kind() {
    let config = format!("{KIND}trim = {{ unused-for = \"7d\" }}\n").replace("kind = \"ccache\"\n", "");
    let Some(project) = project("ccache: tagged", &config) else { return };
    used(&project);
    trims_like_ccache(&project);
}

#[test]
fn what_this_job_did_not_use_goes() {
    let config = format!("{KIND}trim = {{ evict = \"job\" }}\n");
    let Some(project) = project("ccache: evict", &config) else { return };
    used(&project);
    let before = results(&directory(&project)).len();
    project.run(&["--var", "n=2", "trim"]).success();
    assert_eq!((before, results(&directory(&project)).len()), (16, 6));
    assert_eq!(counted(&project, &directory(&project)), 6);
    fs::remove_dir_all(project.path("home")).expect("forgotten");
    let unknown = project.run(&["--var", "n=2", "trim"]).success();
    assert!(unknown.stderr.contains("no restore of this job is known"), "{}", unknown.stderr);
}

#[test]
fn a_maximum_size_is_that_of_ccache_and_leaves_no_trace() {
    let config = format!("{KIND}trim = {{ max-size = \"40kB\" }}\n");
    let Some(project) = project("ccache: max-size", &config) else { return };
    build(&project, 8);
    let before = files(&directory(&project)).len();
    let ran = project.run(&["--var", "n=2", "trim", "--json"]).success();
    let trim = ran.json()["caches"][0]["trim"].clone();
    assert!(trim["after-bytes"].as_u64() <= Some(40_000), "{trim}");
    assert!(files(&directory(&project)).len() < before, "{}", ran.stderr);
    assert_eq!(counted(&project, &directory(&project)), results(&directory(&project)).len());
    assert!(!directory(&project).join("ccache.conf").exists(), "the limit is not written down");
    let idle = project.run(&["--var", "n=2", "trim"]).success();
    assert!(idle.stderr.contains("is below `max-size`, 40.0 kB"), "{}", idle.stderr);
}

#[test]
fn a_job_is_counted_by_itself_and_an_unchanged_cache_is_not_saved_again() {
    let Some(project) = project("ccache: statistics", KIND) else { return };
    let compile = |count: usize| {
        let each = (0..count).map(|number| format!("ccache cc -c src/f{number}.c -o x.o"));
        each.collect::<Vec<_>>().join(" && ")
    };
    let run = |number: &str, script: &str| {
        let variable = format!("n={number}");
        let ran = project.run(&["--var", &variable, "run", "--json", "--", "sh", "-c", script]).success();
        (ran.json()["caches"][0].clone(), ran.stderr)
    };
    let (cold, told) = run("1", &compile(4));
    assert_eq!(
        (cold["tool"]["hits"].as_u64(), cold["tool"]["misses"].as_u64()),
        (Some(0), Some(4)),
        "{told}"
    );
    assert_eq!(
        (cold["save"]["save-result"].as_str(), cold["tool"]["thrashing"].as_bool()),
        (Some("saved"), Some(false))
    );
    fs::remove_dir_all(directory(&project)).expect("removed");
    let (warm, told) = run("2", &compile(4));
    assert_eq!(
        (warm["tool"]["hits"].as_u64(), warm["tool"]["hit-rate"].as_f64()),
        (Some(4), Some(100.0)),
        "{told}"
    );
    assert_eq!(warm["save"]["save-result"], "unchanged", "counters do not count: {told}");
    assert!(told.contains("ccache: 100.0 % of 4 compilations hit; "), "{told}");
    fs::remove_dir_all(directory(&project)).expect("removed");
    let (more, told) = run("3", &compile(6));
    assert_eq!(
        (more["tool"]["hits"].as_u64(), more["tool"]["misses"].as_u64()),
        (Some(4), Some(2)),
        "{told}"
    );
    assert_eq!(more["save"]["save-result"], "saved");
}

#[test]
fn a_kind_brings_its_directory_its_key_and_its_variables() {
    let project = Project::new("[cache.cc]\nkind = \"ccache\"\ntrim = { max-size = \"2GB\" }\n");
    let env = project.run(&["env"]).success().stdout;
    let workspace = project.path("workspace");
    let expect = format!(
        "export CCACHE_BASEDIR='{}'\nexport CCACHE_COMPILERCHECK='content'\nexport CCACHE_DIR='{}'\nexport CCACHE_MAXSIZE='2000000k'\n",
        workspace.display(),
        project.path("home/.cache/ccache").display()
    );
    assert_eq!(env, expect);
    // What the job sets goes before, and says where the cache is.
    let place = project.path("temp/mine");
    let command = |arguments: &[&str]| {
        let mut command = project.command();
        command.env("CCACHE_DIR", &place).env("CCACHE_MAXSIZE", "9G").args(arguments);
        Ran::of(&mut command).success().stdout
    };
    let set = command(&["env"]);
    assert!(set.contains(&format!("export CCACHE_DIR='{}'\n", place.display())), "{set}");
    assert!(!set.contains("CCACHE_MAXSIZE"), "{set}");
    // Without a commit the usual key has no value.
    let key = project.run(&["key"]);
    assert!(key.stderr.contains("`cc-{os}-{arch}-{sha}`"), "{}", key.stderr);
}
