//! Memory while an entry or a seed is read, whatever it holds: the worst that we could build.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use cachekeep_test_support::project::Ran;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use crate::footprint::peak_memory;
use crate::job::{Job, ONE_CACHE, field};
use crate::process::Process;
use crate::scale::{pick, tell};

/// The most that is promised, in bytes.
const MOST: u64 = 256 << 20;

/// How many bytes of the stream each frame has.
const FRAME: usize = 4 << 20;

/// A tar stream in frames, as an entry: its parts are hashed and listed as they are added.
struct EntryFile {
    file: File,
    hasher: Sha256,
    rows: Vec<u8>,
}

impl EntryFile {
    fn create(path: &Path, manifest: &serde_json::Value) -> Self {
        let file = File::create(path).expect("an entry");
        let mut entry = EntryFile { file, hasher: Sha256::new(), rows: Vec::new() };
        entry.add(&skippable(0x50, &[b"cachekeep manifest\n", manifest.to_string().as_bytes()].concat()), 0);
        entry
    }

    fn add(&mut self, frame: &[u8], content: usize) {
        self.file.write_all(frame).expect("written");
        self.hasher.update(frame);
        for length in [frame.len(), content] {
            self.rows.extend(u32::try_from(length).expect("a small frame").to_le_bytes());
        }
    }

    fn finish(mut self) {
        let digest = self.hasher.clone().finalize();
        self.add(&skippable(0x51, &[b"cachekeep sha256\n", &digest[..]].concat()), 0);
        let count = u32::try_from(self.rows.len() / 8).expect("a table");
        let end = [&count.to_le_bytes()[..], &[0], &0x8F92_EAB1_u32.to_le_bytes()].concat();
        self.file.write_all(&skippable(0x5E, &[&self.rows[..], &end].concat())).expect("written");
    }
}

fn skippable(magic: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame").to_le_bytes();
    [&[magic, 0x2A, 0x4D, 0x18][..], &length, payload].concat()
}

fn frame(content: &[u8]) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(1).expect("zstd");
    compressor.set_parameter(zstd::zstd_safe::CParameter::ChecksumFlag(true)).expect("zstd");
    compressor.compress(content).expect("compressed")
}

/// What a tar stream is made of, entry by entry, below the root of the cache `out`.
struct Stream {
    bytes: Vec<u8>,
    counts: [u64; 4],
}

impl Stream {
    fn new() -> Self {
        Stream { bytes: Vec::new(), counts: [0; 4] }.add(EntryType::Directory, "", "", b"")
    }

    fn push(&mut self, kind: EntryType, name: &str, target: &str, content: &[u8]) {
        let name = format!(".cachekeep/out/{name}");
        let mut records = Vec::new();
        for (key, value) in [("path", &name[..]), ("linkpath", target)] {
            if value.len() > 100 {
                records.extend(record(key, value));
            }
        }
        if !records.is_empty() {
            self.block(EntryType::XHeader, b"x", b"", &records);
        }
        let kept = |text: &str| text.as_bytes()[..text.len().min(100)].to_vec();
        self.block(kind, &kept(&name), &kept(target), content);
        let index = match kind {
            EntryType::Regular => 0,
            EntryType::Directory => 1,
            EntryType::Symlink => 2,
            _ => 3,
        };
        self.counts[index] += 1;
    }

    fn add(mut self, kind: EntryType, name: &str, target: &str, content: &[u8]) -> Self {
        self.push(kind, name, target, content);
        self
    }

    fn block(&mut self, kind: EntryType, name: &[u8], target: &[u8], content: &[u8]) {
        let mut header = Header::new_ustar();
        let fields = header.as_ustar_mut().expect("ustar");
        fields.name[..name.len()].copy_from_slice(name);
        fields.linkname[..target.len()].copy_from_slice(target);
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_mtime(1);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.bytes.extend(header.as_bytes());
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    /// Writes an entry with frames of this many bytes.
    fn write(mut self, path: &Path, frame_bytes: usize) {
        self.bytes.extend([0; 1024]);
        let [files, directories, symlinks, hard_links] = self.counts;
        let entries: u64 = self.counts.iter().sum();
        let mut entry = EntryFile::create(
            path,
            &serde_json::json!({
                "format": 1, "producer": "test 1", "cache": "out",
                "roots": [{"prefix": ".cachekeep/out", "entries": entries, "bytes": 0}],
                "counts": {"files": files, "directories": directories, "symlinks": symlinks, "hard_links": hard_links},
                "unpacked_bytes": 0, "stream_bytes": self.bytes.len(), "frame_bytes": frame_bytes,
            }),
        );
        for content in self.bytes.chunks(frame_bytes) {
            entry.add(&frame(content), content.len());
        }
        entry.finish();
    }

    /// Writes it as another program would, in one frame.
    fn write_foreign(mut self, path: &Path) {
        self.bytes.extend([0; 1024]);
        fs::write(path, zstd::encode_all(&self.bytes[..], 1).expect("compressed")).expect("written");
    }
}

fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let digits = (1..9).find(|digits| (rest + digits).to_string().len() == *digits).expect("a length");
    format!("{} {key}={value}\n", rest + digits).into_bytes()
}

