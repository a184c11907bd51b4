//! Generations: a save stores what changed alone, a restore brings all of it back, and whatever is gone or damaged costs a fallback or a
//! miss, never a half tree.

use std::fs;
use std::path::PathBuf;

use cachekeep_test_support::event::started_by;
use cachekeep_test_support::github_service::GitHubService;
use cachekeep_test_support::project::{Project, Ran};
use cachekeep_test_support::tree::{Snapshot, contents, snapshot};
use serde_json::Value;

const CONFIG: &str = r#"
[cache.data]
path = "{workspace}/data"
key = "data-{var.generation}"
restore-keys = ["data-"]
generations = "1MB"
"#;

/// Bytes that do not compress, the same for every seed.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

struct Job {
    project: Project,
    reference: &'static str,
}

impl Job {
    /// A cache of some three megabytes.
    fn new(config: &str) -> Self {
        let project = Project::new(config);
        for index in 0..300_u64 {
            let size = 2_000 + usize::try_from(index).expect("small") * 60;
            project.write(&format!("workspace/data/d{}/f{index}", index % 9), noise(size, index));
        }
        Job { project, reference: "main" }
    }

    fn run(&self, generation: u64, command: &[&str]) -> Ran {
        let variable = format!("generation={generation}");
        let fixed = ["--json", "--ref", self.reference, "--default-ref", "main", "--var", &variable];
        self.project.run(&[&fixed[..], command].concat())
    }

    fn save(&self, generation: u64) -> Value {
        let ran = self.run(generation, &["save"]);
        ran.json()["caches"][0]["save"].clone()
    }

    fn restore(&self, generation: u64) -> (Value, String) {
        let ran = self.run(generation, &["restore"]);
        (ran.json()["caches"][0]["restore"].clone(), ran.stderr)
    }

    /// Changes one file and adds another.
    fn change(&self, generation: u64) {
        let changed = format!("workspace/data/d3/f{}", 3 + 9 * generation);
        self.project.write(&changed, noise(4_000, 1_000 + generation));
        self.project.write(&format!("workspace/data/new/{generation}"), noise(3_000, 2_000 + generation));
    }

    fn tree(&self) -> Snapshot {
        snapshot(&self.project.path("workspace/data"))
    }

    fn remove(&self) {
        fs::remove_dir_all(self.project.path("workspace/data")).expect("removed");
    }

    /// The files of the store whose names begin so.
    fn stored(&self, prefix: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut directories = vec![self.project.path("")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(&directory).expect("a listing").flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    directories.push(entry.path());
                } else if name.starts_with(prefix) && name.ends_with(".tar.zst") {
                    found.push(entry.path());
                }
            }
        }
        found
    }

    /// The one entry of a generation; thin ones have more in their names.
    fn entry(&self, generation: u64, thin: bool) -> PathBuf {
        let prefix = if thin { format!("data-{generation}=7et") } else { format!("data-{generation}.tar") };
        let found = self.stored(&prefix);
        assert_eq!(found.len(), 1, "{found:?}");
        found[0].clone()
    }
}

/// A full entry, and two generations on it.
fn three_generations() -> Job {
    let job = Job::new(CONFIG);
    assert_eq!(job.save(1)["save-result"], "saved");
    for generation in 2..=3 {
        job.change(generation);
        assert_eq!(job.save(generation)["save-result"], "saved");
    }
    job
}

