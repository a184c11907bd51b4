//! `recover`: what killed processes left, by hand.

use std::fs::{self, File};

use cachekeep_test_support::project::{Project, Ran};
use cachekeep_test_support::tree::snapshot;

const CONFIG: &str = "[cache.out]\npath = \"out\"\nkey = \"out-v1\"\n\n[cache.other]\npath = \"far/other\"\nkey = \"other-v1\"\n";

/// A directory as a killed process leaves it.
fn leave(project: &Project, relative: &str) {
    project.write(&format!("{relative}/lease"), "cachekeep 0.1.0\npid 12\npurpose restoring `out`\n");
    project.write(&format!("{relative}/payload/tree/file"), "unfinished");
}

/// What was done about each leftover, by its name.
fn acts(ran: &Ran) -> Vec<(String, String)> {
    let document = ran.json();
    let leftovers = document["leftovers"].as_array().expect("a list");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    let name = |path: &str| path.rsplit(['/', '\\']).next().expect("a name").to_owned();
    leftovers.iter().map(|left| (name(&text(&left["path"])), text(&left["act"]))).collect()
}

fn named(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, act)| ((*name).to_owned(), (*act).to_owned())).collect()
}

#[test]
fn what_is_found_is_done_and_said_and_a_dry_run_only_says_it() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "contents");
    leave(&project, "workspace/.cachekeep-a.tmp");
    leave(&project, "workspace/.cachekeep-b.tmp");
    leave(&project, "workspace/far/.cachekeep-c.tmp");
    leave(&project, "home/.cache/cachekeep/store/uploads/.cachekeep-u.tmp");
    let lease = File::options().read(true).write(true).open(project.path("workspace/.cachekeep-b.tmp/lease"));
    let lease = lease.expect("a lease");
    lease.lock().expect("locked");

    let before = snapshot(&project.path(""));
    let dry = project.run(&["recover", "--dry-run", "--json"]).success();
    let expect =
        [(".cachekeep-a.tmp", "removed"), (".cachekeep-b.tmp", "kept"), (".cachekeep-c.tmp", "removed")];
    assert_eq!(acts(&dry), named(&expect), "{}", dry.stderr);
    assert!(dry.stderr.contains("2 would be removed, 1 kept"), "{}", dry.stderr);
    assert_eq!(snapshot(&project.path("")), before, "a dry run changes nothing");

    // Only what lies beside the named cache.
    let one = project.run(&["recover", "other", "--json"]).success();
    assert_eq!(acts(&one), named(&[(".cachekeep-c.tmp", "removed")]));
    assert!(project.path("workspace/.cachekeep-a.tmp").exists());

    let ran = project.run(&["recover", "--json"]).success();
    assert_eq!(acts(&ran), named(&expect[..2]), "{}", ran.stderr);
    if cfg!(unix) {
        let document = ran.json();
        let why = document["leftovers"][1]["why"].as_str().expect("a reason").to_owned();
        assert_eq!(why, "in use by process 12, restoring `out`");
    }
    drop(lease);
    assert_eq!(
        acts(&project.run(&["recover", "--json"]).success()),
        named(&[(".cachekeep-b.tmp", "removed")])
    );
    let none = project.run(&["recover"]).success();
    assert!(none.stderr.contains(": none"), "{}", none.stderr);
    assert!(project.temporary_things().is_empty());
    assert_eq!(fs::read_dir(project.path("workspace/out")).expect("the cache").count(), 1);
}

#[test]
fn what_this_user_did_not_write_is_left_alone_with_the_reason() {
    let project = Project::new(CONFIG);
    leave(&project, "workspace/.cachekeep-e.tmp");
    project.write("workspace/.cachekeep-e.tmp/journal", "{\"Steps\":[]}");
    for arguments in [&["recover", "--dry-run", "--json"][..], &["recover", "--json"]] {
        let ran = project.run(arguments).success();
        assert_eq!(acts(&ran), named(&[(".cachekeep-e.tmp", "kept")]));
        assert!(ran.stderr.contains("has a journal that this user did not write"), "{}", ran.stderr);
    }
    assert!(project.path("workspace/.cachekeep-e.tmp/payload/tree/file").exists());
}
