//! Generations: bytes in proportion to what changed, over many saves; and whatever is removed, replaced, damaged or killed, a restore is
//! exact, a fallback or a miss, never half.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cachekeep_test_support::tree::{Snapshot, snapshot};
use rustix::process::{Pid, Signal, kill_process};

use crate::forest::{clear, copy, noise};
use crate::job::Job;
use crate::scale::{pick, tell};

const CONFIG: &str = r#"
[disk]
reserve = "0%"

[cache.out]
path = "{workspace}/out"
key = "out-{var.n}"
restore-keys = ["out-"]
generations = "1MB"
"#;

/// A small generator (xorshift64*), so that a seed gives the same cases for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("below a usize")
    }
}

/// A tree as compilers leave one: most files small, a few large, some of it compressible.
struct Tree {
    root: PathBuf,
    sizes: Vec<usize>,
    random: Random,
}

impl Tree {
    fn plant(root: &Path, files: usize, mean: usize) -> Self {
        let mut tree = Tree { root: root.to_owned(), sizes: Vec::new(), random: Random(20_261_128) };
        for index in 0..files {
            let size = if index % 50 == 0 { mean * 20 } else { mean / 10 + tree.random.below(mean) };
            tree.sizes.push(size);
            tree.write(index);
        }
        tree
    }

    fn write(&mut self, index: usize) {
        let path = self.root.join(format!("d{}/f{index}", index % 97));
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        let size = self.sizes[index];
        let mut content = noise(size / 4 * 3, self.random.next());
        content.resize(size, b'.');
        fs::write(path, content).expect("a file");
    }

    fn bytes(&self) -> usize {
        self.sizes.iter().sum()
    }

    /// Writes other contents into files that have this share of all bytes, or a little less.
    fn change(&mut self, thousandths: usize) {
        let mut left = self.bytes() / 1000 * thousandths;
        for _ in 0..self.sizes.len() {
            let index = self.random.below(self.sizes.len());
            if self.sizes[index] <= left {
                self.write(index);
                left -= self.sizes[index];
            }
        }
    }
}

/// What a save stored: bytes, and whether it was all of the cache.
fn save(job: &Job, key: usize) -> (u64, bool) {
    let ran = job.run(&key.to_string(), &["save"]).success();
    let save = &ran.json()["caches"][0]["save"];
    assert_eq!(save["save-result"], "saved", "{}", ran.stderr);
    (save["archive-bytes"].as_u64().expect("a number"), save["whole-bytes"].is_null())
}

/// Bytes that a restore into an empty place read of archives, without their lists.
fn restore(job: &Job, key: usize, expect: &Snapshot) -> u64 {
    clear(&job.out());
    let ran = job.run(&key.to_string(), &["--verbose", "restore"]).success();
    assert_eq!(ran.json()["caches"][0]["restore"]["hit"], "exact", "{}", ran.stderr);
    assert_eq!(&snapshot(&job.out()), expect, "generation {key}");
    let told = ran.stderr.lines().find_map(|line| told_size(line.split("reading ").nth(1)?));
    told.unwrap_or_else(|| {
        let mut entries = job.entries();
        entries.retain(|entry| named(entry, key));
        entries[0].metadata().expect("its size").len()
    })
}

/// The size at the beginning of a text, such as `20.7 MB of 4 entries`.
fn told_size(text: &str) -> Option<u64> {
    let (number, rest) = text.split_once(' ')?;
    let unit = match rest.split(' ').next()? {
        "B" => 0,
        "kB" => 3,
        "MB" => 6,
        "GB" => 9,
        _ => return None,
    };
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    Some((whole.parse::<u64>().ok()? * 10 + tenths.parse::<u64>().ok()?) * 10_u64.pow(unit) / 10)
}

fn named(entry: &Path, key: usize) -> bool {
    let name = entry.file_name().expect("a name").to_string_lossy().into_owned();
    name == format!("out-{key}.tar.zst") || name.starts_with(&format!("out-{key}=7e"))
}

/// Two percent change from each generation to the next: what is stored, and what a restore reads.
#[test]
fn thirty_generations_cost_what_changed() {
    let job = Job::new(CONFIG);
    let (files, mean) = pick((1_500, 12_000), (40_000, 62_500));
    let mut tree = Tree::plant(&job.out(), files, mean);
    let (full, _) = save(&job, 0);
    let (mut stored, mut read) = (Vec::new(), Vec::new());
    for generation in 1..=30 {
        tree.change(20);
        let (bytes, is_full) = save(&job, generation);
        let expect = snapshot(&job.out());
        let bytes_read = restore(&job, generation, &expect);
        stored.push((permille(bytes, full), is_full));
        read.push(permille(bytes_read, full));
    }
    let mean = |all: &[u64]| all.iter().sum::<u64>() / all.len() as u64;
    let shares: Vec<u64> = stored.iter().map(|(share, _)| *share).collect();
    let mut sorted = shares.clone();
    sorted.sort_unstable();
    let (middle, most_read) = (sorted[15], *read.iter().max().expect("thirty"));
    tell(&format!(
        "generations: {files} files, {} MB, 2 % changed 30 times: saves store {} ‰ of a full archive on average, {middle} ‰ in the \
         median, {} of them in full; restores read {} ‰ on average, {most_read} ‰ at most",
        tree.bytes() / 1_000_000,
        mean(&shares),
        stored.iter().filter(|(_, is_full)| *is_full).count(),
        mean(&read),
    ));
    // A line of the list for each file counts more in the small tree of the quick size.
    let per_file = pick(15, 2);
    assert!(middle <= 25 + per_file, "{shares:?}");
    assert!(mean(&shares) <= 120 + per_file, "{shares:?}");
    // The limit for a save is 1.2 times what is live, measured before its own frames.
    assert!(most_read <= 1_250, "{read:?}");
    assert!(mean(&read) <= 1_120, "{read:?}");
}

