//! Around actions/cache, step by step: what is put between the transports is taken from there whole, and what a
//! killed job left there is swept.

use std::fs;

use crate::action::steps::{Done, Job};

const INPUTS: [(&str, &str); 3] = [("path", "out"), ("key", "k-1"), ("restore-keys", "k-")];

fn with_mode(mode: &'static str) -> Vec<(&'static str, &'static str)> {
    INPUTS.into_iter().chain([("mode", mode)]).collect()
}

fn output<'a>(done: &'a Done, name: &str) -> &'a str {
    done.outputs.get(name).unwrap_or_else(|| panic!("no {name}: {}", done.log))
}

/// Where actions/cache works, as the first step prints it.
fn place(started: &Done) -> String {
    assert_eq!(output(started, "transport"), "wrapped");
    format!("workspace/{}", output(started, "path-0"))
}

#[test]
fn what_was_unpacked_becomes_the_cache_and_nothing_stays_between() {
    let mut job = Job::new();
    job.write("workspace/out/mine", "mine");
    let started = job.step("start", &with_mode("restore"));
    assert_eq!([output(&started, "key-0"), output(&started, "restore-keys-0")], ["k-1", "k-"]);
    job.write(&format!("{}/f", place(&started)), "text");
    job.set("CACHEKEEP_KEY_0", "k-1");
    job.set("CACHEKEEP_RESTORE_KEYS_0", "k-");
    job.set("CACHEKEEP_MATCHED_0", "k-0");
    let done = job.step("finish", &with_mode("restore"));
    assert_eq!(
        [output(&done, "hit"), output(&done, "cache-matched-key")],
        ["partial", "k-0"],
        "{}",
        done.log
    );
    assert_eq!(fs::read_to_string(job.path("workspace/out/f")).expect("restored"), "text");
    assert_eq!(fs::read_to_string(job.path("workspace/out/mine")).expect("kept"), "mine");
    assert!(!job.path("workspace/.cachekeep").exists());
}

#[test]
fn an_entry_that_was_not_asked_for_is_a_miss_that_says_so() {
    for (matched, restore_keys, expect) in
        [("zzz", "k-", "none"), ("k-0", "", "none"), ("k-0", "j-\nk-", "partial"), ("k-12", "", "partial")]
    {
        let mut job = Job::new();
        job.write("workspace/out/mine", "mine");
        let place = place(&job.step("start", &with_mode("restore")));
        job.write(&format!("{place}/f"), "text");
        job.set("CACHEKEEP_KEY_0", "k-1");
        job.set("CACHEKEEP_RESTORE_KEYS_0", restore_keys);
        job.set("CACHEKEEP_MATCHED_0", matched);
        let done = job.step("finish", &with_mode("restore"));
        assert_eq!(output(&done, "hit"), expect, "{matched} {restore_keys:?}: {}", done.log);
        assert_eq!(job.path("workspace/out/f").exists(), expect != "none");
        let says_so = done.log.contains(&format!("it answered with `{matched}`"));
        assert_eq!(says_so, expect == "none", "{}", done.log);
        assert!(job.path("workspace/out/mine").exists() && !job.path("workspace/.cachekeep").exists());
    }
}

#[test]
fn a_step_that_wants_exact_keys_takes_no_other_entry() {
    for (matched, expect) in [("k-1", "exact"), ("k-12", "none"), ("k-0", "none")] {
        let mut job = Job::new();
        let inputs = [with_mode("restore").as_slice(), &[("exact", "true")]].concat();
        let started = job.step("start", &inputs);
        assert_eq!((output(&started, "key-0"), output(&started, "restore-keys-0")), ("k-1", ""));
        job.write(&format!("{}/f", place(&started)), "text");
        job.set("CACHEKEEP_KEY_0", "k-1");
        job.set("CACHEKEEP_MATCHED_0", matched);
        let done = job.step("finish", &inputs);
        assert_eq!(output(&done, "hit"), expect, "{matched}: {}", done.log);
        assert_eq!(job.path("workspace/out/f").exists(), expect == "exact");
        let says_why =
            done.log.contains(&format!("restored `{matched}`, and only the key itself was asked for"));
        assert_eq!(says_why, expect == "none", "{}", done.log);
    }
}