#[test]
fn a_save_stores_what_changed_and_a_restore_brings_all_of_it() {
    let job = Job::new(CONFIG);
    let full = job.save(1);
    assert_eq!(full["whole-bytes"], Value::Null);
    let whole = full["archive-bytes"].as_u64().expect("a number");
    for generation in 2..=6 {
        job.change(generation);
        let saved = job.save(generation);
        assert_eq!(saved["save-result"], "saved");
        let stored = saved["archive-bytes"].as_u64().expect("a number");
        // Seven kilobytes, and a line for each of three hundred files.
        assert!(stored < 7_000 + 300 * 80, "{stored} of {whole}");
        let estimate = saved["whole-bytes"].as_u64().expect("a number");
        assert!(estimate.abs_diff(whole) < whole / 20, "{estimate} for {whole}");
        assert_eq!(saved["files"], 300 + generation - 1);
        let expect = job.tree();
        job.remove();
        let (restored, _) = job.restore(generation);
        assert_eq!(
            (&restored["hit"], &restored["matched-key"]),
            (&"exact".into(), &format!("data-{generation}").into())
        );
        assert_eq!(job.tree(), expect);
    }
    // What is there already is not read.
    job.change(7);
    job.save(7);
    job.remove();
    job.restore(6);
    let ran = job.run(7, &["--verbose", "restore"]);
    assert!(ran.stderr.contains("304 files of 306 are there already"), "{}", ran.stderr);
    let text = &ran.stderr[ran.stderr.find("reading ").expect("said")..];
    assert!(text.starts_with("reading 7.") && text.contains("kB of 7 entries"), "{text}");
}

#[test]
fn what_did_not_change_since_a_thin_entry_is_not_saved() {
    let job = three_generations();
    job.remove();
    job.restore(3);
    assert_eq!(job.save(4)["save-result"], "unchanged");
    assert_eq!(job.save(3)["save-result"], "exists");
    job.change(4);
    assert_eq!(job.save(4)["save-result"], "saved");
    assert_eq!(job.stored("data-4=7et").len(), 1);
}

#[test]
fn without_the_entry_that_it_takes_content_from_a_thin_one_is_a_miss_and_the_next_save_is_full() {
    let job = three_generations();
    fs::remove_file(job.entry(1, false)).expect("removed");
    let tree = job.tree();
    job.remove();
    let (restored, said) = job.restore(3);
    assert_eq!(restored["hit"], "none");
    assert!(said.contains("`data-1`, which `data-3` takes content from, is gone"), "{said}");
    assert_eq!(job.project.temporary_things(), Vec::<PathBuf>::new());
    // The build makes it again; the key is not blocked.
    for index in 0..300_u64 {
        job.project.write(&format!("workspace/data/d{}/f{index}", index % 9), noise(2_000, index));
    }
    let saved = job.save(3);
    assert_eq!((&saved["save-result"], &saved["whole-bytes"]), (&"saved".into(), &Value::Null));
    let expect = job.tree();
    assert_ne!(expect, tree);
    job.remove();
    assert_eq!(job.restore(3).0["hit"], "exact");
    assert_eq!(job.tree(), expect);
}

#[test]
fn a_full_entry_is_restored_in_the_place_of_a_thin_one_that_cannot_be() {
    for damage in ["its base is gone", "the thin entry is damaged"] {
        let job = Job::new(&CONFIG.replace("1MB", "1GB"));
        // Two full entries, and a thin one on the newer of them.
        job.save(3);
        let oldest = contents(&job.project.path("workspace/data"));
        job.change(4);
        job.save(4);
        let base = contents(&job.project.path("workspace/data"));
        job.project.write("workspace/cachekeep.toml", CONFIG);
        job.change(5);
        job.save(5);
        let (path, expect, key) = match damage {
            "the thin entry is damaged" => (job.entry(5, true), base, "data-4"),
            _ => (job.entry(4, false), oldest, "data-3"),
        };
        let mut bytes = fs::read(&path).expect("read");
        if damage == "its base is gone" {
            fs::remove_file(&path).expect("removed");
        } else {
            let middle = bytes.len() / 3;
            bytes[middle] ^= 0x10;
            fs::write(&path, bytes).expect("written");
        }
        job.remove();
        let (restored, said) = job.restore(5);
        assert_eq!(
            (&restored["hit"], &restored["matched-key"]),
            (&"partial".into(), &key.into()),
            "{damage}: {said}"
        );
        assert_eq!(contents(&job.project.path("workspace/data")), expect, "{damage}");
        // The key is not blocked by what cannot be restored.
        job.change(6);
        assert_eq!(job.save(5)["save-result"], "saved", "{damage}");
        let tree = job.tree();
        job.remove();
        assert_eq!(job.restore(5).0["hit"], "exact", "{damage}");
        assert_eq!(job.tree(), tree, "{damage}");
        assert!(said.contains("`data-5` of refs/heads/main was not restored"), "{damage}: {said}");
    }
}

