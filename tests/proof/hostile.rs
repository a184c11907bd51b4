//! Entries that an attacker put into the store: refused with a reason, and nothing is touched.

use std::cell::RefCell;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use crate::forest;
use crate::job::{Job, ONE_CACHE, field};
use crate::scale::{pick, tell};
use cachekeep_test_support::tree::{Snapshot, snapshot};

/// A job with one entry, whose bytes the test replaces.
struct Victim {
    job: Job,
    entry: PathBuf,
    genuine: Vec<u8>,
    before: RefCell<Snapshot>,
    complete: Snapshot,
}

impl Victim {
    fn new() -> Self {
        let job = Job::new(ONE_CACHE);
        for (index, length) in (0..30_u64).zip((0_usize..).step_by(700)) {
            let name = format!("workspace/out/{}/{index}", index % 3);
            job.project.write(&name, forest::noise(length, index));
        }
        let complete = snapshot(&job.out());
        job.run("1", &["save", "--required"]).success();
        let entry = job.entries().remove(0);
        let genuine = fs::read(&entry).expect("an entry");
        forest::clear(&job.out());
        job.project.write("workspace/out/0/3", "older");
        job.project.write("workspace/out/mine", "mine");
        job.project.write("outside/treasure", "treasure");
        let before = RefCell::new(snapshot(&job.project.path("")));
        Victim { job, entry, genuine, before, complete }
    }

    /// Everything but the store's bytes and the notes in the home.
    fn surroundings(tree: &Snapshot) -> Vec<(&String, &String)> {
        let counts = |path: &str| {
            // Temporary things come and go beside the target: that directory's own time is not compared.
            let is_parent = ["", "workspace", "home", "temp"].contains(&path);
            !is_parent && !path.starts_with("home/") && !path.starts_with("store")
        };
        tree.iter().filter(|(path, _)| counts(path)).collect()
    }

    /// Restores an entry of these bytes; `None` if it was refused, for the reason given, with nothing touched.
    #[track_caller]
    fn restores(&self, name: &str, bytes: &[u8]) -> Result<(), String> {
        fs::write(&self.entry, bytes).expect("planted");
        let ran = self.job.run("1", &["restore"]).success();
        assert_eq!(self.job.leftovers(), Vec::<PathBuf>::new(), "{name}");
        if field(&ran, "restore/hit") == "exact" {
            return Ok(());
        }
        let reason = field(&ran, "restore/reason");
        assert!(ran.stderr.contains("warning: out: ") && reason.len() > 20, "{name}: {}", ran.stderr);
        let after = snapshot(&self.job.project.path(""));
        let touched = Self::surroundings(&after) != Self::surroundings(&self.before.borrow());
        assert!(!touched, "{name}: {:#?}", Self::surroundings(&after));
        Err(reason)
    }

    #[track_caller]
    fn refuses(&self, name: &str, bytes: &[u8]) {
        match self.restores(name, bytes) {
            Err(reason) => {
                assert!(
                    !reason.contains("/payload/"),
                    "{name}: entries are named as the archive does: {reason}"
                );
                tell(&format!("hostile: {name}: {}", reason.replace(&self.project(), "…/")));
            }
            Ok(()) => panic!("{name} was restored"),
        }
    }

    fn project(&self) -> String {
        self.job.project.path("").display().to_string()
    }

    fn outside(&self, name: &str) -> PathBuf {
        self.job.project.path("outside").join(name)
    }
}

/// A tar stream of entries whose names are not checked.
#[derive(Default)]
struct Crafted(Vec<u8>);

impl Crafted {
    /// The root, as every entry has it.
    fn new() -> Self {
        Crafted::default().add(".cachekeep/out/", EntryType::Directory, "", b"")
    }

    fn add(self, name: &str, kind: EntryType, target: &str, contents: &[u8]) -> Self {
        self.sized(name, kind, target, contents, contents.len() as u64)
    }

    fn sized(mut self, name: &str, kind: EntryType, target: &str, contents: &[u8], size: u64) -> Self {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        old.name[..name.len()].copy_from_slice(name.as_bytes());
        old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(size);
        header.set_mtime(1);
        header.set_cksum();
        self.0.extend(header.as_bytes());
        self.0.extend(contents);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str) -> Self {
        self.add(name, EntryType::Regular, "", b"evil")
    }

    fn packed(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        zstd::encode_all(self.0.as_slice(), 1).expect("compressed")
    }
}

