//! Files that others may have put where this program reads and writes its own: pipes, sockets, links, and files without an end.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use cachekeep_test_support::project::Project;
use sha2::{Digest as _, Sha256};

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-v1"
"#;

fn saved(config: &str) -> Project {
    let project = Project::new(config);
    project.write("workspace/out/file", "contents");
    project.run(&["save"]).success();
    project
}

fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("started").success());
}

/// The file in the project whose name ends so.
fn find(directory: &Path, end: &str) -> Option<PathBuf> {
    fs::read_dir(directory).ok()?.flatten().find_map(|found| match found.path() {
        path if path.to_string_lossy().ends_with(end) => Some(path),
        path if path.is_dir() => find(&path, end),
        _ => None,
    })
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("there").permissions().mode() & 0o7777
}

/// Puts something at a path that no command may wait for, and that none may write through.
fn put(kind: &str, path: &Path, outside: &Path) -> Option<UnixListener> {
    let _ = fs::remove_file(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("made");
    match kind {
        "pipe" => pipe(path),
        "socket" => {
            // Sockets are made under short names only.
            let short = tempfile::tempdir_in("/tmp").expect("a place");
            let socket = UnixListener::bind(short.path().join("s")).expect("a socket");
            fs::rename(short.path().join("s"), path).expect("moved");
            return Some(socket);
        }
        "endless" => symlink("/dev/zero", path).expect("linked"),
        "link" => symlink(outside, path).expect("linked"),
        other => panic!("{other}"),
    }
    None
}

#[test]
fn notes_that_are_something_else_end_no_command_and_lead_nowhere() {
    // Beside the sockets, which are moved here.
    let place = tempfile::tempdir_in("/tmp").expect("a place");
    for note in [".used", "known.json", "out.json", "layout", "sentinel", "lease"] {
        for kind in ["pipe", "socket", "endless", "link"] {
            let project = Project::new_in(place.path(), CONFIG);
            project.write("workspace/out/file", "contents");
            project.run(&["save"]).success();
            project.run(&["restore"]).success();
            let outside = project.write("outside", "untouched");
            let path = match note {
                "sentinel" => project.path("workspace/out/.cachekeep-sentinel"),
                "lease" => project.path("workspace/.cachekeep-x.tmp/lease"),
                "layout" => match find(&project.path("home"), "/cachekeep-store") {
                    Some(path) => path,
                    None => continue,
                },
                name => match find(&project.path("home"), name) {
                    Some(path) => path,
                    None => continue,
                },
            };
            let _socket = put(kind, &path, &outside);
            for command in ["restore", "save", "ls", "explain"] {
                let ran = project.run(&[command]);
                assert!(!ran.stderr.contains("panicked"), "{note} {kind} {command}: {}", ran.stderr);
            }
            assert_eq!(project.read("outside"), "untouched", "{note} {kind}");
        }
    }
}

#[test]
fn a_lease_that_is_a_link_is_reported_and_neither_end_is_removed() {
    let project = saved(CONFIG);
    let outside = project.write("outside", "untouched");
    project.write("workspace/.cachekeep-x.tmp/payload/tree/file", "kept");
    symlink(&outside, project.path("workspace/.cachekeep-x.tmp/lease")).expect("linked");
    let ran = project.run(&["restore"]).success();
    assert!(ran.stderr.contains("it is a link"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("removed `"), "{}", ran.stderr);
    assert_eq!(project.read("outside"), "untouched");
    assert_eq!(project.read("workspace/.cachekeep-x.tmp/payload/tree/file"), "kept");
}

#[test]
fn what_was_planted_among_uploads_is_reported_and_does_not_end_their_recovery() {
    let project = saved(CONFIG);
    let uploads = find(&project.path("home"), "/uploads").expect("a store");
    let planted = uploads.join(".cachekeep-a.tmp");
    fs::create_dir(&planted).expect("made");
    fs::write(planted.join("lease"), "x").expect("written");
    fs::write(planted.join("journal"), r#"{"Changes":[]}"#).expect("written");
    let linked = uploads.join(".cachekeep-b.tmp");
    fs::create_dir(&linked).expect("made");
    symlink("/dev/zero", linked.join("lease")).expect("linked");
    let left = uploads.join(".cachekeep-c.tmp");
    fs::create_dir(&left).expect("made");
    fs::write(left.join("lease"), "x").expect("written");
    let ran = project.run(&["restore"]).success();
    assert_eq!(ran.stderr.matches("is left as it is").count(), 2 + 1, "{}", ran.stderr);
    assert!(planted.exists() && linked.exists() && !left.exists());
    let ran = project.run(&["clean"]);
    assert!(!ran.stderr.contains("were not swept"), "{}", ran.stderr);
    assert!(planted.exists() && linked.exists());
}

#[test]
fn a_key_of_a_file_without_an_end_is_given_up_in_time() {
    let project = Project::new("[cache.out]\npath = \"out\"\nkey = \"k-{files:g/*.lock}\"\n");
    let huge = project.write("workspace/g/huge.lock", "");
    let sparse = fs::File::options().write(true).open(&huge).expect("opened");
    sparse.set_len(4 << 40).expect("a sparse file");
    let ran = project.run(&["--timeout", "1s", "key"]).code(1);
    assert!(ran.stderr.contains("given up after 1 s"), "{}", ran.stderr);
    assert!(ran.stderr.contains("`--timeout`"), "{}", ran.stderr);
    let ran = project.run(&["--timeout", "1s", "restore"]);
    assert!(ran.stderr.contains("given up after 1 s"), "{}", ran.stderr);
}

#[test]
fn a_file_of_the_user_may_be_a_link_but_not_to_a_device() {
    let project = Project::new("[cache.out]\npath = \"out\"\nkey = \"k-{files:*.lock}\"\n");
    project.write("elsewhere/real.lock", "1");
    symlink("../elsewhere/real.lock", project.path("workspace/a.lock")).expect("linked");
    let config = project.path("workspace/cachekeep.toml");
    fs::rename(&config, project.path("elsewhere/cachekeep.toml")).expect("moved");
    symlink("../elsewhere/cachekeep.toml", &config).expect("linked");
    project.run(&["key"]).success();
    symlink("/dev/zero", project.path("workspace/b.lock")).expect("linked");
    let ran = project.run(&["key"]).code(1);
    assert!(ran.stderr.contains("it is not a regular file"), "{}", ran.stderr);
}

fn seeded(files: &[(&str, tar::EntryType, u32, &[u8])], more: &str) -> Project {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, kind, mode, contents) in files {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_size(if kind.is_symlink() { 0 } else { contents.len() as u64 });
        if kind.is_symlink() {
            let target = std::str::from_utf8(contents).expect("text");
            archive.append_link(&mut header, name, target).expect("in memory");
        } else {
            archive.append_data(&mut header, name, *contents).expect("in memory");
        }
    }
    let config = format!(
        "[cache.out]\npath = \"out\"\nkey = \"k\"\n{more}[cache.out.seed]\nversion = \"1\"\nfrom = [\"seed.tar\"]\n"
    );
    let project = Project::new(&config);
    project.write("workspace/seed.tar", archive.into_inner().expect("in memory"));
    project
}

#[test]
fn neither_seeds_nor_entries_bring_special_modes() {
    let file = tar::EntryType::Regular;
    let project = seeded(
        &[
            ("run", file, 0o6755, b"#!/bin/sh\n"),
            ("sticky", tar::EntryType::Directory, 0o7777, b""),
            // A sentinel of the archive is replaced, and not written through.
            (".cachekeep-sentinel", tar::EntryType::Symlink, 0o777, b"../../outside"),
        ],
        "",
    );
    project.write("outside", "untouched");
    let ran = project.run(&["seed"]).success();
    let at = |name: &str| project.path(&format!("workspace/out/{name}"));
    assert_eq!((mode(&at("run")), mode(&at("sticky"))), (0o755, 0o777), "{}", ran.stderr);
    assert_eq!(project.read("outside"), "untouched");
    for (name, special) in [("run", 0o4711), ("sticky", 0o3755)] {
        fs::set_permissions(at(name), fs::Permissions::from_mode(special)).expect("changed");
    }
    project.run(&["save"]).success();
    fs::remove_dir_all(project.path("workspace/out")).expect("removed");
    project.run(&["restore"]).success();
    assert_eq!((mode(&at("run")), mode(&at("sticky"))), (0o711, 0o755));
}

#[test]
fn every_object_of_a_seed_has_its_own_bytes_whatever_lies_between_them() {
    let contents: Vec<Vec<u8>> = (1..=6_u8).map(|number| vec![number; 3000 + usize::from(number)]).collect();
    let name = |bytes: &[u8]| format!("SHA256/{}", data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)));
    let names: Vec<String> = contents.iter().map(|bytes| name(bytes)).collect();
    let wrong: Vec<String> = (0..6_u8).map(|number| name(&[number, number])).collect();
    let file = tar::EntryType::Regular;
    let mut files: Vec<(&str, tar::EntryType, u32, &[u8])> = Vec::new();
    for (index, bytes) in contents.iter().enumerate() {
        // Each object twice, and bytes under a wrong name after it.
        files.push((&names[index], file, 0o444, bytes));
        files.push((&wrong[index], file, 0o644, bytes));
        files.push((&names[index], file, 0o444, bytes));
    }
    let project = seeded(&files, "[cache.out.links]\nfiles = [\"links/*.sha256\"]\n");
    for (index, name) in names.iter().enumerate() {
        project.write(&format!("workspace/links/{index}.sha256"), name.trim_start_matches("SHA256/"));
    }
    let ran = project.run(&["seed"]).success();
    let objects: Vec<PathBuf> = fs::read_dir(project.path("workspace/out/SHA256"))
        .expect("read")
        .map(|found| found.unwrap().path())
        .collect();
    assert_eq!(objects.len(), 6, "{}", ran.stderr);
    for path in objects {
        assert!(path.ends_with(name(&fs::read(&path).expect("read"))), "{}", path.display());
        let links = std::os::unix::fs::MetadataExt::nlink(&fs::metadata(&path).expect("there"));
        assert_eq!(links, 1, "no other name of it is left");
    }
    assert!(project.temporary_things().is_empty());
}