#[test]
fn a_save_shows_the_cache_and_leaves_it_where_it_is() {
    let mut job = Job::new();
    job.write("workspace/out/d/f", "text");
    let started = job.step("start", &with_mode("save"));
    assert_eq!(output(&started, "lookup-only"), "true");
    job.set("CACHEKEEP_KEY_0", "k-1");
    let staged = job.step("stage", &with_mode("save"));
    assert_eq!(output(&staged, "save-0"), "true");
    let shown = format!("{}/d/f", place(&started));
    assert_eq!(fs::read_to_string(job.path(&shown)).expect("shown"), "text");
    job.set("CACHEKEEP_STAGED_0", output(&staged, "staged-0"));
    for (kept, expect) in [("true", "saved"), ("", "failed")] {
        job.set("CACHEKEEP_KEPT_0", kept);
        let done = job.step("finish", &with_mode("save"));
        assert_eq!(output(&done, "save-result"), expect, "{}", done.log);
    }
    assert_eq!(fs::read_to_string(job.path("workspace/out/d/f")).expect("there"), "text");
    assert!(!job.path("workspace/.cachekeep").exists());
}

#[test]
fn a_privileged_job_shows_nothing_to_be_saved_unless_its_step_says_writer() {
    let mut job = Job::new();
    job.start_by("pull_request_target");
    job.write("workspace/out/f", "text");
    job.set("CACHEKEEP_KEY_0", "k-1");
    let staged = job.step("stage", &with_mode("save"));
    assert!(output(&staged, "staged-0").contains("denied-mode"), "{}", staged.log);
    assert!(!staged.outputs.contains_key("save-0") && !job.path("workspace/.cachekeep").exists());
    let as_writer = [with_mode("save").as_slice(), &[("role", "writer")]].concat();
    let staged = job.step("stage", &as_writer);
    assert_eq!(output(&staged, "save-0"), "true", "{}", staged.log);
}

/// A step that depends on the cache must not take the hit of another one for its own.
#[test]
fn a_cache_that_is_skipped_is_no_hit() {
    let config =
        "[cache.a]\npath = \"a\"\nkey = \"a-{files:missing}\"\n[cache.b]\npath = \"b\"\nkey = \"b-1\"\n";
    let mut job = Job::new();
    job.write("workspace/cachekeep.toml", config);
    let inputs = [("mode", "restore")];
    let started = job.step("start", &inputs);
    job.write(&format!("workspace/{}/f", output(&started, "path-1")), "text");
    job.set("CACHEKEEP_KEY_1", "b-1");
    job.set("CACHEKEEP_MATCHED_1", "b-1");
    let done = job.step("finish", &inputs);
    assert!(job.path("workspace/b/f").exists(), "{}", done.log);
    let outputs = ["cache-hit", "hit", "cache-primary-key"].map(|name| output(&done, name));
    assert_eq!(outputs, ["false", "none", "b=b-1"], "{}", done.log);
    assert!(output(&done, "json").contains("\"skipped\":[\"a\"]"), "{}", output(&done, "json"));
    // The same where cachekeep moves the archives itself.
    job.set("CACHEKEEP_STORE", &cachekeep_test_support::project::file_url(&job.path("store")));
    let saved = job.step("start", &[("mode", "save")]);
    assert_eq!(output(&saved, "save-result"), "failed", "{}", saved.log);
    let direct = job.step("start", &inputs);
    assert_eq!([output(&direct, "cache-hit"), output(&direct, "hit")], ["false", "none"], "{}", direct.log);
}

#[test]
fn a_save_step_that_always_runs_saves_by_the_policy_of_each_cache() {
    for (status, expect) in [
        ("success", ["true", "true"]),
        ("failure", ["", "true"]),
        ("cancelled", ["", ""]),
        ("", ["true", "true"]),
        ("what is to come", ["true", "true"]),
    ] {
        let mut job = Job::new();
        let config = "[cache.a]\npath = \"a\"\nkey = \"a-1\"\n[cache.b]\npath = \"b\"\nkey = \"b-1\"\nsave = \"always\"\n";
        job.write("workspace/cachekeep.toml", config);
        job.write("workspace/a/f", "text");
        job.write("workspace/b/f", "text");
        job.set("CACHEKEEP_JOB_STATUS", status);
        let inputs = [("mode", "save")];
        let started = job.step("start", &inputs);
        for index in ["0", "1"] {
            job.set(&format!("CACHEKEEP_KEY_{index}"), output(&started, &format!("key-{index}")));
        }
        let staged = job.step("stage", &inputs);
        let saves = ["save-0", "save-1"].map(|name| staged.outputs.get(name).map_or("", String::as_str));
        assert_eq!(saves, expect, "{status}: {}", staged.log);
        let says_so = staged.log.contains("a: not saved (skipped): the job failed");
        assert_eq!(says_so, status == "failure", "{}", staged.log);
        // The same where cachekeep moves the archives itself.
        job.set("CACHEKEEP_STORE", &cachekeep_test_support::project::file_url(&job.path("store")));
        let direct = job.step("start", &inputs);
        let saved = ["a", "b"].map(|name| direct.log.contains(&format!("{name}: saved")));
        assert_eq!(saved, expect.map(|save| save == "true"), "{status}: {}", direct.log);
    }
}