/// What depends on it is removed by the save of its key, as it is itself.
#[test]
fn a_damaged_base_is_a_miss_and_blocks_no_key() {
    let job = three_generations();
    let path = job.entry(1, false);
    let mut bytes = fs::read(&path).expect("read");
    let middle = bytes.len() / 3;
    bytes[middle] ^= 0x10;
    fs::write(&path, bytes).expect("written");
    let thin = job.entry(3, true);
    for _ in 0..2 {
        job.remove();
        let (restored, said) = job.restore(3);
        assert_eq!(restored["hit"], "none", "{said}");
        job.change(3);
    }
    let saved = job.save(3);
    assert_eq!((&saved["save-result"], &saved["whole-bytes"]), (&"saved".into(), &Value::Null), "{saved}");
    assert!(!thin.exists());
    let expect = job.tree();
    job.remove();
    assert_eq!(job.restore(3).0["hit"], "exact");
    assert_eq!(job.tree(), expect);
}

#[test]
fn a_pull_request_saves_a_thin_entry_or_none() {
    let mut job = three_generations();
    job.reference = "refs/pull/7/merge";
    job.change(4);
    let saved = job.save(4);
    assert_eq!((&saved["save-result"], saved["whole-bytes"].is_u64()), (&"saved".into(), true));
    let expect = job.tree();
    job.remove();
    assert_eq!(job.restore(4).0["hit"], "exact");
    assert_eq!(job.tree(), expect);
    for index in 0..200_u64 {
        job.project.write(&format!("workspace/data/d{}/f{index}", index % 9), noise(9_000, 5_000 + index));
    }
    let saved = job.save(5);
    assert_eq!(saved["save-result"], "skipped");
    let reason = saved["reason"].as_str().expect("a reason");
    assert_eq!(reason, "a pull request saves what changed alone, and more than half of it is new");
    // A branch saves all of it.
    job.reference = "main";
    let saved = job.save(5);
    assert_eq!((&saved["save-result"], &saved["whole-bytes"]), (&"saved".into(), &Value::Null));
}

#[test]
fn small_caches_are_saved_in_full_and_who_has_no_generations_finds_full_entries() {
    let job = Job::new(&CONFIG.replace("\"1MB\"", "true"));
    job.save(1);
    job.change(2);
    assert_eq!(job.save(2)["whole-bytes"], Value::Null);
    let job = three_generations();
    job.project.write("workspace/cachekeep.toml", CONFIG.replace("\"1MB\"", "false"));
    job.remove();
    assert_eq!(job.restore(3).0["matched-key"], "data-1");
}

#[test]
fn they_are_usual_in_a_directory_and_not_on_github() {
    let said = |told: &str| {
        let at = told.find("all of it is saved: ")?;
        told[at..].lines().next().map(str::to_owned)
    };
    let config = CONFIG.replace("generations = \"1MB\"\n", "");
    let job = Job::new(&config);
    job.save(1);
    job.change(2);
    let here = said(&job.run(2, &["--verbose", "save"]).stderr).expect("said");
    assert!(here.ends_with(" MB, less than 134.2 MB"), "{here}");
    let service = GitHubService::start();
    let on_github = |generation: &str| {
        let mut command = job.project.command();
        command.args(["--verbose", "--store", "github", "--var", generation, "save", "--required"]);
        command.envs(started_by("push", &job.project.path("temp")));
        command.env("GITHUB_REF", "refs/heads/main").env("RUNNER_TEMP", job.project.path("temp"));
        command.env("ACTIONS_RESULTS_URL", service.url());
        command.env("ACTIONS_RUNTIME_TOKEN", GitHubService::token(&[("refs/heads/main", 3)]));
        said(&Ran::of(&mut command).success().stderr)
    };
    assert_eq!(on_github("generation=3"), None);
    assert_eq!(on_github("generation=4"), None);
    job.project.write("workspace/cachekeep.toml", config.replace("restore", "generations = true\nrestore"));
    assert!(on_github("generation=5").is_some());
}

