//! Every kind of target, by every kind of user: how it is published, as the table in `docs/design/publishing.md` says. No restore
//! fails where `tar -x` into the same place would succeed.
//!
//! `CACHEKEEP_BLESS=1 cargo test --test it publishing::matrix` writes the table again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cachekeep_test_support::project::{binary, file_url};
use cachekeep_test_support::skip::skip;

/// A user and a group that own nothing on this machine, and others that are neither.
const USER: u32 = 65534;
const STRANGER: u32 = 65533;

const BEGIN: &str = "<!-- begin: written by tests/it/publishing/matrix.rs -->\n";
pub(super) const END: &str = "<!-- end -->\n";

/// The dimensions of a table, each with its values in the words of the table.
pub(super) type Dimensions = [(&'static str, &'static [&'static str]); 5];

const DIMENSIONS: Dimensions = [
    ("there", &["absent", "empty", "full"]),
    ("owner", &["same owner", "foreign owner", "foreign group", "root's, mode 777"]),
    ("place", &["plain", "overlay", "bind mount", "tmpfs", "volume inside", "read-only parent"]),
    ("use", &["workspace", "working directory", "none"]),
    ("by", &["user", "root"]),
];

/// One value of each dimension.
pub(super) type Cell = [usize; 5];

struct Case {
    there: &'static str,
    owner: &'static str,
    place: &'static str,
    usage: &'static str,
    user: u32,
}

impl Case {
    fn of(cell: Cell) -> Self {
        let word = |dimension: usize| DIMENSIONS[dimension].1[cell[dimension]];
        let user = if word(4) == "root" { 0 } else { USER };
        Case { there: word(0), owner: word(1), place: word(2), usage: word(3), user }
    }

    /// Whether such a target can exist: what is absent has no owner, no volume, and no process in it.
    fn is_possible(&self) -> bool {
        self.there != "absent"
            || (self.owner == "same owner"
                && self.usage == "none"
                && !["bind mount", "tmpfs", "volume inside"].contains(&self.place))
    }

    fn owner_and_mode(&self) -> (u32, u32, u32) {
        match self.owner {
            "foreign owner" => (STRANGER, STRANGER, 0o755),
            "foreign group" => (self.user, STRANGER, 0o755),
            "root's, mode 777" => (0, 0, 0o777),
            _ => (self.user, self.user, 0o755),
        }
    }
}

/// Volumes that are mounted for a case; the last one goes first.
pub(super) struct Mounts(pub(super) Vec<PathBuf>);

impl Mounts {
    pub(super) fn add(&mut self, arguments: &[&str], over: &Path) {
        let output = Command::new("mount").args(arguments).arg(over).output().expect("mount runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        self.0.push(over.to_owned());
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for over in self.0.iter().rev() {
            let _ = Command::new("umount").arg("-l").arg(over).output();
        }
    }
}

/// What all cases share: a copy of the binary that every user may run, an entry, and the same files as a plain archive.
pub(super) struct Ground {
    directory: tempfile::TempDir,
}

impl Ground {
    pub(super) fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("cachekeep-matrix-").tempdir().expect("a place");
        let ground = Ground { directory };
        set_mode(ground.directory.path(), 0o755);
        // By another process: one that is forked here while the copy is open for writing would keep it busy.
        let copied = Command::new("cp").arg(binary()).arg(ground.at("cachekeep")).status();
        assert!(copied.is_ok_and(|status| status.success()), "cp runs");
        fs::write(
            ground.at("cachekeep.toml"),
            "[cache.c]\npath = \"{env.TARGET}\"\nkey = \"k\"\nshared = true\n\
             [cache.f]\npath = \"{env.FILE}\"\nkey = \"f\"\nshared = true\n",
        )
        .expect("written");
        let source = ground.at("source");
        for name in ["top", "sub/file", "sub/deep/file", "new/file"] {
            write(&source.join(name), "saved");
        }
        symlink("top", source.join("link")).expect("linked");
        write(&ground.at("alone/target"), "saved");
        for (cache, from) in [("c", &source), ("f", &ground.at("alone/target"))] {
            let saved = ground.cachekeep(0, &ground.at("home-of-root"), from, &source, &["save", cache]);
            assert!(saved.status.success(), "{}", String::from_utf8_lossy(&saved.stderr));
        }
        let packed = Command::new("tar")
            .arg("-C")
            .arg(&source)
            .arg("-cf")
            .arg(ground.at("plain.tar"))
            .args(["top", "sub", "new", "link"])
            .status();
        let mut alone = Command::new("tar");
        alone.arg("-C").arg(ground.at("alone")).arg("-cf").arg(ground.at("file.tar")).arg("target");
        assert!(alone.status().is_ok_and(|status| status.success()), "tar runs");
        assert!(packed.is_ok_and(|status| status.success()), "tar runs");
        let opened = Command::new("chmod").args(["-R", "a+rX"]).arg(ground.at("store")).status();
        assert!(opened.is_ok_and(|status| status.success()), "chmod runs");
        ground
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a command of the binary as a user.
    pub(super) fn cachekeep(
        &self,
        user: u32,
        home: &Path,
        target: &Path,
        workspace: &Path,
        command: &[&str],
    ) -> Output {
        fs::create_dir_all(home).expect("made");
        lchown(home, Some(user), Some(user)).expect("given away");
        let mut run = Command::new(self.at("cachekeep"));
        run.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        run.env("HOME", home).env("TMPDIR", home).env("TARGET", target).env("FILE", target);
        run.arg("--store").arg(file_url(&self.at("store")));
        run.arg("--config").arg(self.at("cachekeep.toml")).arg("--workspace").arg(workspace);
        run.arg("-v").args(command).uid(user).gid(user).current_dir(self.directory.path());
        run.output().expect("the binary starts")
    }
}

pub(super) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    fs::write(path, text).expect("written");
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
}

/// Gives a tree to an owner; directories get the mode.
fn give(tree: &Path, (user, group, mode): (u32, u32, u32)) {
    for entry in walkdir::WalkDir::new(tree) {
        let entry = entry.expect("read");
        lchown(entry.path(), Some(user), Some(group)).expect("given away");
        if entry.file_type().is_dir() {
            set_mode(entry.path(), mode);
        }
    }
}

/// Makes the target of a case. Returns where it is, and the mounts that hold it.
fn lay_out(case: &Case, place: &Path) -> (PathBuf, Mounts) {
    let mut mounts = Mounts(Vec::new());
    let owner = case.owner_and_mode();
    let parent = if case.place == "overlay" { place.join("lower/parent") } else { place.join("parent") };
    let target = parent.join("target");
    fs::create_dir_all(&parent).expect("made");
    let fill = |tree: &Path| {
        if case.there == "full" {
            for (name, text) in [("top", "old"), ("mine", "kept"), ("sub/file", "old"), ("sub/mine", "kept")]
            {
                write(&tree.join(name), text);
            }
        }
        give(tree, owner);
    };
    if case.there != "absent" {
        fs::create_dir(&target).expect("made");
    }
    match case.place {
        "bind mount" => {
            let shown = place.join("shown");
            fs::create_dir(&shown).expect("made");
            mounts.add(&["--bind", &shown.display().to_string()], &target);
        }
        "tmpfs" => mounts.add(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], &target),
        "volume inside" => {
            fs::create_dir(target.join("sub")).expect("made");
            mounts.add(&["-t", "tmpfs", "-o", "size=1m", "tmpfs"], &target.join("sub"));
        }
        _ => {}
    }
    if case.there != "absent" {
        fill(&target);
    }
    if case.place == "read-only parent" {
        lchown(&parent, Some(0), Some(0)).expect("given away");
        set_mode(&parent, 0o555);
    } else {
        lchown(&parent, Some(case.user), Some(case.user)).expect("given away");
    }
    if case.place != "overlay" {
        return (target, mounts);
    }
    let at = |name: &str| {
        fs::create_dir_all(place.join(name)).expect("made");
        place.join(name).display().to_string()
    };
    let layers = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    at("image");
    mounts.add(&["-t", "overlay", "overlay", "-o", &layers], &place.join("image"));
    (place.join("image/parent/target"), mounts)
}

/// Restores in a case. Returns what the table says about it.
fn outcome(ground: &Ground, case: &Case, number: usize) -> String {
    let place = ground.at(&format!("case-{number}"));
    fs::create_dir(&place).expect("made");
    let (target, mounts) = lay_out(case, &place);
    let home = place.join("home");
    let elsewhere = place.join("elsewhere");
    fs::create_dir(&elsewhere).expect("made");
    let workspace = if case.usage == "workspace" { &target } else { &elsewhere };
    // A process with its working directory there, which started the command.
    let ran = if case.usage == "working directory" {
        in_directory(ground, case.user, &home, &target, workspace)
    } else {
        ground.cachekeep(case.user, &home, &target, workspace, &["restore", "c"])
    };
    let log = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{log}");
    let left = temporary_things(&place);
    assert!(left.is_empty(), "{left:?}: {log}");
    let text = match log.lines().find_map(|line| line.split_once("` was ")) {
        Some((_, way)) => {
            check_restored(case, &target, &log);
            way.replacen(": ", "; ", 1)
        }
        None => {
            check_as_before(case, &target, &log);
            let could = untar(ground, case.user, &target);
            assert!(!could, "tar can, and a restore cannot: {log}");
            "not restored; `tar -x` fails there as well".to_owned()
        }
    };
    drop(mounts);
    fs::remove_dir_all(&place).expect("removed");
    text
}

/// Restores from a shell that stands in the target; it can still make files there afterwards.
fn in_directory(ground: &Ground, user: u32, home: &Path, target: &Path, workspace: &Path) -> Output {
    fs::create_dir_all(home).expect("made");
    lchown(home, Some(user), Some(user)).expect("given away");
    let mut shell = Command::new("sh");
    shell.args(["-c", r#""$0" "$@"; code=$?; [ "$(pwd -P)" = "$(/bin/pwd)" ] || exit 9; exit $code"#]);
    shell.arg(ground.at("cachekeep"));
    shell.arg("--store").arg(file_url(&ground.at("store")));
    shell.arg("--config").arg(ground.at("cachekeep.toml")).arg("--workspace").arg(workspace);
    shell.args(["-v", "restore", "c"]).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    shell.env("HOME", home).env("TMPDIR", home).env("TARGET", target);
    shell.uid(user).gid(user).current_dir(target).output().expect("a shell starts")
}

pub(super) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}

fn check_restored(case: &Case, target: &Path, log: &str) {
    for name in ["top", "sub/file", "sub/deep/file", "new/file", "link"] {
        assert_eq!(read(&target.join(name)), "saved", "{name}: {log}");
    }
    if case.there == "full" {
        for name in ["mine", "sub/mine"] {
            assert_eq!(read(&target.join(name)), "kept", "{name}: {log}");
        }
    }
}

fn check_as_before(case: &Case, target: &Path, log: &str) {
    assert_eq!(target.exists(), case.there != "absent", "{log}");
    if case.there == "full" {
        for (name, text) in [("top", "old"), ("mine", "kept"), ("sub/file", "old"), ("sub/mine", "kept")] {
            assert_eq!(read(&target.join(name)), text, "{name}: {log}");
        }
        assert!(!target.join("new").exists(), "{log}");
    }
}

/// Whether `mkdir -p` and `tar -x` succeed as this user.
pub(super) fn untar(ground: &Ground, user: u32, target: &Path) -> bool {
    let script = r#"mkdir -p "$0" && tar -xf "$1" -C "$0""#;
    let mut tar = Command::new("sh");
    tar.args(["-c", script]).arg(target).arg(ground.at("plain.tar"));
    tar.uid(user).gid(user).current_dir("/").output().expect("tar runs").status.success()
}

pub(super) fn temporary_things(place: &Path) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(place).into_iter().flatten();
    let is_temporary = |name: &str| name.starts_with(".cachekeep-");
    all.filter(|entry| entry.file_name().to_str().is_some_and(is_temporary))
        .map(walkdir::DirEntry::into_path)
        .collect()
}

/// Rows of the table: sets of values for each dimension, and the outcome that all their cells share.
pub(super) type Row = ([BTreeSet<usize>; 5], String);

/// Joins rows that have the same outcome and differ in one dimension, until there are none. Who restores matters least.
pub(super) fn grouped(mut rows: Vec<Row>) -> Vec<Row> {
    loop {
        let before = rows.len();
        for dimension in (0..DIMENSIONS.len()).rev() {
            let mut joined: BTreeMap<Row, BTreeSet<usize>> = BTreeMap::new();
            for (mut sets, outcome) in rows {
                let values = std::mem::take(&mut sets[dimension]);
                joined.entry((sets, outcome)).or_default().extend(values);
            }
            let with_values = |((mut sets, outcome), values): (Row, BTreeSet<usize>)| {
                sets[dimension] = values;
                (sets, outcome)
            };
            rows = joined.into_iter().map(with_values).collect();
        }
        if rows.len() == before {
            rows.sort();
            return rows;
        }
    }
}

pub(super) fn table(dimensions: &Dimensions, rows: &[Row]) -> String {
    let names: Vec<&str> = dimensions.iter().map(|(name, _)| *name).collect();
    let mut text = format!("| {} | outcome |\n|---|---|---|---|---|---|\n", names.join(" | "));
    for (sets, outcome) in rows {
        for (set, (_, values)) in sets.iter().zip(dimensions) {
            let words: Vec<&str> = set.iter().map(|value| values[*value]).collect();
            let words = if words.len() == values.len() { "any".to_owned() } else { words.join(", ") };
            let _ = write!(text, "| {words} ");
        }
        let _ = writeln!(text, "| {outcome} |");
    }
    text
}

pub(super) fn cells(dimensions: &Dimensions) -> Vec<Cell> {
    let mut cells: Vec<Vec<usize>> = vec![Vec::new()];
    for (_, values) in *dimensions {
        let longer = |cell: &Vec<usize>| {
            let cell = cell.clone();
            (0..values.len()).map(move |value| [&cell[..], &[value]].concat())
        };
        cells = cells.iter().flat_map(longer).collect();
    }
    cells.into_iter().map(|cell| cell.try_into().expect("a value of each dimension")).collect()
}

#[test]
fn every_target_is_published_as_the_table_says() {
    let test = "the matrix of targets and users";
    if !rustix::process::geteuid().is_root() {
        return skip(test, "it must be root, to mount volumes and to be another user");
    }
    let ground = Ground::new();
    let mut rows: Vec<Row> = Vec::new();
    for (number, cell) in cells(&DIMENSIONS).into_iter().enumerate() {
        let case = Case::of(cell);
        let text = match case.is_possible() {
            true => outcome(&ground, &case, number),
            false => "impossible".to_owned(),
        };
        rows.push((cell.map(|value| BTreeSet::from([value])), text));
    }
    let count = rows.iter().filter(|(_, text)| text != "impossible").count();
    let rows = grouped(rows);
    let text = format!("{count} targets, equal outcomes together:\n\n{}", table(&DIMENSIONS, &rows));
    check_page(BEGIN, &text);
}

/// Compares a table with the one on the page that starts there, or writes it.
pub(super) fn check_page(begin: &str, text: &str) {
    let table = format!("{begin}{text}{END}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/design/publishing.md");
    let page = fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once(begin).expect("a place for the table");
    let (_, after) = rest.split_once(END).expect("the end of the table");
    let current = format!("{before}{table}{after}");
    if std::env::var_os("CACHEKEEP_BLESS").is_some() {
        fs::write(&path, &current).expect("written");
    }
    let page = fs::read_to_string(&path).expect("the page");
    assert!(
        page == current,
        "{}: CACHEKEEP_BLESS=1 cargo test --test it publishing::matrix\n{table}",
        path.display()
    );
}

#[test]
fn rows_with_equal_outcomes_are_joined() {
    let row = |cell: Cell, text: &str| (cell.map(|value| BTreeSet::from([value])), text.to_owned());
    let rows = vec![
        row([0, 0, 0, 0, 0], "a"),
        row([0, 0, 0, 0, 1], "a"),
        row([0, 0, 0, 1, 0], "a"),
        row([0, 0, 0, 1, 1], "a"),
        row([1, 0, 0, 0, 0], "b"),
        row([1, 1, 0, 0, 1], "b"),
    ];
    let grouped = grouped(rows);
    assert_eq!(grouped.len(), 3);
    assert_eq!(grouped[0].0[3], BTreeSet::from([0, 1]));
    assert_eq!(grouped[0].0[4], BTreeSet::from([0, 1]));
    assert!(
        table(&DIMENSIONS, &grouped)
            .contains("| absent | same owner | plain | workspace, working directory | any | a |")
    );
}