#[test]
fn a_privileged_job_exports_what_its_step_lists() {
    let mut job = Job::new();
    job.start_by("workflow_run");
    let config =
        "[cache.c]\npath = \"out\"\nkey = \"k\"\nexport = { A_DIR = \"{path}\", B_DIR = \"{path}\" }\n";
    job.write("workspace/cachekeep.toml", config);
    let inputs = [("mode", "restore"), ("allow-export", "B_DIR  C_DIR")];
    let started = job.step("start", &inputs);
    assert_eq!(started.code, 0, "{}", started.log);
    let set = fs::read_to_string(job.path("GITHUB_ENV")).unwrap_or_default();
    assert!(set.contains("B_DIR<<") && !set.contains("A_DIR"), "{set}\n{}", started.log);
    assert!(started.log.contains("allow-export: A_DIR"), "{}", started.log);
}

#[test]
fn a_key_that_is_there_is_not_saved_again() {
    let mut job = Job::new();
    job.write("workspace/out/f", "text");
    job.set("CACHEKEEP_KEY_0", "k-1");
    job.set("CACHEKEEP_MATCHED_0", "k-1");
    let staged = job.step("stage", &with_mode("save"));
    assert!(!staged.outputs.contains_key("save-0") && output(&staged, "staged-0").contains("exists"));
    assert!(!job.path("workspace/.cachekeep").exists());
}

#[test]
fn what_a_killed_job_left_is_swept_and_never_restored() {
    let job = Job::new();
    job.write("workspace/out/f", "mine");
    let place = place(&job.step("start", &with_mode("restore")));
    // Killed while actions/cache unpacked, and while a save was shown.
    job.write(&format!("{place}/half"), "ha");
    let done = job.step("start", &with_mode("restore"));
    assert!(!job.path("workspace/.cachekeep").exists(), "{}", done.log);
    // actions/cache failed half-way and names no key.
    job.write(&format!("{place}/half"), "ha");
    let mut job = job;
    job.set("CACHEKEEP_KEY_0", "k-1");
    let done = job.step("finish", &with_mode("restore"));
    assert_eq!(output(&done, "hit"), "none");
    assert!(!job.path("workspace/.cachekeep").exists() && !job.path("workspace/out/half").exists());
    assert_eq!(fs::read_to_string(job.path("workspace/out/f")).expect("kept"), "mine");
}

#[test]
#[cfg(unix)]
fn links_between_the_transports_lead_nowhere() {
    let mut job = Job::new();
    job.write("elsewhere/precious", "precious");
    let place = place(&job.step("start", &with_mode("restore")));
    job.set("CACHEKEEP_KEY_0", "k-1");
    job.set("CACHEKEEP_MATCHED_0", "k-1");
    // The cache itself is a link, then what holds all caches is one.
    fs::create_dir_all(job.path("workspace/.cachekeep")).expect("made");
    std::os::unix::fs::symlink(job.path("elsewhere"), job.path(&place)).expect("linked");
    let done = job.step("finish", &with_mode("restore"));
    assert_eq!(output(&done, "hit"), "none", "{}", done.log);
    let _ = fs::remove_dir_all(job.path("workspace/.cachekeep"));
    fs::create_dir_all(job.path("trap").join(place.rsplit('/').next().expect("a name"))).expect("made");
    std::os::unix::fs::symlink(job.path("trap"), job.path("workspace/.cachekeep")).expect("linked");
    for (stage, mode) in [("finish", "restore"), ("start", "restore"), ("start", "save")] {
        let done = job.step(stage, &with_mode(mode));
        assert!(done.log.contains("is not a plain directory"), "{stage} {mode}: {}", done.log);
    }
    assert!(job.path("elsewhere/precious").exists());
    assert_eq!(fs::read_dir(job.path("trap")).expect("there").count(), 1, "nothing is swept through a link");
}

