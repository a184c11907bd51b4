//! Trees that the proofs work on.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};

use crate::job::Job;

/// Bytes that do not compress, other ones for every seed.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    };
    let mut bytes = vec![0; length.next_multiple_of(8)];
    bytes.chunks_exact_mut(8).for_each(|chunk| chunk.copy_from_slice(&next().to_le_bytes()));
    bytes.truncate(length);
    bytes
}

/// A plain tree of `bytes` bytes: a few hundred small files and some large ones.
pub(crate) fn plain(root: &Path, bytes: usize, seed: u64) {
    for index in 0..400_u64 {
        let directory = root.join(format!("small/{}", index % 20));
        fs::create_dir_all(&directory).expect("a directory");
        let length = usize::try_from(index * 37 % 5000).expect("small");
        fs::write(directory.join(format!("{index}.txt")), noise(length, seed ^ index)).expect("a file");
    }
    large(root, bytes, seed);
}

/// Large files of `bytes` bytes in all.
pub(crate) fn large(root: &Path, bytes: usize, seed: u64) {
    const PART: usize = 4 << 20;
    let directory = root.join("large");
    fs::create_dir_all(&directory).expect("a directory");
    for (index, start) in (0_u64..).zip((0..bytes).step_by(PART)) {
        let length = PART.min(bytes - start);
        // A quarter compresses.
        let mut contents = noise(length / 4 * 3, seed ^ index << 32);
        contents.resize(length, b'.');
        fs::write(directory.join(format!("{index}.bin")), contents).expect("a file");
    }
}

/// Copies a tree as it is, times and modes included.
pub(crate) fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp is everywhere");
    assert!(copied.success());
}

/// Removes a tree, if it is there.
pub(crate) fn clear(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}: {}", path.display()),
        _ => {}
    }
}

/// A content-addressed cache with a seed archive beside the configuration.
pub(crate) const OBJECTS: &str = r#"
[disk]
reserve = "0%"

[cache.out]
path = "{workspace}/out"
key = "out-{var.n}"

[cache.out.links]
files = ["data/*.sha256"]
object = "{ALGO}/{hash}"

[cache.out.seed]
version = "1"
from = ["seed.tar.zst"]
sha256 = "CHECKSUM"
subdir = "seed"
"#;

/// A job whose links name `count` objects, all of them in the seed archive; and the names of the objects.
pub(crate) fn seeded(count: u64, bytes: usize) -> (Job, Vec<String>) {
    let job = Job::new("");
    let mut archive = tar::Builder::new(zstd::Encoder::new(Vec::new(), 1).expect("an encoder"));
    let mut names = Vec::new();
    for index in 0..count {
        let contents = noise(bytes, index + 1);
        let hash = hex(&contents);
        job.project.write(&format!("workspace/data/{index}.sha256"), format!("{hash}\n"));
        let mut header = tar::Header::new_gnu();
        header.set_size(contents.len() as u64);
        header.set_mode(0o644);
        let path = format!("seed/SHA256/{hash}");
        archive.append_data(&mut header, path, contents.as_slice()).expect("appended");
        names.push(hash);
    }
    let archive = archive.into_inner().and_then(zstd::Encoder::finish).expect("finished");
    job.project.write("workspace/cachekeep.toml", OBJECTS.replace("CHECKSUM", &hex(&archive)));
    job.project.write("workspace/seed.tar.zst", archive);
    (job, names)
}

/// The SHA-256 of bytes, in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes))
}

/// Counts the objects in the cache; panics at one whose bytes do not match its name.
#[track_caller]
pub(crate) fn verified_objects(out: &Path) -> usize {
    let paths: Vec<PathBuf> = crate::job::listing(&out.join("SHA256"));
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert_eq!(hex(&fs::read(path).expect("an object")), name, "an unverified object under a final name");
    }
    paths.len()
}

/// A sparse file: a few bytes here and there and holes between.
pub(crate) fn sparse(path: &Path, length: u64) {
    use std::io::Seek as _;
    let mut file = fs::File::create(path).expect("a file");
    file.write_all(b"begin").expect("written");
    file.seek(std::io::SeekFrom::Start(length / 2 + 123)).expect("moved");
    file.write_all(&noise(10_000, 9)).expect("written");
    file.seek(std::io::SeekFrom::Start(length - 3)).expect("moved");
    file.write_all(b"end").expect("written");
}