#[test]
fn a_change_in_time_alone_stores_a_list() {
    let job = Job::new(CONFIG);
    job.save(1);
    let before = filetime::FileTime::from_unix_time(1_500_000_000, 5);
    filetime::set_file_mtime(job.project.path("workspace/data/d3/f3"), before).expect("a time");
    job.project.write("workspace/data/d4/f4", noise(100, 7));
    let saved = job.save(2);
    assert!(saved["archive-bytes"].as_u64().expect("a number") < 300 * 80, "{saved}");
    let expect = job.tree();
    job.remove();
    job.restore(2);
    assert_eq!(job.tree(), expect);
}

#[test]
fn several_paths_among_them_a_file_are_one_cache() {
    let paths = "[\"{workspace}/data\", \"{workspace}/more\", \"{workspace}/one.bin\"]";
    let job = Job::new(&CONFIG.replace("path = \"{workspace}/data\"", &format!("paths = {paths}")));
    job.project.write("workspace/more/same", noise(2_060, 1));
    job.project.write("workspace/one.bin", noise(40_000, 50));
    assert_eq!(job.save(1)["save-result"], "saved");
    job.change(2);
    // A content that another path has, a change of the file, and one that is only a time.
    job.project.write("workspace/more/new", noise(2_000, 0));
    job.project.write("workspace/one.bin", noise(40_000, 51));
    let saved = job.save(2);
    let stored = saved["archive-bytes"].as_u64().expect("a number");
    assert!((47_000..47_000 + 310 * 80).contains(&stored), "{saved}");
    let workspace = job.project.path("workspace");
    let tree = || {
        let mut tree = snapshot(&workspace);
        // The workspace itself is of no cache.
        tree.remove("");
        tree
    };
    let expect = tree();
    // Into nothing, and into what the first generation left.
    job.remove();
    fs::remove_dir_all(workspace.join("more")).expect("removed");
    fs::remove_file(workspace.join("one.bin")).expect("removed");
    assert_eq!(job.restore(1).0["hit"], "exact");
    assert_eq!(job.restore(2).0["hit"], "exact");
    assert_eq!(tree(), expect);
    job.remove();
    fs::remove_file(workspace.join("one.bin")).expect("removed");
    assert_eq!(job.restore(2).0["hit"], "exact");
    assert_eq!(tree(), expect);
}

#[test]
fn a_full_entry_is_read_as_far_as_it_is_not_there() {
    let job = Job::new(&CONFIG.replace("\"1MB\"", "false"));
    job.save(1);
    let expect = job.tree();
    let restored = || {
        let ran = job.run(1, &["--verbose", "restore"]);
        assert_eq!(ran.json()["caches"][0]["restore"]["hit"], "exact", "{}", ran.stderr);
        assert!(job.tree() == expect, "{}", ran.stderr);
        let said = ran.stderr.lines().filter_map(|line| line.split_once("data: "));
        let said = said.map(|(_, said)| said.to_owned());
        said.filter(|said| said.contains("already") || said.starts_with("reading")).collect()
    };
    let there: Vec<String> = restored();
    assert_eq!(there, ["300 files of 300 are there already", "reading 0 B of 1 entry"]);
    // A file that is gone, and one that has changed but not its size and time.
    fs::remove_file(job.project.path("workspace/data/d3/f3")).expect("removed");
    let path = job.project.path("workspace/data/d4/f4");
    let time = filetime::FileTime::from_last_modification_time(&fs::metadata(&path).expect("there"));
    job.project.write("workspace/data/d4/f4", noise(2_240, 77));
    filetime::set_file_mtime(&path, time).expect("a time");
    let there: Vec<String> = restored();
    assert_eq!(there[0], "298 files of 300 are there already");
    assert!(there[1] != "reading 0 B of 1 entry" && there[1].ends_with("B of 1 entry"), "{there:?}");
    // Most of it is gone: all of it is read, in one stream.
    for index in 0..6 {
        fs::remove_dir_all(job.project.path(&format!("workspace/data/d{index}"))).expect("removed");
    }
    assert_eq!(restored(), Vec::<String>::new());
    job.remove();
    assert_eq!(restored(), Vec::<String>::new());
}