/// A name of 4 000 bytes that shares nothing with its neighbors.
fn long(index: usize) -> String {
    let part = format!("{index:07}");
    format!("{part}{}", format!("/{}", "n".repeat(199)).repeat(19))
}

/// A job with one entry, whose bytes are replaced.
fn planted() -> (Job, std::path::PathBuf) {
    let job = Job::new(ONE_CACHE);
    job.project.write("workspace/out/a", "a");
    job.run("1", &["save", "--required"]).success();
    let entry = job.entries().remove(0);
    (job, entry)
}

/// Runs a command to its end; its output and the most memory that it had.
fn watch(command: &mut Command) -> (Ran, u64) {
    let mut process = Process::start(command);
    let status = format!("/proc/{}/status", process.id());
    let mut peak = 0;
    while process.is_running() {
        peak = peak.max(peak_memory(&status).unwrap_or_default());
        std::thread::sleep(Duration::from_millis(2));
    }
    (process.end(), peak)
}

/// Restores an entry that `plant` writes; `expect` is its hit, or what the reason of the refusal says.
#[track_caller]
fn check(what: &str, expect: &str, plant: impl FnOnce(&Path)) {
    let (job, entry) = planted();
    plant(&entry);
    let bytes = fs::metadata(&entry).expect("an entry").len();
    let (ran, peak) = watch(&mut job.command("1", &["restore"]));
    let ran = ran.success();
    let hit = field(&ran, "restore/hit");
    let found = if hit == "exact" { hit } else { field(&ran, "restore/reason") };
    assert!(found.contains(expect), "{what}: {found}");
    tell(&format!("memory: {what}: {} KiB of archive, {} MiB: {expect}", bytes >> 10, peak >> 20));
    assert!((1 << 20..MOST).contains(&peak), "{what}: {peak} bytes of memory");
}

#[test]
fn links_and_directories_are_refused_before_they_take_more_memory_than_promised() {
    let count = 24_000;
    let expect = "bytes of names of directories and links";
    for (what, kind) in [("symbolic links", EntryType::Symlink), ("hard links", EntryType::Link)] {
        let stream = || {
            let mut stream = Stream::new().add(EntryType::Regular, "f", "", b"");
            for index in 0..count {
                stream.push(kind, &long(index), &format!(".cachekeep/out/{}", long(count - index)), b"");
            }
            stream
        };
        check(&format!("{what} with long names"), expect, |path| stream().write(path, FRAME));
    }
    check("a link to 1 MiB", "has a target of more than 4096 bytes", |path| {
        Stream::new().add(EntryType::Symlink, "l", &"t".repeat(1_000_000), b"").write(path, FRAME);
    });
}

#[test]
fn an_honest_entry_of_very_many_names_is_restored_within_the_promised_memory() {
    let files = pick(20_000, 1_000_000);
    let directory =
        |index: usize| format!("packages/{}/node_modules/deeply/nested/part-{:05}", index % 7, index / 50);
    check("files, directories, and links of both kinds", "exact", |path| {
        let mut stream = Stream::new();
        for index in 0..files {
            if index % 50 < 7 {
                stream.push(EntryType::Regular, &format!("{}/first", directory(index)), "", b"");
            }
            let name = format!("{}/{index:07}", directory(index));
            match index % 5 {
                0 => stream.push(EntryType::Symlink, &name, "../../../some/where/else/index.js", b""),
                1 => stream.push(
                    EntryType::Link,
                    &name,
                    &format!(".cachekeep/out/{}/first", directory(index)),
                    b"",
                ),
                _ => stream.push(EntryType::Regular, &name, "", b""),
            }
        }
        stream.write(path, FRAME);
    });
    check("one hard link among files in one directory", "exact", |path| {
        let mut stream = Stream::new();
        for index in 0..files {
            stream.push(EntryType::Regular, &format!("{}{index:07}", "f".repeat(60)), "", b"");
        }
        let first = format!(".cachekeep/out/{}{:07}", "f".repeat(60), 0);
        stream.add(EntryType::Link, "h", &first, b"").write(path, FRAME);
    });
}

