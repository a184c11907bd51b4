//! The flow of a populate job: restore by prefix, fetch the difference, prune, gate, save.

use std::fs;

use cachekeep::domain::digest::Algorithm;

use crate::populate::objects::{Object, assert_holds, config, content, served};
use cachekeep_test_support::capture::Source;
use cachekeep_test_support::mirror_server::{Manner, MirrorServer};
use cachekeep_test_support::project::{Project, Ran, file_url};

struct Populate {
    project: Project,
    objects: Vec<Object>,
    mirror: MirrorServer,
}

fn populate(more: &str) -> Populate {
    let project = Project::new("");
    let objects = served(&project, 40);
    let mirror = MirrorServer::start(project.path("mirror"), Manner::Good);
    project.write("workspace/cachekeep.toml", config(&[mirror.template()], more));
    Populate { project, objects, mirror }
}

impl Populate {
    /// What the populate job does, on a machine that has nothing yet.
    fn job(&self, git_ref: &str) -> Ran {
        let _ = fs::remove_dir_all(self.project.path("workspace/store"));
        let arguments = ["--ref", git_ref, "--default-ref", "main", "--json", "run", "--", "true"];
        let ran = self.project.run(&arguments).success();
        assert!(self.project.temporary_things().is_empty());
        ran
    }

    /// Four links name other objects.
    fn change_four_links(&mut self) {
        for index in [3, 11, 22, 39] {
            let algorithm = self.objects[index].algorithm;
            self.objects[index] = Object::new(algorithm, content(1000 + index as u64, 5000));
            self.objects[index].serve_from(&self.project.path("mirror"));
            self.objects[index].link(&self.project, &format!("data/{index}"));
        }
    }
}

fn field(ran: &Ran, pointer: &str) -> serde_json::Value {
    let value = ran.json()["caches"][0].pointer(pointer).cloned();
    value.unwrap_or_else(|| panic!("no {pointer}: {}\n{}", ran.stdout, ran.stderr))
}

#[test]
fn four_changed_links_cost_four_objects_and_make_a_new_generation() {
    let mut populate = populate("unwanted = \"prune\"");
    let first = populate.job("main");
    assert_eq!(field(&first, "/seed/fetched"), 40);
    assert_eq!(field(&first, "/save/save-result"), "saved");
    let asked = populate.mirror.requests();
    assert_eq!(asked, 40, "every object once");

    let old = populate.objects.clone();
    populate.change_four_links();
    let second = populate.job("main");
    assert_eq!(field(&second, "/restore/hit"), "partial");
    assert_eq!(field(&second, "/seed/fetched"), 4);
    assert_eq!(populate.mirror.requests() - asked, 4);
    assert_eq!(field(&second, "/save/save-result"), "saved");
    assert_eq!(field(&second, "/gate/unwanted"), 0, "what no link wants is pruned");
    assert_holds(&populate.project, &populate.objects);
    for gone in old.iter().filter(|object| !populate.objects.contains(object)) {
        assert!(!gone.path(&populate.project).exists());
    }

    let third = populate.job("main");
    assert_eq!(field(&third, "/restore/hit"), "exact");
    assert_eq!(field(&third, "/seed/result"), "not-needed");
    assert_ne!(field(&third, "/save/save-result"), "saved");
    assert_eq!(populate.mirror.requests() - asked, 4, "nothing is fetched again");
    the_old_generation_is_superseded(&populate, &field(&first, "/save/key"), &field(&second, "/save/key"));
}

fn the_old_generation_is_superseded(populate: &Populate, old: &serde_json::Value, new: &serde_json::Value) {
    let project = &populate.project;
    let config = project.read("workspace/cachekeep.toml");
    project.write("workspace/cachekeep.toml", format!("{config}\n[clean]\nsuperseded = {{ keep = 1 }}\n"));
    let ran = project.run(&["clean", "--ref", "main", "--json"]).success();
    let deleted = ran.json()["rounds"][0]["deleted"].as_array().expect("a list").clone();
    assert_eq!(deleted.len(), 1, "{}", ran.stdout);
    let (id, old) = (deleted[0].as_str().expect("text"), old.as_str().expect("text"));
    assert!(id.contains(&format!("/{old}.tar.zst")), "{old}: {}", ran.stdout);
    assert!(ran.stderr.contains("superseded: "), "{}", ran.stderr);
    fs::remove_dir_all(project.path("workspace/store")).expect("removed");
    let restored = project.run(&["restore", "--ref", "main", "--fail-on-miss", "--json"]).success();
    assert_eq!(field(&restored, "/restore/matched-key"), *new);
    assert_holds(project, &populate.objects);
}