#[test]
fn what_leads_out_of_the_root_is_refused() {
    let victim = Victim::new();
    let text = |path: PathBuf| path.to_str().expect("text").to_owned();
    let (treasure, directory) = (text(victim.outside("treasure")), text(victim.outside("")));
    let fresh = text(victim.outside("fresh"));
    let up = ".cachekeep/out/../../../../outside/fresh";
    let check = |name: &str, crafted: Crafted| victim.refuses(name, &crafted.packed());
    check("parent directories", Crafted::new().file(up));
    check("a parent directory at once", Crafted::new().file("../outside/fresh"));
    check("an absolute name", Crafted::new().file(&fresh));
    check("a name outside of the root", Crafted::new().file("elsewhere/file"));
    check("another cache's root", Crafted::new().file(".cachekeep/other/file"));
    check(
        "a write through a link",
        Crafted::new()
            .add(".cachekeep/out/l", EntryType::Symlink, &directory, b"")
            .file(".cachekeep/out/l/fresh"),
    );
    check(
        "a write onto a link",
        Crafted::new().add(".cachekeep/out/l", EntryType::Symlink, &treasure, b"").file(".cachekeep/out/l"),
    );
    check(
        "the root as a link",
        Crafted::default()
            .add(".cachekeep/out", EntryType::Symlink, &directory, b"")
            .file(".cachekeep/out/fresh"),
    );
    for target in
        [treasure.as_str(), "../../../../outside/treasure", ".cachekeep/out/../../../../outside/treasure"]
    {
        check(
            &format!("a hard link to {}", if target == treasure { "an absolute name" } else { target }),
            Crafted::new().add(".cachekeep/out/h", EntryType::Link, target, b"").file(".cachekeep/out/h"),
        );
    }
    check(
        "a hard link through a link",
        Crafted::new().add(".cachekeep/out/l", EntryType::Symlink, &directory, b"").add(
            ".cachekeep/out/h",
            EntryType::Link,
            ".cachekeep/out/l/treasure",
            b"",
        ),
    );
    check("a hard link to a part of ours", {
        Crafted::new().add(".cachekeep/out/h", EntryType::Link, ".cachekeep/out/mine", b"")
    });
}

#[test]
fn devices_bombs_and_lies_are_refused() {
    let victim = Victim::new();
    let check = |name: &str, crafted: Crafted| victim.refuses(name, &crafted.packed());
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        check(&format!("{kind:?}"), Crafted::new().add(".cachekeep/out/special", kind, "", b""));
    }
    for size in [1 << 50, u64::MAX / 2, u64::MAX] {
        let crafted = Crafted::new().sized(".cachekeep/out/x", EntryType::Regular, "", b"little", size);
        check(&format!("a file of {size} bytes"), crafted);
    }
    victim.refuses("nothing", b"");
    victim.refuses("no archive", b"<html>504 Gateway Time-out</html>");
    victim.refuses("zeros", &[0; 4096]);
    victim.refuses("no end", &zstd::encode_all(&[1_u8; 700][..], 1).expect("compressed"));

    // A frame of zeros, a thousand times as large as the manifest claims.
    let head = 8 + u32::from_le_bytes(victim.genuine[4..8].try_into().expect("four bytes")) as usize;
    let manifest = String::from_utf8_lossy(&victim.genuine[8..head]).into_owned();
    let mut bomb = victim.genuine[..head].to_vec();
    let mut encoder = zstd::Encoder::new(&mut bomb, 1).expect("an encoder");
    let zeros = vec![0; 1 << 20];
    (0..512).for_each(|_| encoder.write_all(&zeros).expect("compressed"));
    encoder.finish().expect("finished");
    victim.refuses("a bomb behind a modest manifest", &bomb);
    // The same manifest with other figures.
    let start = manifest.find("\"unpacked_bytes\":").expect("a figure") + 17;
    let figure: String = manifest[start..].chars().take_while(char::is_ascii_digit).collect();
    for lie in ["1", "0", "18446744073709551615", "1099511627776"] {
        let lying = manifest.replacen(&figure, lie, 1);
        let mut bytes = 0x184D_2A50_u32.to_le_bytes().to_vec();
        bytes.extend(u32::try_from(lying.len()).expect("short").to_le_bytes());
        bytes.extend(lying.as_bytes());
        bytes.extend(&victim.genuine[head..]);
        victim.refuses(&format!("a manifest that says {lie} bytes"), &bytes);
    }
}

#[test]
fn what_is_cut_off_or_flipped_is_refused_or_the_same_tree() {
    let victim = Victim::new();
    let length = victim.genuine.len();
    let cuts = pick(20, 200);
    for cut in (0..cuts).map(|part| length * part / cuts).chain([length - 1]) {
        assert!(
            victim.restores("cut", &victim.genuine[..cut]).is_err(),
            "{cut} of {length} bytes are enough"
        );
    }
    let flips = pick(100, 2_000);
    let mut same = 0;
    for _ in 0..flips {
        let bit = rand::random_range(0..length * 8);
        let mut bytes = victim.genuine.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if victim.restores("flip", &bytes).is_ok() {
            same += 1;
            victim.is_restored(bit);
        }
    }
    tell(&format!("hostile: {flips} flips: {} refused, {same} the same tree", flips - same));
    victim.restores("genuine", &victim.genuine).expect("restored at last");
    victim.is_restored(0);
}

impl Victim {
    /// Panics unless the target is what was saved, beside what was there; then it is as before again.
    #[track_caller]
    fn is_restored(&self, bit: usize) {
        let contents = |root: &Path, name: &str| fs::read(root.join(name)).ok();
        let restored = snapshot(&self.job.out());
        for (path, text) in self.complete.iter().filter(|(path, _)| !path.is_empty()) {
            assert_eq!(restored.get(path), Some(text), "{path} after the flip of bit {bit}");
        }
        assert_eq!(contents(&self.job.out(), "mine").as_deref(), Some(b"mine".as_slice()));
        self.job.project.write("workspace/out/0/3", "older");
        self.before.replace(snapshot(&self.job.project.path("")));
    }
}