#[test]
fn frames_windows_and_records_take_no_more_memory_than_promised() {
    check("tiny frames", "exact", |path| {
        let mut stream = Stream::new();
        for index in 0..pick(500, 4_000) {
            stream.push(EntryType::Regular, &format!("{index}"), "", b"");
        }
        stream.write(path, pick(64, 8));
    });
    check("records that are not needed", "exact", |path| {
        let mut stream = Stream::new();
        for index in 0..pick(20, 200) {
            let records = record("SCHILY.xattr.user.x", &"v".repeat(1_000_000));
            stream.block(EntryType::XHeader, b"x", b"", &records);
            stream.push(EntryType::Regular, &format!("{index}"), "", b"");
        }
        stream.write(path, FRAME);
    });
    check("the largest window, behind frames of noise", "exact", |path| {
        let noise = crate::forest::noise(pick(24 << 20, 160 << 20), 7);
        let mut stream = Stream::new();
        stream.push(EntryType::Regular, "noise", "", &noise);
        let cut = stream.bytes.len() / FRAME * FRAME / 4;
        let mut bytes: Vec<u8> = stream.bytes[..cut].chunks(FRAME).flat_map(frame).collect();
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("zstd");
        encoder.window_log(27).expect("zstd");
        encoder.write_all(&stream.bytes[cut..]).expect("compressed");
        encoder.write_all(&[0; 1024]).expect("compressed");
        bytes.extend(encoder.finish().expect("compressed"));
        fs::write(path, bytes).expect("written");
    });
    check("a larger window", "does not decompress", |path| {
        let mut encoder = zstd::Encoder::new(File::create(path).expect("a file"), 1).expect("zstd");
        encoder.window_log(30).expect("zstd");
        encoder.write_all(&vec![0; 1 << 20]).expect("compressed");
        encoder.finish().expect("compressed");
    });
    check("a manifest of many roots", "manifest", |path| {
        let roots = vec![serde_json::json!({"prefix": "p", "entries": 0, "bytes": 0}); 24_000];
        let manifest = serde_json::json!({
            "format": 1, "producer": "test 1", "cache": "out", "roots": roots,
            "counts": {"files": 0, "directories": 0, "symlinks": 0, "hard_links": 0},
            "unpacked_bytes": 0, "stream_bytes": 1024, "frame_bytes": 1024,
        });
        EntryFile::create(path, &manifest).finish();
    });
}

#[test]
fn archives_of_other_programs_take_no_more_memory_than_promised() {
    let expect = "bytes of names of directories and links";
    check("links of another program's archive", expect, |path| {
        let mut stream = Stream::new();
        for index in 0..24_000 {
            stream.push(EntryType::Symlink, &long(index), &long(index), b"");
        }
        stream.write_foreign(path);
    });
    check("links and files of another program's archive", "exact", |path| {
        let mut stream = Stream::new();
        for index in 0..pick(5_000, 100_000) {
            stream.push(EntryType::Symlink, &format!("links/{index}"), "../files/some-name", b"");
            stream.push(EntryType::Regular, &format!("files/{index}"), "", b"");
        }
        stream.write_foreign(path);
    });
}

#[test]
fn a_zip_of_very_many_names_is_read_within_the_promised_memory() {
    let config = ONE_CACHE.to_owned()
        + "[cache.out.seed]\nfrom = [\"seed.zip\"]\nversion = \"1\"\nsubdir = \"wanted\"\n";
    let job = Job::new(&config);
    let count: u32 = pick(30_000, 1_000_000);
    fs::write(job.project.path("workspace/seed.zip"), zip(count)).expect("a zip");
    let (ran, peak) = watch(&mut job.command("1", &["seed"]));
    let ran = ran.success();
    tell(&format!("memory: a zip of {count} names: {} MiB", peak >> 20));
    assert!((1 << 20..MOST).contains(&peak), "{peak} bytes of memory: {}", ran.stderr);
    assert!(job.out().join("file").exists(), "{}", ran.stderr);
}

/// A zip of one empty file that its directory lists very often elsewhere, and once where it is wanted.
fn zip(count: u32) -> Vec<u8> {
    let mut bytes = b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0x".to_vec();
    let start = bytes.len() as u64;
    for index in 0..count {
        let name = if index + 1 == count { "wanted/file".to_owned() } else { format!("other/{index:08}") };
        bytes.extend(b"PK\x01\x02\x14\x03\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        bytes.extend(u16::try_from(name.len()).expect("short").to_le_bytes());
        bytes.extend([0; 16]);
        bytes.extend(name.as_bytes());
    }
    let (at, size) = (bytes.len() as u64, bytes.len() as u64 - start);
    bytes.extend(b"PK\x06\x06");
    bytes.extend(44_u64.to_le_bytes());
    bytes.extend([45, 3, 45, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for number in [count.into(), count.into(), size, start] {
        bytes.extend(u64::to_le_bytes(number));
    }
    bytes.extend(b"PK\x06\x07\0\0\0\0");
    bytes.extend(at.to_le_bytes());
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    bytes
}
