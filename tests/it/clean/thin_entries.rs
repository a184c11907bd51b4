//! Thin entries in a store that is listed and cleaned: made by hand, since their names are all that cleaning reads.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use axum::http::Method;
use cachekeep::domain::key::Key;
use cachekeep::domain::thin::{ShortId, ThinKey};
use cachekeep::domain::unit::ByteSize;
use cachekeep::domain::version::Version;
use cachekeep_test_support::project::{Project, file_url};
use serde_json::Value;

use super::defects::fault;
use super::own_store::{CONFIG, keys, run};
use super::{clean, planned, reason, setup};

const DAY: Duration = Duration::from_hours(24);

fn key(text: &str) -> Key {
    Key::new(text).expect(text)
}

/// The stored key of a thin entry of a tree of 2.4 GB, or so.
fn stored_key(saved_for: &str, parents: Vec<ShortId>) -> Key {
    ThinKey::new(&key(saved_for), ByteSize(2_400_000_000), parents).expect("a thin key").to_key()
}

/// The version of the full entries of the cache `c`, and that of its thin ones.
fn versions() -> (Version, Version) {
    let roots = [".cachekeep/c"];
    (Version::of_roots(roots), Version::of_thin_roots(roots))
}

fn date(path: &Path, days: u32) {
    let file = File::options().write(true).open(path).expect("an entry");
    file.set_modified(SystemTime::now() - DAY * days).expect("set");
}

/// Saves a full entry so many days ago.
fn save_full(project: &Project, day: &str, days: u32) -> PathBuf {
    project.write("workspace/cache/file", format!("content of {day}"));
    run(project, &["save", "--var", &format!("day={day}"), "--required"]).success();
    let scope = project.path("store/repositories");
    let mut files = vec![scope];
    while let Some(path) = files.pop() {
        if path.ends_with(format!("c-{day}.tar.zst")) {
            date(&path, days);
            return path;
        }
        files.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|child| child.path()));
    }
    panic!("it was just saved");
}

/// Puts a thin entry beside a full one, so many days ago, that takes content from the full entry of this day.
fn put_thin(base: &Path, day: &str, of: &str, days: u32) {
    let (full, thin) = versions();
    assert!(base.parent().expect("a version").ends_with(full.as_str()), "{}", base.display());
    let parent = ShortId::of(&key(&format!("c-{of}")), &full);
    let name = stored_key(&format!("c-{day}"), vec![parent]).as_str().replace('~', "=7e");
    let directory = base.ancestors().nth(2).expect("a scope").join(thin.as_str());
    std::fs::create_dir_all(&directory).expect("create");
    let path = directory.join(format!("{name}.tar.zst"));
    std::fs::write(&path, vec![0; 52_000]).expect("write");
    date(&path, days);
}

fn found<'a>(document: &'a Value, key: &str) -> &'a Value {
    let entries = document["plan"]["entries"].as_array().or(document["entries"].as_array());
    let mut entries = entries.expect("entries").iter();
    entries.find(|entry| entry["key"] == key).expect(key)
}

#[test]
fn a_base_stays_as_long_as_a_generation_needs_it() {
    let project = Project::new(CONFIG);
    let base = save_full(&project, "20261101", 9);
    put_thin(&base, "20261102", "20261101", 8);
    put_thin(&base, "20261103", "20261101", 7);
    let ran = run(&project, &["clean", "--json"]).success();
    let done = ran.json();
    assert_eq!(keys(&done, "delete"), ["c-20261102".to_owned()].into(), "{}", ran.stderr);
    let kept = found(&done, "c-20261101");
    assert_eq!(kept["reasons"][0]["text"], "needed by `c-20261103`");
    assert_eq!(kept["despite"][0]["rule"], "superseded");
    let listed = run(&project, &["ls", "--json"]).success().json();
    assert_eq!(listed["entries"].as_array().map(Vec::len), Some(2));
    let thin = &found(&listed, "c-20261103")["thin"];
    assert_eq!((&thin["base"], &thin["whole-size"]), (&"c-20261101".into(), &(2_289_u64 << 20).into()));
    assert!(thin["stored-key"].as_str().expect("a key").starts_with("c-20261103~t8f1."), "{thin}");
    assert!(found(&listed, "c-20261101")["thin"].is_null());
    let text = run(&project, &["ls", "--key", "c-20261103"]).success().stdout;
    assert!(
        text.contains("52.0 kB of 2.40 GB  7 d ago  refs/heads/main  c-20261103 on c-20261101\n"),
        "{text}"
    );
    let usage = run(&project, &["usage"]).success().stdout;
    assert!(usage.contains("2  c-*\n") && usage.contains("c-20261103 (thin) of refs/heads/main"), "{usage}");
    std::fs::remove_file(&base).expect("remove");
    let text = run(&project, &["ls", "--key", "c-20261103"]).success().stdout;
    assert!(text.contains("c-20261103 on an entry that is gone"), "{text}");
    let ran = run(&project, &["clean", "--dry-run"]).success();
    let why =
        "`c-20261103` (thin) of refs/heads/main: 52.0 kB\n    an entry that it takes content from is gone";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
    let done = run(&project, &["clean", "--json"]).success().json();
    assert_eq!(keys(&done, "delete"), ["c-20261103".to_owned()].into());
    assert_eq!(found(&done, "c-20261103")["reasons"][0]["rule"], "parent-gone");
    assert_eq!(done["freed"]["entries"], 1);
}

