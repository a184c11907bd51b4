//! The trees that are saved and restored, the same in every run.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};

/// What a cache is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Many small files of text, as packages and object files are.
    Small,
    /// A few large files that do not compress.
    Large,
    /// Objects named by their hashes, of lognormal sizes; some compress.
    Objects,
    /// The same, declared by content links: gated before it is saved and verified when it is restored.
    Verified,
}

impl Shape {
    /// All of them.
    pub(crate) const ALL: [Shape; 4] = [Shape::Small, Shape::Large, Shape::Objects, Shape::Verified];

    /// Its name, for the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Shape::Small => "small",
            Shape::Large => "large",
            Shape::Objects => "objects",
            Shape::Verified => "verified",
        }
    }

    /// What it is, for the table.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Shape::Small => "many small files",
            Shape::Large => "few large files that do not compress",
            Shape::Objects => "content-addressed store, as any files",
            Shape::Verified => "content-addressed store, each object verified by cachekeep",
        }
    }

    /// Makes the tree in a directory that is not there, and its links below the workspace.
    pub(crate) fn grow(self, directory: &Path, workspace: &Path, quick: bool) -> Grown {
        let mut grower =
            Grower { random: StdRng::seed_from_u64(7), words: Vec::new(), grown: Grown::default() };
        grower.words = (0..2_000).map(|_| grower.word()).collect();
        match self {
            Shape::Small => grower.small(directory, if quick { 1_000 } else { 20_000 }),
            Shape::Large => grower.large(directory, if quick { 8 << 20 } else { 128 << 20 }),
            Shape::Objects | Shape::Verified => {
                let count = if quick { 150 } else { 2_867 };
                let names = grower.objects(&directory.join("SHA256"), count);
                if self == Shape::Verified {
                    fs::create_dir_all(workspace.join("data")).expect("a directory");
                    for (index, name) in names.iter().enumerate() {
                        let link = workspace.join(format!("data/{index}.sha256"));
                        fs::write(link, format!("{name}\n")).expect("a file");
                    }
                }
            }
        }
        grower.grown
    }
}

/// What was made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Grown {
    /// Files.
    pub(crate) files: u64,
    /// Their bytes.
    pub(crate) bytes: u64,
}

struct Grower {
    random: StdRng,
    words: Vec<String>,
    grown: Grown,
}

impl Grower {
    fn word(&mut self) -> String {
        let length = self.random.random_range(2..12);
        (0..length).map(|_| char::from(self.random.random_range(b'a'..=b'z'))).collect()
    }

    /// Words of which some are frequent: compresses to about a third.
    fn text(&mut self, length: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(length + 16);
        while text.len() < length {
            let rank = self.random.random_range(0.0_f64..1.0).powi(3);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank below 2 000")]
            let word = &self.words[(rank * 2_000.0) as usize];
            text.extend_from_slice(word.as_bytes());
            text.push(if self.random.random_ratio(1, 9) { b'\n' } else { b' ' });
        }
        text.truncate(length);
        text
    }

    fn noise(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.random.fill(&mut bytes[..]);
        bytes
    }

    /// A length whose logarithm is normal, in bytes.
    fn lognormal(&mut self, median: f64, sigma: f64, most: usize) -> usize {
        // Box and Muller's way to a normal number.
        let (first, second) =
            (self.random.random_range(f64::EPSILON..1.0), self.random.random_range(0.0..1.0));
        let normal = (-2.0 * f64::ln(first)).sqrt() * (std::f64::consts::TAU * second).cos();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length, capped")]
        let length = (median * (sigma * normal).exp()) as usize;
        length.clamp(1, most)
    }

    fn write(&mut self, path: &Path, contents: &[u8]) {
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::File::create(path).and_then(|mut file| file.write_all(contents)).expect("a file");
        self.grown.files += 1;
        self.grown.bytes += contents.len() as u64;
    }

    fn small(&mut self, directory: &Path, count: usize) {
        for index in 0..count {
            let length = self.lognormal(2_000.0, 1.2, 200_000);
            let text = self.text(length);
            let below = format!("{}/{}", index % 23, index % 97);
            self.write(&directory.join(below).join(format!("{index}.txt")), &text);
        }
    }

    fn large(&mut self, directory: &Path, length: usize) {
        for index in 0..6 {
            let noise = self.noise(length);
            self.write(&directory.join(format!("{index}.bin")), &noise);
        }
    }

    /// Makes objects and returns their names.
    fn objects(&mut self, directory: &Path, count: usize) -> Vec<String> {
        let object = |index: usize| {
            let length = self.lognormal(60_000.0, 1.8, 64 << 20);
            // Images are compressed already, meshes and tables are text.
            let contents = if index.is_multiple_of(3) { self.text(length) } else { self.noise(length) };
            let name = data_encoding::HEXLOWER.encode(&Sha256::digest(&contents));
            self.write(&directory.join(&name), &contents);
            name
        };
        (0..count).map(object).collect()
    }
}