#[test]
fn more_caches_than_nested_steps_are_refused_with_a_cure() {
    let job = Job::new();
    let cache = |n: u8| format!("[cache.c{n}]\npath = \"c{n}\"\nkey = \"k{n}-{{os}}\"\n");
    let caches: Vec<String> = (0..5).map(cache).collect();
    job.write("workspace/cachekeep.toml", &caches.concat());
    let done = job.step("start", &[]);
    assert_eq!(done.code, 2, "{}", done.log);
    assert!(done.log.contains("5 caches in one step") && done.log.contains("once more"), "{}", done.log);
    let done = job.step("start", &[("cache", "c0 c1 c2 c3")]);
    assert_eq!((done.code, output(&done, "key-3")), (0, "k3-linux"), "{}", done.log);
}

#[test]
fn a_miss_fails_the_step_where_that_is_asked_for() {
    let mut job = Job::new();
    job.set("CACHEKEEP_KEY_0", "k-1");
    let mut inputs = with_mode("restore");
    inputs.push(("fail-on-cache-miss", "true"));
    assert_eq!(job.step("start", &inputs).code, 0);
    assert_eq!(job.step("finish", &inputs).code, 4);
}

#[test]
fn what_is_not_proven_is_not_taken_over() {
    let mut job = Job::new();
    // The digest of `text`, and of something else that the archive claims to be `text` too.
    let good = crate::action::definition::sha256(b"text");
    let bad = crate::action::definition::sha256(b"other");
    let config =
        "[cache.o]\npath = \"objects\"\nkey = \"o-{links}\"\n[cache.o.links]\nfiles = [\"*.sha256\"]\n";
    job.write("workspace/cachekeep.toml", config);
    job.write("workspace/a.sha256", &good);
    job.write("workspace/b.sha256", &bad);
    let place = place(&job.step("start", &[]));
    for name in [&good, &bad] {
        job.write(&format!("{place}/SHA256/{name}"), "text");
    }
    job.set("CACHEKEEP_KEY_0", "o-1");
    job.set("CACHEKEEP_MATCHED_0", "o-1");
    let done = job.step("finish", &[]);
    assert_eq!([output(&done, "complete"), output(&done, "missing-count")], ["false", "1"], "{}", done.log);
    assert!(job.path(&format!("workspace/objects/SHA256/{good}")).exists());
    assert!(!job.path(&format!("workspace/objects/SHA256/{bad}")).exists(), "{}", done.log);
}

/// A pattern has the workspace as its root, in which actions/cache works.
#[test]
fn what_a_pattern_matched_goes_through_actions_cache_and_the_workspace_stays() {
    let inputs = |mode| [("path", "**/node_modules"), ("key", "k-1"), ("restore-keys", "k-"), ("mode", mode)];
    let mut job = Job::new();
    job.write("workspace/a/node_modules/x/index.js", "saved");
    job.write("workspace/a/package.json", "mine");
    let place = place(&job.step("start", &inputs("save")));
    job.set("CACHEKEEP_KEY_0", "k-1");
    let staged = job.step("stage", &inputs("save"));
    let shown = job.path(&place);
    assert_eq!(fs::read_to_string(shown.join("a/node_modules/x/index.js")).expect("shown"), "saved");
    assert!(!shown.join("a/package.json").exists() && !shown.join(".cachekeep").exists());
    job.set("CACHEKEEP_STAGED_0", output(&staged, "staged-0"));
    job.set("CACHEKEEP_KEPT_0", "true");
    assert_eq!(output(&job.step("finish", &inputs("save")), "save-result"), "saved");
    fs::remove_dir_all(job.path("workspace/a/node_modules")).expect("removed");
    job.step("start", &inputs("restore"));
    job.write(&format!("{place}/a/node_modules/x/index.js"), "saved");
    job.write(&format!("{place}/a/package.json"), "not the cache's");
    job.set("CACHEKEEP_RESTORE_KEYS_0", "k-");
    job.set("CACHEKEEP_MATCHED_0", "k-1");
    let done = job.step("finish", &inputs("restore"));
    assert_eq!(output(&done, "hit"), "exact", "{}", done.log);
    let read = |name: &str| fs::read_to_string(job.path(name)).expect("there");
    assert_eq!(read("workspace/a/node_modules/x/index.js"), "saved");
    assert_eq!(read("workspace/a/package.json"), "mine");
    assert!(!job.path("workspace/.cachekeep").exists());
}