#[test]
#[cfg(unix)]
fn an_object_that_was_fetched_is_as_open_as_any_new_file() {
    use std::os::unix::fs::MetadataExt as _;
    let populate = populate("");
    populate.project.run(&["fetch", "--required"]).success();
    let mode = |path: &std::path::Path| fs::metadata(path).expect("there").mode();
    let usual = mode(&populate.project.write("workspace/new", "new"));
    for object in &populate.objects {
        assert_eq!(mode(&object.path(&populate.project)), usual, "{}", object.hash);
    }
}

#[test]
fn a_pull_request_fetches_what_it_needs_and_saves_nothing() {
    let mut populate = populate("");
    populate.job("main");
    let asked = populate.mirror.requests();
    populate.change_four_links();
    for _ in 0..2 {
        let ran = populate.job("refs/pull/7/merge");
        assert_eq!(field(&ran, "/gate/complete"), true);
        assert_eq!(field(&ran, "/save/save-result"), "denied-mode");
    }
    assert_eq!(populate.mirror.requests() - asked, 8, "four each time");
    assert_eq!(
        field(&populate.job("main"), "/restore/hit"),
        "partial",
        "the first generation is still alone"
    );
}

#[test]
fn objects_that_no_link_wants_stay_unless_pruning_is_asked_for() {
    for (more, kept) in [("", true), ("unwanted = \"keep\"", true), ("unwanted = \"prune\"", false)] {
        let populate = populate(more);
        let extra = Object::new(Algorithm::Sha1, b"no link names this".to_vec());
        let put = || {
            let path = extra.path(&populate.project);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, &extra.bytes).expect("written");
        };
        put();
        // A consumer prunes nothing, whatever is asked for, and so does a writer that is incomplete.
        let project = &populate.project;
        project.run(&["save", "--role", "consumer"]).success();
        project.run(&["save"]).success();
        assert!(extra.path(project).exists(), "{more}");
        project.run(&["fetch", "--required"]).success();
        project.run(&["save", "--required"]).success();
        assert_eq!(extra.path(project).exists(), kept, "{more}");
        assert_holds(project, &populate.objects);
    }
}

