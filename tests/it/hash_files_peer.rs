//! `{hash-files:…}` against its peer: the `hashFiles` of npm's `@actions/glob`, run on the same trees.
//!
//! The peer is pinned by `tests/peer/hash-files/package-lock.json`. Without node, npm or a registry the test says loudly that
//! it was skipped; with `CACHEKEEP_TEST_SKIP=never` in the environment it fails instead.

use std::fs;
use std::io::{Seek as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use cachekeep::domain::fault::Fault;
use cachekeep::parts::hash_files;
use cachekeep_test_support::npm::installed;
use cachekeep_test_support::skip;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use trees::TREES;

#[path = "../peer/hash-files/trees.rs"]
mod trees;

#[test]
fn digests_equal_the_peers() {
    let peer = match installed("hash-files") {
        Ok(peer) => peer,
        Err(why) => return skip("hash-files against its peer", &why),
    };
    let base = tempfile::tempdir().expect("a directory");
    let base = fs::canonicalize(base.path()).expect("a path");
    let mut cases: Vec<(PathBuf, Vec<String>, bool)> = Vec::new();
    for (index, (tree, lists)) in TREES.iter().enumerate() {
        // A workspace whose own name holds wildcards must not matter.
        let workspace = base.join(format!("[{index}]*"));
        make(&workspace, tree);
        for list in *lists {
            for follow in [false, true] {
                cases.push((workspace.clone(), list.iter().map(|p| (*p).to_owned()).collect(), follow));
            }
        }
        let absolute = format!("{}/**", workspace.display()).replace(['[', ']', '*'], "?");
        cases.push((workspace.clone(), vec![absolute], false));
    }
    assert!(TREES.len() >= 25, "{} trees", TREES.len());
    let mut random = Random(0x5eed_cafe);
    for index in 0..150 {
        let workspace = base.join(format!("random-{index}"));
        make_random(&workspace, &mut random);
        for _ in 0..4 {
            let lines = (0..=random.below(3)).map(|_| random.pattern()).collect();
            cases.push((workspace.clone(), lines, random.below(3) == 0));
        }
    }
    let answers = ask(&peer, &cases);
    assert_eq!(answers.len(), cases.len());
    let (mut wrong, mut matched, mut refused) = (Vec::new(), 0, 0);
    for ((workspace, patterns, follow), answer) in cases.iter().zip(&answers) {
        let ours = ours(workspace, patterns, *follow);
        let agree = match (&ours, answer["digest"].as_str()) {
            (Ok(digest), Some(theirs)) => digest == theirs,
            (Err(_), None) => true,
            _ => false,
        };
        matched += usize::from(ours.as_ref().is_ok_and(|digest| !digest.is_empty()));
        refused += usize::from(ours.is_err());
        if !agree {
            let follow = if *follow { "follow" } else { "" };
            wrong.push(format!("{patterns:?} {follow} in {}:\n  {ours:?}\n  {answer}", workspace.display()));
        }
    }
    say(&format!("{} comparisons with @actions/glob: {matched} digests, {refused} refusals", cases.len()));
    assert!(matched > 200 && refused > 10, "the cases say too little");
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

fn ours(workspace: &Path, patterns: &[String], follow: bool) -> Result<String, Fault> {
    let mut patterns = patterns.to_vec();
    if follow {
        patterns.insert(0, "--follow-symbolic-links".to_owned());
    }
    let hashed = hash_files(workspace, &patterns, None, &CancellationToken::new())?;
    Ok(hashed.digest.map(|digest| digest.to_string()).unwrap_or_default())
}

/// Past the capture of the test harness, which would keep it quiet.
fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "\n{message}");
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn ask(peer: &Path, cases: &[(PathBuf, Vec<String>, bool)]) -> Vec<Value> {
    let question: Vec<Value> = cases
        .iter()
        .map(|(workspace, patterns, follow)| json!({ "workspace": workspace, "patterns": patterns, "follow": follow }))
        .collect();
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(&serde_json::to_vec(&question).expect("JSON")).expect("written");
    file.rewind().expect("at the start");
    let output = Command::new("node")
        .arg(peer.join("digest.mjs"))
        .env_remove("GITHUB_WORKSPACE")
        .stdin(Stdio::from(file))
        .output()
        .expect("node runs");
    assert!(output.status.success(), "{}", text(&output));
    let answer = String::from_utf8(output.stdout).expect("UTF-8");
    serde_json::from_str(answer.trim_end().lines().last().expect("an answer")).expect("JSON")
}

fn make(workspace: &Path, tree: &[&str]) {
    fs::create_dir_all(workspace).expect("a directory");
    for name in tree {
        if let Some((link, target)) = name.split_once(" -> ") {
            let link = workspace.join(link);
            fs::create_dir_all(link.parent().expect("a parent")).expect("directories");
            symlink(target, link).expect(name);
        } else if let Some(directory) = name.strip_suffix('/') {
            fs::create_dir_all(workspace.join(directory)).expect(name);
        } else {
            let path = workspace.join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            let content = match *name {
                "empty" => "",
                name if name.starts_with("same") => "same",
                name => name,
            };
            fs::write(path, content).expect(name);
        }
    }
}

const NAMES: &[&str] =
    &["a", "b", "a-x", "a.lock", "A", "é", "😀", ".d", "a b", "x.txt", "[z]", "a*", "ab", "b.lock", "z"];

const SEGMENTS: &[&str] = &[
    "*", "**", "**", "a*", "?", "[ab]", "[!a]*", "a", "b", "*.lock", "a-x", ".d", ".*", "??", "*.t?t",
    "[[]z]", "[z-a]", "a\\*", "[a-b]*", "*b*", "a", "b", "z", "[^b]", "[]", "?.lock", "é", "*[!k]",
];

/// A stream of numbers that is the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 40).expect("24 bits") % limit
    }

    fn of<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }

    fn path(&mut self) -> String {
        (0..=self.below(3)).map(|_| self.of(NAMES)).collect::<Vec<_>>().join("/")
    }

    fn pattern(&mut self) -> String {
        let exclude = if self.below(4) == 0 { "!" } else { "" };
        let segments: Vec<&str> = (0..=self.below(3)).map(|_| self.of(SEGMENTS)).collect();
        let end = if self.below(6) == 0 { "/" } else { "" };
        format!("{exclude}{}{end}", segments.join("/"))
    }
}

/// Files, and now and then a link; a name that is taken is left out.
fn make_random(workspace: &Path, random: &mut Random) {
    fs::create_dir_all(workspace).expect("a directory");
    for _ in 0..6 + random.below(14) {
        let name = random.path();
        let path = workspace.join(&name);
        if fs::create_dir_all(path.parent().expect("a parent")).is_err() {
            continue;
        }
        match random.below(12) {
            0 => _ = symlink(random.of(NAMES), &path),
            1 => _ = symlink(workspace.join(random.path()), &path),
            _ if !path.exists() => _ = fs::write(&path, &name),
            _ => {}
        }
    }
}