#[test]
fn a_saved_plan_names_thin_entries_and_is_stale_when_one_more_needs_what_it_deletes() {
    let project = Project::new(CONFIG);
    let base = save_full(&project, "20261101", 20);
    put_thin(&base, "20261102", "20261101", 19);
    save_full(&project, "20261103", 18);
    let plan = project.path("plan.json").display().to_string();
    run(&project, &["clean", "--dry-run", "--plan-out", &plan]).success();
    put_thin(&base, "20261104", "20261101", 0);
    let store = file_url(&project.path("store"));
    let ran = project.run(&["clean", "--apply", &plan, "--store", &store, "--default-ref", "main"]).code(1);
    assert!(
        ran.stderr.contains("the plan is stale: entry ") && ran.stderr.contains("takes from it"),
        "{}",
        ran.stderr
    );
    let listed = run(&project, &["ls", "--json"]).success().json();
    assert_eq!(listed["entries"].as_array().map(Vec::len), Some(4));
}

#[test]
fn an_entry_that_is_deleted_by_hand_takes_along_what_takes_content_from_it() {
    let project = Project::new(CONFIG);
    let base = save_full(&project, "20261101", 9);
    put_thin(&base, "20261102", "20261101", 8);
    save_full(&project, "20261103", 1);
    let ran = run(&project, &["delete", "--key", "c-20261101", "--yes", "--json"]).success();
    assert_eq!(keys(&ran.json(), "delete"), ["c-20261101", "c-20261102"].map(str::to_owned).into());
    let why = "`c-20261102` (thin) of refs/heads/main: 52.0 kB\n    `c-20261101`, which it takes content from, is deleted as well";
    assert!(ran.stderr.contains(why), "{}", ran.stderr);
}

#[test]
fn a_base_is_not_deleted_where_an_entry_that_needs_it_could_not_be() {
    let (api, project) = setup("[clean]\nsuperseded = { keep = 1 }\n");
    let (full, thin) =
        (Version::parse(&"5".repeat(64)).expect("one"), Version::parse(&"6".repeat(64)).expect("one"));
    let id = ShortId::of(&key("c-20261101"), &full);
    let base = api.world().save("refs/heads/main", "c-20261101", (400.0, 300.0), 2_400);
    let stored = stored_key("c-20261102", vec![id]);
    let stuck = api.world().save("refs/heads/main", stored.as_str(), (399.0, 300.0), 52);
    api.world().caches.last_mut().expect("it was just saved").version = thin.to_string();
    let newest = api.world().save("refs/heads/main", "c-20261103", (398.0, 300.0), 2_400);
    api.world().faults.push(fault(Method::DELETE, &format!("/caches/{stuck}"), 100, 422, "Unprocessable"));
    let ran = clean(&api, &project, &[]).code(1);
    let done = ran.json();
    assert_eq!(planned(&done), [base, stuck].map(|id| id.to_string()).into());
    assert_eq!(reason(&done, newest), "keep: current");
    assert_eq!(done["rounds"][0]["failed"][0]["id"], stuck.to_string());
    assert_eq!(done["rounds"][0]["spared"][0]["id"], base.to_string());
    assert_eq!(done["rounds"][0]["spared"][0]["why"], "`c-20261102` (thin) takes content from it, and stays");
    assert_eq!(api.world().ids(), [base, stuck, newest].map(|id| id.to_string()).into());
    api.world().faults.clear();
    let done = clean(&api, &project, &[]).success().json();
    assert_eq!(done["freed"]["entries"], 2);
    let order: Vec<String> =
        api.world().calls.iter().filter(|call| call.0 == Method::DELETE).map(|call| call.1.clone()).collect();
    assert!(order[order.len() - 2].contains(&stuck.to_string()), "the base goes last: {order:?}");
}

#[test]
fn explain_finds_a_thin_entry_and_says_what_it_lacks() {
    let project = Project::new(CONFIG);
    let base = save_full(&project, "20261101", 9);
    put_thin(&base, "20261102", "20261101", 8);
    let explain = |day: &str| {
        let ran = run(&project, &["explain", "c", "--json", "--var", &format!("day={day}")]).success();
        ran.json()["caches"][0].clone()
    };
    let one = explain("20261102");
    let verdict =
        "hits exactly: `c-20261102` of refs/heads/main, 52.0 kB of 2.40 GB on `c-20261101`, saved 8 d ago";
    assert_eq!((&one["result"], &one["verdict"]), (&"hit".into(), &verdict.into()));
    assert!(one["differs"].is_null(), "{one}");
    std::fs::remove_file(&base).expect("remove");
    let one = explain("20261102");
    assert_eq!((&one["result"], &one["differs"]), (&"miss".into(), &"parent-gone".into()));
    let text = one["verdict"].as_str().expect("a verdict");
    let found = "misses: the thin entry `c-20261102` of refs/heads/main is found, but its base, `c-20261101`, is not there any more: it was saved here at ";
    assert!(text.starts_with(found), "{text}");
    assert_eq!(one["witness"]["key"], "c-20261102");
    let store = file_url(&project.path("store"));
    assert!(one["candidates"][0]["entry"]["thin"].is_object(), "{store}: {one}");
}
