//! What a consumer's job says where its mirrors are dead, and what it leaves.

use cachekeep_test_support::project::Project;

/// Nothing listens at this port, so that every request is refused at once.
const CONFIG: &str = r#"
[cache.data]
path = "{temp}/./data/."
key = "data-v1-{links}"
role = "consumer"
export = { DATA_DIR = "{path}" }

[cache.data.links]
files = ["**/*.sha256"]
object = "{ALGO}/{hash}"
mirrors = ["http://127.0.0.1:9/{ALGO}/{hash}"]
"#;

const HASH: &str = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

fn project() -> Project {
    let project = Project::new(CONFIG);
    project.write("workspace/x.bin.sha256", HASH);
    project
}

#[test]
fn what_no_mirror_has_is_listed_once_and_a_consumer_gets_no_advice_to_write() {
    let project = project();
    let ran = project.run(&["run", "--", "sh", "-c", "echo $DATA_DIR"]).success();
    assert_eq!(ran.stderr.matches("wanted by x.bin.sha256").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("incomplete: 0 of 1 object is present and verified"), "{}", ran.stderr);
    let consumer = ran.stderr.lines().skip_while(|line| !line.contains("is a consumer of the cache"));
    let told: Vec<&str> = consumer.collect();
    assert!(told.len() == 1, "no hint: {told:?}");
    let clean = project.path("temp").join("data").display().to_string();
    assert_eq!(ran.stdout.trim_end(), clean, "without `.`");
    // Alone, the gate lists it.
    let ran = project.run(&["gate"]).code(3);
    assert_eq!(ran.stderr.matches("wanted by x.bin.sha256").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_fetch_that_gets_nothing_leaves_nothing() {
    let project = project();
    let ran = project.run(&["fetch"]).success();
    assert!(ran.stderr.contains("0 objects, 0 B from mirrors"), "{}", ran.stderr);
    assert!(!project.path("temp/data").exists());
    // A directory that was there stays, and gets its sentinel.
    std::fs::create_dir(project.path("temp/data")).expect("made");
    project.run(&["fetch"]).success();
    assert!(project.path("temp/data/.cachekeep-sentinel").exists());
}
