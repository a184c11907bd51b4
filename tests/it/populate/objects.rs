//! Objects made up for tests, links to them, and directories that mirrors serve them from.

use std::fs;
use std::path::{Path, PathBuf};

use cachekeep::domain::digest::{Algorithm, CidCodec};
use cachekeep::parts::ObjectHasher;
use cachekeep::parts::unixfs::{BlockId, Builder, Profile};

use cachekeep_test_support::project::Project;

/// An object: what it is named by and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// What names it.
    pub(crate) algorithm: Algorithm,
    /// Its name.
    pub(crate) hash: String,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
}

/// Bytes that no other seed gives.
pub(crate) fn content(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

impl Object {
    /// The object of these bytes under an algorithm; a CID is raw, or a tree of the usual profile above 1 MiB.
    pub(crate) fn new(algorithm: Algorithm, bytes: Vec<u8>) -> Self {
        let hash = match algorithm {
            Algorithm::Cid => {
                let mut builder = Builder::new(Profile::UnixfsV1_2025.layout());
                builder.push(&bytes);
                let root = builder.finish();
                BlockId { codec: root.codec, digest: root.digest }.to_string()
            }
            _ => {
                let mut hasher = ObjectHasher::new(algorithm);
                hasher.update(&bytes);
                hasher.finish().iter().map(|byte| format!("{byte:02x}")).collect()
            }
        };
        Object { algorithm, hash, bytes }
    }

    /// The raw CID of these bytes, whatever their size.
    pub(crate) fn raw(bytes: Vec<u8>) -> Self {
        let sha256 = Object::new(Algorithm::Sha256, bytes);
        let digest: Vec<u8> = (0..32)
            .map(|at| u8::from_str_radix(&sha256.hash[2 * at..2 * at + 2], 16).expect("hex"))
            .collect();
        let digest = digest.try_into().expect("32 bytes");
        let hash = BlockId { codec: CidCodec::Raw, digest }.to_string();
        Object { algorithm: Algorithm::Cid, hash, bytes: sha256.bytes }
    }

    /// Where it lies below a store's root.
    pub(crate) fn relative(&self) -> PathBuf {
        Path::new(self.algorithm.directory()).join(&self.hash)
    }

    /// Puts it where a mirror serves it.
    pub(crate) fn serve_from(&self, directory: &Path) {
        let path = directory.join(self.relative());
        fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        fs::write(path, &self.bytes).expect("written");
    }

    /// Links it in the workspace.
    pub(crate) fn link(&self, project: &Project, name: &str) {
        project.write(&format!("workspace/{name}.{}", self.algorithm.name()), format!("{}\n", self.hash));
    }

    /// Its file in the cache of the project.
    pub(crate) fn path(&self, project: &Project) -> PathBuf {
        project.path("workspace/store").join(self.relative())
    }
}

/// Small objects of every algorithm, the empty file among them, each linked as `data/N` and served.
pub(crate) fn served(project: &Project, count: usize) -> Vec<Object> {
    let algorithms: Vec<Algorithm> = Algorithm::all().collect();
    let objects: Vec<Object> = (0..count)
        .map(|index| {
            let size = if index == 0 { 0 } else { 300 + 977 * index };
            Object::new(algorithms[index % algorithms.len()], content(index as u64 + 1, size))
        })
        .collect();
    for (index, object) in objects.iter().enumerate() {
        object.serve_from(&project.path("mirror"));
        object.link(project, &format!("data/{index}"));
    }
    objects
}

/// A cache `data` of objects in `store`, with these mirrors and more lines in its table of links.
pub(crate) fn config(mirrors: &[String], more: &str) -> String {
    let links = "[\"data/**/*.cid\", \"data/**/*.md5\", \"data/**/*.sha*\"]";
    format!(
        "[cache.data]\npath = \"store\"\nkey = \"data-v1-{{links}}\"\nrestore-keys = [\"data-v1-\"]\n\n\
         [cache.data.links]\nfiles = {links}\nmirrors = {mirrors:?}\n{more}\n"
    )
}

/// Panics unless the store holds exactly these objects, right to the last bit, and nothing under another name.
#[track_caller]
pub(crate) fn assert_holds(project: &Project, objects: &[Object]) {
    for object in objects {
        let found = fs::read(object.path(project)).unwrap_or_else(|error| panic!("{}: {error}", object.hash));
        assert!(found == object.bytes, "{} is not what it should be", object.hash);
    }
}
