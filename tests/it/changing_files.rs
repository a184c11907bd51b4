//! Files that another process writes to while a cache is saved.

use std::fs::{self, File};
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use cachekeep_test_support::project::Project;
use cachekeep_test_support::threads::SetAtTheEnd;

const CONFIG: &str = "[cache.out]\npath = \"{workspace}/out\"\nkey = \"out-v1\"\n";

/// Does something while a file grows.
fn while_growing<T>(path: &std::path::Path, work: impl FnOnce() -> T) -> T {
    let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut file = File::options().append(true).create(true).open(path).expect("a log");
    std::thread::scope(|scope| {
        let _done_at_the_end = SetAtTheEnd(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                file.write_all(b"a line of a log\n").expect("written");
                begun.store(true, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        while !begun.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
        work()
    })
}

/// How many saves are tried until one meets the log while it grows: the writer may have no turn during a save.
const TRIES: usize = 50;

#[test]
fn a_log_that_grows_is_left_out_with_a_warning_and_the_rest_is_saved() {
    let project = Project::new(CONFIG);
    for number in 0..3_000 {
        project.write(&format!("workspace/out/files/{number}"), "contents");
    }
    // The first file that is looked at and the last that is read: what follows it fills a frame.
    let log = project.path("workspace/out/build.log");
    let warning = "build.log` does not stop changing, and is not in the entry";
    let met = while_growing(&log, || {
        (0..TRIES).find_map(|number| {
            project.write("workspace/cachekeep.toml", CONFIG.replace("v1", &format!("v{number}")));
            let ran = project.run(&["--json", "save"]).success();
            assert_eq!(ran.json()["caches"][0]["save"]["save-result"], "saved", "{}", ran.stderr);
            ran.stderr.contains(warning).then_some(ran.stderr)
        })
    });
    let told = met.expect("a save that met the log while it grew");
    assert!(told.contains("changed while being packed; once more"), "{told}");
    assert!(told.contains("stop what writes to it before the save, or exclude it"), "{told}");
    assert!(log.exists());
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    let ran = project.run(&["--json", "restore"]).success();
    assert_eq!(ran.json()["caches"][0]["restore"]["files"], 3_000, "{}", ran.stderr);
    assert_eq!(project.read("workspace/out/files/2999"), "contents");
    assert!(!log.exists());
    assert!(project.temporary_things().is_empty());
}

/// Without a home the store has a name of the user's own, not one that any user may have taken.
#[cfg(unix)]
#[test]
fn without_a_home_the_store_belongs_to_the_user() {
    use std::os::unix::fs::PermissionsExt as _;

    use cachekeep_test_support::project::Ran;

    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "saved");
    let without_home = |arguments: &[&str]| {
        let mut command = project.command();
        command.env_remove("HOME").env_remove("XDG_CACHE_HOME").args(arguments);
        Ran::of(&mut command).success()
    };
    without_home(&["save"]);
    let user = rustix::process::geteuid().as_raw();
    let own = project.path(&format!("temp/cachekeep-{user}"));
    assert!(own.join("store").is_dir());
    assert!(without_home(&["ls"]).stdout.contains("out-v1"));
    // One that others may write is not trusted.
    fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).expect("a mode");
    assert!(!without_home(&["ls"]).stdout.contains("out-v1"));
    let ran = without_home(&["--json", "restore"]);
    assert_eq!(ran.json()["caches"][0]["restore"]["hit"], "none", "{}", ran.stderr);
}

/// Names of one file that lie in two roots are two files afterwards, as the guide says: roots may go to different volumes.
#[cfg(unix)]
#[test]
fn hard_links_across_roots_become_files_of_their_own() {
    use std::os::unix::fs::MetadataExt as _;

    let project = Project::new("[cache.two]\npaths = [\"a\", \"b\"]\nkey = \"two-v1\"\n");
    project.write("workspace/a/x", "text");
    fs::create_dir(project.path("workspace/b")).expect("made");
    for name in ["a/same", "b/other"] {
        let path = project.path("workspace").join(name);
        fs::hard_link(project.path("workspace/a/x"), path).expect("linked");
    }
    project.run(&["save"]).success();
    for name in ["a", "b"] {
        fs::remove_dir_all(project.path("workspace").join(name)).expect("removed");
    }
    project.run(&["restore"]).success();
    let inode = |name: &str| fs::metadata(project.path("workspace").join(name)).expect("there").ino();
    assert_eq!(inode("a/x"), inode("a/same"));
    assert_ne!(inode("a/x"), inode("b/other"));
    assert_eq!(project.read("workspace/b/other"), "text");
}