fn permille(part: u64, whole: u64) -> u64 {
    part * 1000 / whole
}

/// What is done to a store or a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Injection {
    /// An entry is removed before the restore.
    Removed,
    /// One is removed while the restore may be at work.
    RemovedMeanwhile,
    /// A bit of one differs.
    Flipped,
    /// One is cut.
    Cut,
    /// One is another entry of the same name.
    Replaced,
    /// The restore is killed.
    Killed,
}

use Injection::{Cut, Flipped, Killed, Removed, RemovedMeanwhile, Replaced};

/// A store with a full entry, generations on it, another full one, and generations on that; what each of them holds.
fn generations(job: &Job) -> BTreeMap<String, Snapshot> {
    let mut tree = Tree::plant(&job.out(), 300, 12_000);
    let mut all = BTreeMap::new();
    for generation in 0..7 {
        if generation == 4 {
            // Most of it is new, so that it is saved in full.
            tree.change(900);
        } else if generation > 0 {
            tree.change(30);
        }
        let (_, is_full) = save(job, generation);
        assert_eq!(is_full, generation % 4 == 0, "{generation}");
        all.insert(format!("out-{generation}"), snapshot(&job.out()));
    }
    all
}

#[test]
fn whatever_happens_a_restore_is_exact_a_fallback_or_a_miss() {
    let job = Job::new(CONFIG);
    let all = generations(&job);
    let sound = job.project.path("sound");
    copy(&job.store(), &sound);
    let mut random = Random(4_711);
    let mut outcomes = BTreeMap::new();
    for round in 0..pick(60, 300) {
        clear(&job.store());
        copy(&sound, &job.store());
        clear(&job.out());
        let injection = [Removed, RemovedMeanwhile, Flipped, Cut, Replaced, Killed][round % 6];
        let key = [3, 6][random.below(2)];
        let outcome = inject(&job, injection, key, &mut random, &all);
        *outcomes.entry((format!("{injection:?}"), outcome)).or_insert(0) += 1;
        assert_eq!(job.project.temporary_things(), Vec::<PathBuf>::new(), "{injection:?} {key}");
        // The next save of the key restores it for everyone.
        if injection != Killed && !job.out().exists() {
            Tree::plant(&job.out(), 40, 30_000);
            let ran = job.run(&key.to_string(), &["save"]).success();
            assert_eq!(
                ran.json()["caches"][0]["save"]["save-result"],
                "saved",
                "{injection:?}: {}",
                ran.stderr
            );
            let expect = snapshot(&job.out());
            restore(&job, key, &expect);
        }
    }
    tell(&format!("generations: injections and what the restore came to: {outcomes:?}"));
    assert!(outcomes.keys().any(|(_, outcome)| *outcome == "exact"));
    assert!(outcomes.keys().any(|(_, outcome)| *outcome == "fallback"));
    assert!(outcomes.keys().any(|(_, outcome)| *outcome == "miss"));
}

/// Restores a generation while something is wrong; the target then holds a whole generation or nothing.
fn inject(
    job: &Job,
    injection: Injection,
    key: usize,
    random: &mut Random,
    all: &BTreeMap<String, Snapshot>,
) -> &'static str {
    let mut entries = job.entries();
    entries.sort();
    let chosen = entries[random.below(entries.len())].clone();
    let mut bytes = fs::read(&chosen).expect("an entry");
    match injection {
        Removed => fs::remove_file(&chosen).expect("removed"),
        Flipped => {
            let at = random.below(bytes.len());
            bytes[at] ^= 1 << random.below(8);
            fs::write(&chosen, bytes).expect("written");
        }
        Cut => fs::write(&chosen, &bytes[..random.below(bytes.len())]).expect("written"),
        Replaced => {
            let other = fs::read(&entries[random.below(entries.len())]).expect("an entry");
            fs::write(&chosen, other).expect("written");
        }
        RemovedMeanwhile | Killed => {}
    }
    let mut command = job.command(&key.to_string(), &["restore"]);
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn();
    let child = child.expect("the binary starts");
    let pause = Duration::from_millis(random.next() % 120);
    match injection {
        RemovedMeanwhile => {
            std::thread::sleep(pause);
            let _ = fs::remove_file(&chosen);
        }
        Killed => {
            std::thread::sleep(pause);
            let _ = kill_process(Pid::from_child(&child), Signal::KILL);
        }
        _ => {}
    }
    let output = child.wait_with_output().expect("it ends");
    if injection == Killed {
        // What a kill left behind is taken away by the next start, which restores.
        job.run(&key.to_string(), &["restore"]).success();
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if !job.out().exists() {
        assert!(said.contains("was not restored") || said.contains("miss"), "{injection:?}: {said}");
        return "miss";
    }
    let found = snapshot(&job.out());
    let held = all.iter().find(|(_, snapshot)| **snapshot == found);
    let (name, _) =
        held.unwrap_or_else(|| panic!("{injection:?} {key}: the tree is of no generation: {said}"));
    if *name == format!("out-{key}") { "exact" } else { "fallback" }
}