#[test]
fn what_a_restore_needs_counts_as_used() {
    let job = three_generations();
    let last_use = |key: &str| {
        let ran = job.run(1, &["ls"]);
        let entries = ran.json()["entries"].as_array().cloned().expect("entries");
        let entry = entries.iter().find(|entry| entry["key"] == key).cloned().expect("listed");
        entry["last-used-at"].as_str().expect("a time").to_owned()
    };
    let keys = ["data-1", "data-2", "data-3"];
    let before = keys.map(last_use);
    job.remove();
    // The times are shown in seconds.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(job.restore(3).0["hit"], "exact");
    let after = keys.map(last_use);
    assert!(before.iter().zip(&after).all(|(before, after)| before < after), "{before:?} {after:?}");
}

#[cfg(unix)]
mod what_is_there {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    /// Restores the second generation into a tree of the first, in which some files are not as they should be, and says how it was
    /// published.
    fn restore_into_present(config: &str) -> (Job, String) {
        let job = Job::new(config);
        assert_eq!(job.save(1)["save-result"], "saved");
        job.change(2);
        assert_eq!(job.save(2)["save-result"], "saved");
        // The directory above what a pattern matches is of no cache.
        let tree = || {
            let mut tree = job.tree();
            tree.remove("");
            tree
        };
        let expect = tree();
        job.remove();
        assert_eq!(job.restore(1).0["hit"], "exact");
        let (data, elsewhere) = (job.project.path("workspace/data"), job.project.path("elsewhere"));
        fs::create_dir(&elsewhere).expect("a directory");
        fs::set_permissions(data.join("d0/f0"), fs::Permissions::from_mode(0o600)).expect("a mode");
        fs::hard_link(data.join("d1/f1"), elsewhere.join("f1")).expect("a link");
        fs::rename(data.join("d2"), elsewhere.join("d2")).expect("renamed");
        symlink(elsewhere.join("d2"), data.join("d2")).expect("a link");
        let names = ["d0/f0", "d1/f1", "d2/f2", "d3/f12", "d4/f4", "d3/f21"];
        let files = || names.map(|name| fs::metadata(data.join(name)).map_or(0, |found| found.ino()));
        let before = files();
        let ran = job.run(2, &["--verbose", "restore"]);
        assert_eq!(ran.json()["caches"][0]["restore"]["hit"], "exact", "{}", ran.stderr);
        assert_eq!(tree(), expect);
        let same: Vec<bool> = before.iter().zip(files()).map(|(before, now)| *before == now).collect();
        // Another mode, a name elsewhere, a directory elsewhere; as it was, twice; another content.
        assert_eq!(same, [false, false, false, true, true, false], "{}", ran.stderr);
        for name in names {
            assert_eq!(fs::metadata(data.join(name)).expect("there").nlink(), 1, "{name}");
        }
        assert_eq!(fs::metadata(elsewhere.join("d2/f2")).expect("there").ino(), before[2]);
        assert_eq!(job.project.temporary_things(), Vec::<PathBuf>::new());
        (job, ran.stderr)
    }

    #[test]
    fn is_linked_where_it_is_as_it_should_be() {
        let (_, text) = restore_into_present(CONFIG);
        assert!(text.contains("exchanged in one step"), "{text}");
    }

    #[test]
    fn is_linked_where_the_tree_is_merged_in_place() {
        let config = CONFIG.replace("{workspace}/data", "{workspace}/data/**/*");
        let (_, text) = restore_into_present(&config);
        assert!(text.contains("merged in place"), "{text}");
    }
}
