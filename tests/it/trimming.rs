//! Trimming: what goes before a save, and what never does.

use std::fs;

use cachekeep_test_support::project::Project;

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-v1"
trim = { max-size = "250kB" }
"#;

fn project() -> Project {
    let project = Project::new(CONFIG);
    for (index, name) in ["oldest", "older", "newest"].iter().enumerate() {
        let path = project.write(&format!("workspace/out/{name}"), vec![7; 100_000]);
        let time =
            filetime::FileTime::from_unix_time(1_700_000_000 + i64::try_from(index).expect("small"), 0);
        filetime::set_file_times(path, time, time).expect("touched");
    }
    project
}

fn left(project: &Project) -> Vec<String> {
    let names = fs::read_dir(project.path("workspace/out")).expect("a directory").flatten();
    let mut names: Vec<String> =
        names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_dry_run_tells_and_removes_nothing() {
    let project = project();
    let ran = project.run(&["trim", "--dry-run", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["trim"]["files"], 1);
    assert!(ran.stderr.contains("would remove"), "{}", ran.stderr);
    assert_eq!(left(&project).len(), 3);
}

#[test]
fn the_least_recently_used_goes_and_only_below_the_root() {
    let project = project();
    let ran = project.run(&["trim", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["trim"]["files"], 1);
    assert_eq!(left(&project), ["newest", "older"]);
}

#[test]
fn a_save_trims_first() {
    let project = project();
    let ran = project.run(&["save", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["save"]["files"], 2, "{}", ran.stderr);
    assert_eq!(left(&project), ["newest", "older"]);
}
