//! Packing and unpacking give the same tree, and so do packing and GNU tar.

use std::fs;
#[cfg(unix)]
use std::fs::File;
use std::path::Path;
#[cfg(unix)]
use std::process::{Command, Stdio};

use cachekeep::archive::{self, ArchiveError, Destination, PackRequest, Splitter, UnpackRequest};
use cachekeep::parts::Selection;
use tokio_util::sync::CancellationToken;

#[cfg(unix)]
use crate::archive::packing::list;
use crate::archive::packing::{
    LIMITS, assert_same_tree, frame_ends, meter, noise, pack, pack_request, plant, try_pack, unpack, verify,
};

#[test]
fn everything_comes_back_exactly() {
    let (from, to) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    plant(from.path());
    let (bytes, packed) = pack(from.path());
    let unpacked = unpack(&bytes[..], to.path()).expect("unpacked");
    assert_same_tree(from.path(), to.path());
    assert_eq!(unpacked.manifest.as_ref(), Some(&packed.manifest));
    assert_eq!(unpacked.counts, packed.manifest.counts);
    assert_eq!(unpacked.archive_bytes, bytes.len() as u64);
    assert_eq!(packed.archive_bytes, bytes.len() as u64);
    let head = Splitter::behind_manifest(&bytes[..]).expect("a manifest");
    assert_eq!(head.manifest(), Some(&packed.manifest));
    for workers in [0, 1, 3] {
        assert_eq!(verify(&bytes, workers).expect("verified").counts, unpacked.counts);
    }
}

#[test]
fn one_thread_packs_and_unpacks_as_several_do() {
    let from = tempfile::tempdir().expect("a directory");
    plant(from.path());
    fs::write(from.path().join("large"), noise(9 << 20, 7)).expect("a file");
    let selections = [Selection::everything(from.path())];
    let (of_several, _) = try_pack(&selections, None).expect("packed");
    let alone = PackRequest { workers: 0, ..pack_request(&selections, None) };
    let mut bytes = Vec::new();
    archive::pack(&alone, &mut bytes, &CancellationToken::new(), &meter()).expect("packed");
    assert!(zstd::decode_all(&bytes[..]).expect("zstd") == zstd::decode_all(&of_several[..]).expect("zstd"));
    let mut contents = Vec::new();
    for workers in [0, 1, 4] {
        let to = tempfile::tempdir().expect("a directory");
        let prefix = ".cachekeep/c".to_owned();
        let destinations = vec![Destination { prefix, directory: to.path().to_owned() }];
        let request = UnpackRequest { destinations, workers, foreign: LIMITS };
        let unpacked = archive::unpack(
            request,
            Splitter::behind_manifest(&bytes[..]).expect("a manifest"),
            &CancellationToken::new(),
            &meter(),
        );
        contents.push(unpacked.expect("unpacked").content);
        assert_same_tree(from.path(), to.path());
    }
    assert!(contents.iter().all(|content| *content == contents[0]), "{contents:?}");
}

#[test]
fn the_same_tree_gives_the_same_stream() {
    let from = tempfile::tempdir().expect("a directory");
    plant(from.path());
    let ((first, _), (second, _)) = (pack(from.path()), pack(from.path()));
    assert_eq!(zstd::decode_all(&first[..]).expect("zstd"), zstd::decode_all(&second[..]).expect("zstd"));
}

#[test]
fn several_roots_and_the_last_file_keep_their_order() {
    let from = tempfile::tempdir().expect("a directory");
    let to = tempfile::tempdir().expect("a directory");
    for (path, content) in [("one/.sentinel", "s"), ("one/z", "z"), ("two/a", "a"), ("two/.sentinel", "t")] {
        fs::create_dir_all(from.path().join(path).parent().expect("a parent")).expect("a directory");
        fs::write(from.path().join(path), content).expect("a file");
    }
    let roots = ["one", "two", "absent"].map(|name| Selection::everything(from.path().join(name)));
    let (bytes, packed) = try_pack(&roots, Some(Path::new(".sentinel"))).expect("packed");
    assert_eq!(packed.missing_roots, [from.path().join("absent")]);
    let stream = zstd::decode_all(&bytes[..]).expect("zstd");
    let mut names: Vec<String> = Vec::new();
    for entry in tar::Archive::new(&stream[..]).entries().expect("entries") {
        names.push(entry.expect("an entry").path().expect("a path").display().to_string());
    }
    assert_eq!(
        names,
        [
            ".cachekeep/c/0/",
            ".cachekeep/c/0/z",
            ".cachekeep/c/1/",
            ".cachekeep/c/1/.sentinel",
            ".cachekeep/c/1/a",
            ".cachekeep/c/0/.sentinel"
        ]
    );
    let destinations = (0..3)
        .map(|index| {
            let directory = to.path().join(index.to_string());
            fs::create_dir(&directory).expect("a directory");
            Destination { prefix: format!(".cachekeep/c/{index}"), directory }
        })
        .collect();
    let request = UnpackRequest { destinations, workers: 1, foreign: LIMITS };
    archive::unpack(
        request,
        Splitter::behind_manifest(&bytes[..]).expect("a manifest"),
        &CancellationToken::new(),
        &meter(),
    )
    .expect("unpacked");
    assert_same_tree(&from.path().join("one"), &to.path().join("0"));
    assert_same_tree(&from.path().join("two"), &to.path().join("1"));
}