#[test]
fn what_a_build_fetched_by_itself_is_verified_and_kept() {
    let populate = populate("harvest = [\"{workspace}/build/Objects\"]");
    let project = &populate.project;
    project.run(&["fetch", "--required"]).success();
    let build = project.path("workspace/build/Objects");
    for index in [1, 2, 3] {
        fs::rename(populate.objects[index].path(project), project.path("temp/gone")).expect("moved");
        populate.objects[index].serve_from(&build);
    }
    // One of them is damaged, and no link names the other.
    fs::write(build.join(populate.objects[2].relative()), "damaged").expect("written");
    Object::new(Algorithm::Md5, b"of another branch".to_vec()).serve_from(&build);
    let ran = project.run(&["save", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "incomplete", "{}", ran.stderr);
    assert!(
        ran.stderr.contains("harvested 2 objects") && ran.stderr.contains("refused 1 object in"),
        "{}",
        ran.stderr
    );
    assert!(!populate.objects[2].path(project).exists());
    populate.objects[2].serve_from(&build);
    let ran = project.run(&["save", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "saved", "{}", ran.stderr);
    assert_holds(project, &populate.objects);
    assert!(build.join(populate.objects[1].relative()).exists(), "the build keeps its own");
    let gate = project.run(&["gate", "--json"]).success();
    assert_eq!(gate.json()["caches"][0]["gate"]["unwanted"], 0);
}

#[test]
fn leftovers_of_killed_tools_are_not_archived() {
    let populate = populate("");
    let project = &populate.project;
    project.run(&["fetch", "--required"]).success();
    for name in ["SHA1/x.part", "MD5/d41d8.tmp8f3aB21c", "CID/y.tmp", "notes~"] {
        project.write(&format!("workspace/store/{name}"), "half of something");
    }
    project.write("workspace/store/README", "kept");
    project.run(&["save", "--required"]).success();
    fs::remove_dir_all(project.path("workspace/store")).expect("removed");
    project.run(&["restore", "--fail-on-miss"]).success();
    assert_holds(project, &populate.objects);
    assert_eq!(project.read("workspace/store/README"), "kept");
    let gate = project.run(&["gate", "--json"]).success();
    assert_eq!(gate.json()["caches"][0]["gate"]["strangers"], 1, "the note alone");
}

#[test]
fn two_populate_jobs_at_once_leave_one_complete_entry() {
    let populate = populate("");
    let store = file_url(&populate.project.path("shared"));
    let start = |name: &str| {
        let mut command = populate.project.command();
        command.args(["--store", &store, "--ref", "main", "--json"]).args(["--temp"]);
        command.arg(populate.project.path(&format!("temp/{name}"))).args(["run", "--", "true"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        (Source::of("binary", &command), command.spawn().expect("it starts"))
    };
    let config = populate.project.read("workspace/cachekeep.toml");
    populate.project.write("workspace/cachekeep.toml", config.replace("\"store\"", "\"{temp}/store\""));
    let jobs = [start("a"), start("b")];
    let results: Vec<String> = jobs
        .into_iter()
        .map(|(source, job)| {
            let ran = Ran::read(&source, job.wait_with_output().expect("it ends")).success();
            field(&ran, "/save/save-result").as_str().expect("text").to_owned()
        })
        .collect();
    assert!(results.contains(&"saved".to_owned()), "{results:?}");
    assert!(
        results.iter().all(|result| ["saved", "exists", "unchanged"].contains(&&result[..])),
        "{results:?}"
    );
    let entries = cachekeep_test_support::tree::snapshot(&populate.project.path("shared"));
    assert_eq!(entries.keys().filter(|path| path.ends_with(".tar.zst")).count(), 1, "{entries:?}");
    let other = populate.project.path("temp/other");
    let mut restore = populate.project.command();
    restore.args(["--store", &store, "--ref", "main", "--temp"]).arg(&other);
    Ran::of(restore.args(["restore", "--fail-on-miss"])).success();
    for object in &populate.objects {
        let found = fs::read(other.join("store").join(object.relative())).expect(&object.hash);
        assert!(found == object.bytes, "{} is not what it should be", object.hash);
    }
}

#[test]
fn prefetch_completes_a_partial_hit_and_leaves_a_total_miss_to_the_build() {
    let mut populate = populate("prefetch = \"partial\"");
    let miss = populate.job("main");
    assert_eq!(field(&miss, "/seed/result"), "left-to-build");
    assert_eq!(populate.mirror.requests(), 0, "{}", miss.stderr);
    assert!(miss.stderr.contains("left to the build: 40 of 40 objects are missing"), "{}", miss.stderr);
    let seeded = populate.project.run(&["seed", "--json", "--required"]).success();
    assert_eq!(field(&seeded, "/seed/result"), "left-to-build");

    // By hand everything is fetched.
    populate.project.run(&["fetch", "--required"]).success();
    assert_eq!(populate.mirror.requests(), 40);
    populate.project.run(&["save", "--ref", "main", "--default-ref", "main", "--required"]).success();
    populate.change_four_links();
    let partial = populate.job("main");
    assert_eq!(field(&partial, "/restore/hit"), "partial");
    assert_eq!(field(&partial, "/seed/fetched"), 4);
    assert_eq!(populate.mirror.requests(), 44);
    assert_holds(&populate.project, &populate.objects);

    let config = populate.project.read("workspace/cachekeep.toml").replace("partial", "never");
    populate.project.write("workspace/cachekeep.toml", config);
    fs::remove_file(populate.objects[0].path(&populate.project)).expect("an object");
    let never = populate.project.run(&["seed", "--json"]).success();
    assert_eq!(field(&never, "/seed/result"), "left-to-build", "{}", never.stderr);
    assert!(never.stderr.contains("1 of 40 objects are missing; `prefetch = \"never\"`"), "{}", never.stderr);
    assert_eq!(populate.mirror.requests(), 44);
}
