//! The same for files as roots: every kind of thing that can have the name of the root.
//!
//! `CACHEKEEP_BLESS=1 cargo test --test it publishing::file_matrix` writes the second table of the page again.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cachekeep_test_support::skip::skip;

use super::matrix::{
    Cell, Dimensions, Ground, Mounts, Row, cells, check_page, grouped, read, set_mode, table,
    temporary_things, untar, write,
};

const USER: u32 = 65534;
const STRANGER: u32 = 65533;

const BEGIN: &str = "<!-- begin: written by tests/it/publishing/file_matrix.rs -->\n";

const DIMENSIONS: Dimensions = [
    ("entry", &["file", "directory"]),
    (
        "there",
        &[
            "absent",
            "file",
            "empty file",
            "link to a file",
            "broken link",
            "link to a directory",
            "empty directory",
            "full directory",
        ],
    ),
    ("owner", &["same owner", "foreign owner"]),
    ("place", &["plain", "overlay", "mount point", "read-only parent"]),
    ("by", &["user", "root"]),
];

struct Case {
    entry: &'static str,
    there: &'static str,
    owner: u32,
    place: &'static str,
    user: u32,
}

impl Case {
    fn of(cell: Cell) -> Self {
        let word = |dimension: usize| DIMENSIONS[dimension].1[cell[dimension]];
        let user = if word(4) == "root" { 0 } else { USER };
        let owner = if word(2) == "same owner" { user } else { STRANGER };
        Case { entry: word(0), there: word(1), owner, place: word(3), user }
    }

    fn is_directory_there(&self) -> bool {
        ["empty directory", "full directory"].contains(&self.there)
    }

    /// Whether the other table has it: directories where there is a directory, or nothing.
    fn is_elsewhere(&self) -> bool {
        self.entry == "directory"
            && (self.is_directory_there() || ["absent", "link to a directory"].contains(&self.there))
    }

    fn is_possible(&self) -> bool {
        match self.there {
            "absent" => self.owner == self.user && self.place != "mount point",
            "file" | "empty file" => true,
            _ if self.is_directory_there() => true,
            _ => self.place != "mount point",
        }
    }
}

/// Makes what has the name of the root.
fn make(case: &Case, target: &Path) {
    let beside = target.with_file_name("beside");
    match case.there {
        "file" => write(target, "old"),
        "empty file" => write(target, ""),
        "link to a file" => {
            write(&beside, "beside");
            symlink("beside", target).expect("linked");
        }
        "broken link" => symlink("nowhere", target).expect("linked"),
        "link to a directory" => {
            write(&beside.join("mine"), "kept");
            symlink("beside", target).expect("linked");
        }
        "empty directory" => fs::create_dir(target).expect("made"),
        "full directory" => write(&target.join("mine"), "kept"),
        _ => return,
    }
    lchown(target, Some(case.owner), Some(case.owner)).expect("given away");
}

fn lay_out(case: &Case, place: &Path) -> (PathBuf, Mounts) {
    let mut mounts = Mounts(Vec::new());
    let parent = if case.place == "overlay" { place.join("lower/parent") } else { place.join("parent") };
    let target = parent.join("target");
    fs::create_dir_all(&parent).expect("made");
    if case.place == "mount point" {
        let shown = place.join("shown");
        make(case, &shown);
        if case.is_directory_there() {
            fs::create_dir(&target).expect("made")
        } else {
            write(&target, "")
        }
        mounts.add(&["--bind", &shown.display().to_string()], &target);
    } else {
        make(case, &target);
    }
    if case.place == "read-only parent" {
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

/// What is there, in a word that two looks can be compared by.
fn look(target: &Path) -> String {
    let Ok(found) = fs::symlink_metadata(target) else { return "nothing".to_owned() };
    match found.file_type() {
        kind if kind.is_symlink() => format!("link to {}", fs::read_link(target).expect("a link").display()),
        kind if kind.is_dir() => {
            let names = fs::read_dir(target).expect("read").map(|entry| entry.expect("read").file_name());
            format!("directory of {:?}", names.collect::<BTreeSet<_>>())
        }
        _ => format!("file of {}", read(target)),
    }
}

fn outcome(ground: &Ground, case: &Case, number: usize) -> String {
    let place = ground.at(&format!("file-{number}"));
    fs::create_dir(&place).expect("made");
    let (target, mounts) = lay_out(case, &place);
    let before = look(&target);
    let (home, elsewhere) = (place.join("home"), place.join("elsewhere"));
    fs::create_dir(&elsewhere).expect("made");
    let cache = if case.entry == "file" { "f" } else { "c" };
    let ran = ground.cachekeep(case.user, &home, &target, &elsewhere, &["restore", cache]);
    let log = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{log}");
    let left = temporary_things(&place);
    assert!(left.is_empty(), "{left:?}: {log}");
    let text = match log.lines().find_map(|line| line.split_once("` was ")) {
        Some((_, way)) => {
            let restored = if case.entry == "file" { target.clone() } else { target.join("top") };
            assert_eq!(read(&restored), "saved", "{log}");
            assert!(!target.is_symlink(), "{log}");
            way.replacen(": ", "; ", 1)
        }
        None => {
            assert_eq!(look(&target), before, "{log}");
            let could = if case.entry == "file" {
                untar_file(ground, case, &target)
            } else {
                untar(ground, case.user, &target)
            };
            assert!(!could, "tar can, and a restore cannot: {log}");
            "not restored; `tar -x` fails there as well".to_owned()
        }
    };
    let beside = target.with_file_name("beside");
    if case.there == "link to a file" {
        assert_eq!(read(&beside), "beside", "{log}");
    } else if case.there == "link to a directory" {
        assert_eq!(read(&beside.join("mine")), "kept", "{log}");
    }
    drop(mounts);
    fs::remove_dir_all(&place).expect("removed");
    text
}

/// Whether `tar -x` of the file succeeds as this user.
fn untar_file(ground: &Ground, case: &Case, target: &Path) -> bool {
    let mut tar = Command::new("tar");
    tar.arg("-xf").arg(ground.at("file.tar")).arg("-C").arg(target.parent().expect("a parent"));
    tar.uid(case.user).gid(case.user).current_dir("/").output().expect("tar runs").status.success()
}

#[test]
fn every_file_is_published_as_the_table_says() {
    if !rustix::process::geteuid().is_root() {
        return skip("the matrix of files", "it must be root, to mount volumes and to be another user");
    }
    let ground = Ground::new();
    let mut rows: Vec<Row> = Vec::new();
    for (number, cell) in cells(&DIMENSIONS).into_iter().enumerate() {
        let case = Case::of(cell);
        let text = match (case.is_elsewhere(), case.is_possible()) {
            (true, _) => "in the table above".to_owned(),
            (false, true) => outcome(&ground, &case, number),
            (false, false) => "impossible".to_owned(),
        };
        rows.push((cell.map(|value| BTreeSet::from([value])), text));
    }
    let is_tried = |(_, text): &&Row| text != "impossible" && text != "in the table above";
    let count = rows.iter().filter(is_tried).count();
    let rows = grouped(rows);
    check_page(BEGIN, &format!("{count} targets, equal outcomes together:\n\n{}", table(&DIMENSIONS, &rows)));
}