/// Whether programs are installed; reports a skipped test if not.
#[cfg(unix)]
fn have(programs: &[&str]) -> bool {
    let runs = |program: &&&str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let missing: Vec<_> = programs.iter().filter(|program| !runs(program)).collect();
    if !missing.is_empty() {
        cachekeep_test_support::skip(
            "compatibility with GNU tar and zstd",
            &format!("{missing:?} not found"),
        );
    }
    missing.is_empty()
}

#[cfg(unix)]
#[test]
fn gnu_tar_gives_the_same_tree() {
    if !have(&["tar", "zstd"]) {
        return;
    }
    let (from, to) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    plant(from.path());
    let file = to.path().join("archive.tar.zst");
    fs::write(&file, pack(from.path()).0).expect("written");
    for locale in ["C", "C.UTF-8"] {
        let tree = to.path().join(locale);
        fs::create_dir(&tree).expect("a directory");
        let status = Command::new("tar")
            .env("LC_ALL", locale)
            .args(["--zstd", "-xpf"])
            .arg(&file)
            .arg("-C")
            .arg(&tree)
            .status()
            .expect("tar");
        assert!(status.success());
        assert_same_tree(from.path(), &tree.join(".cachekeep/c"));
    }
    let status = Command::new("zstd").arg("-tq").arg(&file).status().expect("zstd");
    assert!(status.success());
}

#[cfg(unix)]
#[test]
fn what_gnu_tar_and_zstd_make_is_unpacked_too() {
    if !have(&["tar", "zstd"]) {
        return;
    }
    let work = tempfile::tempdir().expect("a directory");
    let from = work.path().join(".cachekeep/c");
    fs::create_dir_all(&from).expect("a directory");
    plant(&from);
    for (index, (format, compressor)) in
        [("posix", "zstd -T0"), ("gnu", "zstd -1"), ("posix", "zstd --long=27")].iter().enumerate()
    {
        let file = work.path().join("archive.tar.zst");
        let names: &[&str] =
            if index == 1 { &["."] } else { &[".cachekeep/c", ".cachekeep/c/a", ".cachekeep/c/noise"] };
        let status = Command::new("tar")
            .args([&format!("--format={format}"), "--use-compress-program", compressor, "-P", "-cf"])
            .arg(&file)
            .arg("-C")
            .arg(work.path())
            .arg("--exclude=*.tar.zst")
            .arg("--exclude=./out*")
            .args(names)
            .status()
            .expect("tar");
        assert!(status.success());
        let to = work.path().join(format!("out{index}"));
        fs::create_dir(&to).expect("a directory");
        let unpacked = unpack(File::open(&file).expect("a file"), &to).expect("unpacked");
        assert_eq!(unpacked.manifest, None);
        if *format == "posix" {
            assert_same_tree(&from, &to);
        } else {
            // The old format has no fractions of seconds.
            let names = |root: &Path| list(root).into_iter().map(|line| line.path).collect::<Vec<_>>();
            assert_eq!(names(&from), names(&to));
        }
        verify(&fs::read(&file).expect("read"), 2).expect("verified");
    }
}

#[cfg(unix)]
#[test]
fn a_sparse_file_of_nine_gibibytes_stays_sparse() {
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    let (from, to) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let (size, marks) = (9_u64 << 30, [0, (4 << 30) + 12345, (9 << 30) - 1]);
    let path = from.path().join("sparse");
    let file = File::create(&path).expect("a file");
    file.set_len(size).expect("a length");
    for mark in marks {
        file.write_all_at(b"!", mark).expect("a mark");
    }
    drop(file);
    let (bytes, _) = pack(from.path());
    assert!(bytes.len() < 4 << 20, "{}", bytes.len());
    unpack(&bytes[..], to.path()).expect("unpacked");
    assert_same_tree(from.path(), to.path());
    let copy = File::open(to.path().join("sparse")).expect("a file");
    assert!(copy.metadata().expect("facts").blocks() * 512 < 1 << 20);
    for mark in marks {
        let mut byte = [0];
        copy.read_exact_at(&mut byte, mark).expect("a byte");
        assert_eq!(byte, *b"!", "{mark}");
    }
}

