//! How fast a store of objects is verified, per algorithm, beside `sha256sum`, in one run.
//!
//! `cargo run --release --example verify_speed -- [MEGABYTES] [WORKERS] [DIRECTORY]`: 1500, 2 and the system's
//! temporary directory unless given. The objects are the same files under each algorithm's names, read once before,
//! so that hashing is measured and not the disk.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program of its own, for people")]

use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cachekeep::domain::digest::{Algorithm, CidCodec};
use cachekeep::domain::event::{Meter, Phase};
use cachekeep::domain::template::Template;
use cachekeep::parts::ObjectHasher;
use cachekeep::parts::ObjectLayout;
use cachekeep::parts::inventory;
use cachekeep::parts::unixfs::{BlockId, Builder, Profile};
use tokio_util::sync::CancellationToken;

/// Bytes of the files, over and over: small ones by number, large ones by bytes.
const SIZES: [usize; 6] = [4 << 10, 40 << 10, 200 << 10, 1_500 << 10, 7_100 << 10, 24_000 << 10];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let megabytes: usize = arguments.first().map_or(Ok(1500), |text| text.parse())?;
    let workers: usize = arguments.get(1).map_or(Ok(2), |text| text.parse())?;
    let place = match arguments.get(2) {
        Some(path) => tempfile::tempdir_in(path)?,
        None => tempfile::tempdir()?,
    };
    let files = make_files(&place.path().join("files"), megabytes * 1_000_000)?;
    let total: usize = files.iter().map(|(_, bytes)| bytes).sum();
    println!("{} files, {:.0} MB, {workers} workers", files.len(), megabytes_of(total));
    for _ in 0..2 {
        row("sha256sum", total, sha256sum(&files, workers)?);
    }
    for algorithm in Algorithm::all() {
        if algorithm == Algorithm::Cid {
            verify("cid, raw", algorithm, &files, workers, place.path(), raw_cid)?;
            verify("cid, dag-pb", algorithm, &files, workers, place.path(), tree_cid)?;
        } else {
            let name = |bytes: &[u8]| Some(hexadecimal(algorithm, bytes));
            verify(algorithm.name(), algorithm, &files, workers, place.path(), name)?;
        }
    }
    row("sha256sum", total, sha256sum(&files, workers)?);
    Ok(())
}

/// Files of no pattern, with their sizes.
fn make_files(directory: &Path, bytes: usize) -> Result<Vec<(PathBuf, usize)>, Box<dyn Error>> {
    fs::create_dir(directory)?;
    let mut state = 88_172_645_463_325_252_u64;
    let mut files = Vec::new();
    let mut written = 0;
    for size in SIZES.iter().copied().cycle() {
        if written >= bytes {
            break;
        }
        let mut content = Vec::with_capacity(size + 8);
        while content.len() < size {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend_from_slice(&state.to_le_bytes());
        }
        let path = directory.join(files.len().to_string());
        fs::write(&path, &content)?;
        written += content.len();
        files.push((path, content.len()));
    }
    Ok(files)
}

/// Names every file by an algorithm and takes stock of that store. Files that `name` gives no name are left out.
fn verify(
    title: &str,
    algorithm: Algorithm,
    files: &[(PathBuf, usize)],
    workers: usize,
    place: &Path,
    name: impl Fn(&[u8]) -> Option<String>,
) -> Result<(), Box<dyn Error>> {
    let root = place.join("store");
    fs::create_dir_all(root.join(algorithm.directory()))?;
    let mut total = 0;
    let mut objects = 0;
    for (path, bytes) in files {
        if let Some(name) = name(&fs::read(path)?) {
            fs::hard_link(path, root.join(algorithm.directory()).join(name))?;
            total += bytes;
            objects += 1;
        }
    }
    let layout = ObjectLayout::new(&Template::parse("{ALGO}/{hash}")?)?;
    let meter = Meter::new("speed", Phase::Verify);
    let begun = Instant::now();
    let found = inventory(&root, &layout, workers, &CancellationToken::new(), &meter)?;
    let took = begun.elapsed();
    if found.count() != objects {
        return Err(format!("{title}: {} of {objects} objects are proven", found.count()).into());
    }
    row(title, total, took);
    Ok(fs::remove_dir_all(&root)?)
}

fn hexadecimal(algorithm: Algorithm, bytes: &[u8]) -> String {
    let mut hasher = ObjectHasher::new(algorithm);
    hasher.update(bytes);
    data_encoding::HEXLOWER.encode(&hasher.finish())
}

fn raw_cid(bytes: &[u8]) -> Option<String> {
    let mut hasher = ObjectHasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    let digest = hasher.finish().try_into().ok()?;
    Some(BlockId { codec: CidCodec::Raw, digest }.to_string())
}

/// Files of one chunk have no tree.
fn tree_cid(bytes: &[u8]) -> Option<String> {
    let mut builder = Builder::new(Profile::UnixfsV1_2025.layout());
    builder.push(bytes);
    let root = builder.finish();
    (root.codec == CidCodec::DagPb).then(|| BlockId { codec: root.codec, digest: root.digest }.to_string())
}

/// The same files by coreutils, as many at once.
fn sha256sum(files: &[(PathBuf, usize)], workers: usize) -> Result<Duration, Box<dyn Error>> {
    let begun = Instant::now();
    let mut child = Command::new("xargs")
        .args(["-P", &workers.to_string(), "-n", "8", "sha256sum"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("no standard input")?;
    for (path, _) in files {
        writeln!(input, "{}", path.display())?;
    }
    drop(input);
    if !child.wait()?.success() {
        return Err("sha256sum failed".into());
    }
    Ok(begun.elapsed())
}

fn row(title: &str, bytes: usize, took: Duration) {
    let seconds = took.as_secs_f64();
    println!(
        "{title:>12}  {seconds:7.2} s  {:8.0} MB/s  of {:6.0} MB",
        megabytes_of(bytes) / seconds,
        megabytes_of(bytes)
    );
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn megabytes_of(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