/// Touches a file when the first bytes are written.
struct Meddler<F: FnMut()>(F);
impl<F: FnMut()> std::io::Write for Meddler<F> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        (self.0)();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_changes_while_it_is_packed_is_named() {
    let from = tempfile::tempdir().expect("a directory");
    let path = from.path().join("file");
    let check = |meddle: fn(&Path)| {
        fs::write(&path, noise(200_000, 1)).expect("a file");
        let selections = [Selection::everything(from.path())];
        let mut first = true;
        let out = Meddler(|| {
            if std::mem::take(&mut first) {
                meddle(&path);
            }
        });
        archive::pack(&pack_request(&selections, None), out, &CancellationToken::new(), &meter())
    };
    // Written to between the two walks: the manifest is out already.
    for meddle in [
        |path: &Path| fs::write(path, b"short").expect("written"),
        |path: &Path| fs::write(path, noise(300_000, 1)).expect("written"),
        |path: &Path| fs::remove_file(path).expect("removed"),
    ] {
        match check(meddle) {
            Err(ArchiveError::TreeChanged(root)) => assert_eq!(root, from.path()),
            Err(ArchiveError::Changed(file)) => assert_eq!(file, path),
            other => panic!("{other:?}"),
        }
    }
    assert!(check(|_| {}).is_ok());
}

#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let from = tempfile::tempdir().expect("a directory");
    for name in ["file", "directory"] {
        let path = from.path().join(name);
        if name == "file" {
            fs::write(&path, "secret").expect("a file");
        } else {
            fs::create_dir(&path).expect("a directory");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).expect("a mode");
        // Root may read everything.
        if File::open(&path).is_err() {
            let error = try_pack(&[Selection::everything(from.path())], None).expect_err("an error");
            assert!(error.to_string().contains(&path.display().to_string()), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("a mode");
        if name == "file" {
            fs::remove_file(path).expect("removed");
        }
    }
}

#[test]
fn many_small_files_come_back_exactly() {
    let (from, to) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    for directory in 0..20 {
        fs::create_dir(from.path().join(directory.to_string())).expect("a directory");
        for file in 0..200 {
            let path = from.path().join(format!("{directory}/{file}"));
            fs::write(path, noise(file * 7, file as u64)).expect("a file");
        }
    }
    let (bytes, packed) = pack(from.path());
    assert_eq!(packed.manifest.counts.files, 4000);
    unpack(&bytes[..], to.path()).expect("unpacked");
    assert_same_tree(from.path(), to.path());
}

#[cfg(unix)]
#[test]
fn sockets_and_pipes_are_left_out_and_told() {
    let from = tempfile::tempdir().expect("a directory");
    fs::write(from.path().join("file"), b"kept").expect("a file");
    let socket = from.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let (bytes, packed) = pack(from.path());
    assert_eq!((packed.skipped, packed.skipped_count), (vec![socket], 1));
    assert_eq!(verify(&bytes, 0).expect("verified").counts.files, 1);
}

#[test]
fn an_interruption_ends_both_ways() {
    let (from, to) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    plant(from.path());
    let (bytes, _) = pack(from.path());
    let cancel = CancellationToken::new();
    cancel.cancel();
    let selections = [Selection::everything(from.path())];
    let error = archive::pack(&pack_request(&selections, None), std::io::sink(), &cancel, &meter());
    assert!(matches!(error, Err(ArchiveError::Cancelled)));
    let request = UnpackRequest {
        destinations: vec![Destination {
            prefix: ".cachekeep/c".to_owned(),
            directory: to.path().to_owned(),
        }],
        workers: 2,
        foreign: LIMITS,
    };
    let error = archive::unpack(
        request,
        Splitter::behind_manifest(&bytes[..]).expect("a manifest"),
        &cancel,
        &meter(),
    );
    assert!(matches!(error, Err(ArchiveError::Cancelled)));
}

#[test]
fn frames_are_independent_and_listed() {
    let from = tempfile::tempdir().expect("a directory");
    plant(from.path());
    let (bytes, packed) = pack(from.path());
    let ends = frame_ends(&bytes);
    let mut stream = Vec::new();
    // The manifest comes first, the digest and the table last.
    for window in ends[..ends.len() - 2].windows(2) {
        let frame = zstd::decode_all(&bytes[window[0]..window[1]]).expect("a frame of its own");
        assert!(frame.len() <= packed.manifest.frame_bytes as usize);
        stream.extend(frame);
    }
    assert_eq!(stream, zstd::decode_all(&bytes[..]).expect("zstd"));
    assert_eq!(stream.len() as u64, packed.manifest.stream_bytes);
}
