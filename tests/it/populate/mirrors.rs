//! Seven mirrors of which one is well, and slow: every object arrives right, beside the script that people use.
//!
//! Small by default. `CACHEKEEP_PROOF=full cargo test --release --test it populate::mirrors -- --nocapture` takes a tree
//! with the links and objects of a real one, 1.5 GB of them.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cachekeep::domain::digest::Algorithm;

use crate::populate::objects::{Object, config, content, served};
use cachekeep_test_support::mirror_server::{Manner, MirrorServer};
use cachekeep_test_support::project::Project;
use cachekeep_test_support::skip;

/// Links and the objects they name, of a real tree.
const LINKS: &str = include_str!("../../fixtures/content-links.tsv");

struct Size {
    /// Every so many-th link.
    step: usize,
    /// Bytes of all objects together, nearly.
    bytes: f64,
    /// Bytes a second of the mirror that is well.
    rate: u64,
}

const QUICK: Size = Size { step: 40, bytes: 12e6, rate: 20 << 20 };
const FULL: Size = Size { step: 1, bytes: 1.5e9, rate: 100 << 20 };

/// A number that is distributed log-normally around 1, with the long tail that test data has.
fn lognormal(seed: u64) -> f64 {
    let bytes = content(seed, 12 * 4);
    let uniform =
        |piece: &[u8]| f64::from(u32::from_le_bytes(piece.try_into().expect("four bytes"))) / 4.294_967_296e9;
    let normal: f64 = bytes.chunks_exact(4).map(uniform).sum::<f64>() - 6.0;
    (1.6 * normal).exp()
}

/// Makes the tree of links and the objects; only their hashes stay in memory.
fn make_tree(project: &Project, size: &Size) -> usize {
    let links: Vec<(&str, &str)> =
        LINKS.lines().filter_map(|line| line.split_once('\t')).step_by(size.step).collect();
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (link, name) in &links {
        by_name.entry(name).or_default().push(link);
    }
    let weights: Vec<f64> = (0..by_name.len()).map(|index| lognormal(index as u64 + 1)).collect();
    let unit = size.bytes / weights.iter().sum::<f64>();
    let mirror = project.path("mirror");
    for (index, ((name, links), weight)) in by_name.iter().zip(&weights).enumerate() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size of made-up data")]
        let bytes = content(index as u64 + 1, (weight * unit) as usize + 40);
        // Trees of blocks stand for the large objects, as in the real tree.
        let object = if name.starts_with("bafybei") {
            let bytes =
                if bytes.len() > 1 << 20 { bytes } else { content(index as u64 + 1, (1 << 20) + 999) };
            Object::new(Algorithm::Cid, bytes)
        } else {
            Object::raw(bytes)
        };
        object.serve_from(&mirror);
        for link in links {
            project.write(&format!("workspace/data/{link}"), format!("{}\n", object.hash));
        }
    }
    by_name.len()
}

/// The mirrors in the order in which a script would have them: the good one was added last.
fn mirrors(directory: &Path, rate: u64) -> (Vec<MirrorServer>, Vec<String>) {
    let manners = [
        Manner::Stalling,
        Manner::Limiting,
        Manner::Html,
        Manner::Truncating,
        Manner::Wrong,
        Manner::Slow(rate),
    ];
    let serve = |manner| MirrorServer::start(directory, manner);
    let servers: Vec<MirrorServer> = manners.map(serve).into();
    let mut templates = vec![format!("http://127.0.0.1:{}/{{ALGO}}/{{hash}}", MirrorServer::dead_port())];
    templates.extend(servers.iter().map(MirrorServer::template));
    (servers, templates)
}

fn count_requests(servers: &[MirrorServer]) -> u64 {
    servers.iter().map(MirrorServer::requests).sum()
}

/// What people write: sixteen curls, every mirror in its order, for every object. It is even given a perfect check
/// of what comes, and gives a mirror up for an object after two seconds of silence. Its time, requests to the dead
/// mirror, and how many objects it got: on a busy machine the good mirror may be silent for as long.
fn usual_script(project: &Project, templates: &[String]) -> (Duration, usize, usize) {
    let urls: Vec<String> =
        templates.iter().map(|template| template.replace("{ALGO}", "CID").replace("{hash}", "$1")).collect();
    let script = format!(
        "for url in {}; do echo \"$url\" >> tried; \
         curl -fsS --connect-timeout 5 --speed-limit 1 --speed-time 2 -o \"got/$1.part\" \"$url\" 2>/dev/null \
         && cmp -s \"got/$1.part\" \"mirror/CID/$1\" && mv \"got/$1.part\" \"got/$1\" && exit 0; done; exit 1",
        urls.join(" ")
    );
    project.write("script.sh", script);
    project.write("got/.keep", "");
    let begun = Instant::now();
    Command::new("sh")
        .arg("-c")
        .arg("ls mirror/CID | xargs -P16 -n1 sh script.sh")
        .current_dir(project.path(""))
        .status()
        .expect("a shell");
    let took = begun.elapsed();
    let names =
        fs::read_dir(project.path("got")).expect("a directory").flatten().map(|entry| entry.file_name());
    let got = names.filter(|name| !name.to_string_lossy().contains('.')).count();
    let dead = urls[0].replace("/CID/$1", "");
    (took, project.read("tried").lines().filter(|line| line.starts_with(&dead)).count(), got)
}

#[test]
fn every_object_arrives_right_although_six_mirrors_of_seven_are_not_well() {
    let is_full = std::env::var("CACHEKEEP_PROOF").as_deref() == Ok("full");
    let size = if is_full { FULL } else { QUICK };
    let project = Project::new("");
    let objects = make_tree(&project, &size);
    let (servers, templates) = mirrors(&project.path("mirror"), size.rate);
    let text = config(&templates, "").replace("data/**/*.md5", "data/**/*.none");
    project.write("workspace/cachekeep.toml", text.replace(", \"data/**/*.none\", \"data/**/*.sha*\"", ""));
    let begun = Instant::now();
    let ran = project.run(&["fetch", "--required", "--json"]).success();
    let ours = begun.elapsed();
    let our_requests = count_requests(&servers);
    let seed = &ran.json()["caches"][0]["seed"];
    assert_eq!(seed["fetched"], objects, "{}", ran.stderr);
    let dead = seed["mirrors"][0]["requests"].as_u64().expect("a number");
    assert!(dead <= 12, "the dead mirror was tried {dead} times");
    for entry in fs::read_dir(project.path("mirror/CID")).expect("listed").flatten() {
        let got = fs::read(project.path("workspace/store/CID").join(entry.file_name())).expect("it came");
        assert!(got == fs::read(entry.path()).expect("served"), "{:?}", entry.file_name());
    }
    project.run(&["gate"]).success();
    assert!(project.temporary_things().is_empty());
    let mut table = format!(
        "\n{objects} objects, {:.0} MB, seven mirrors\n  cachekeep fetch: {:.1} s, {} requests, {dead} of them to the dead mirror\n",
        seed["fetched-bytes"].as_f64().unwrap_or(0.0) / 1e6,
        ours.as_secs_f64(),
        our_requests + dead,
    );
    for mirror in seed["mirrors"].as_array().expect("a list") {
        let (name, asked) = (mirror["mirror"].as_str().unwrap_or_default(), &mirror["requests"]);
        table.push_str(&format!("    {name}: {asked} requests, {} objects\n", mirror["delivered"]));
    }
    if cachekeep_test_support::skip::works("curl") {
        let before = count_requests(&servers);
        let (theirs, dead, got) = usual_script(&project, &templates);
        let requests = count_requests(&servers) - before + dead as u64;
        table.push_str(&format!(
            "  16 x curl:       {:.1} s, {requests} requests, {dead} of them to the dead mirror, {got} objects\n",
            theirs.as_secs_f64()
        ));
        assert!(our_requests < requests, "{table}");
        // Seconds are figures of a machine that does nothing else.
        assert!(!is_full || ours < theirs, "{table}");
    } else {
        skip("the comparison with curl", "there is no curl");
    }
    let _ = std::io::stderr().write_all(table.as_bytes());
}

#[test]
fn what_no_mirror_has_is_told_with_the_links_that_want_it() {
    let project = Project::new("");
    let objects = served(&project, 9);
    for gone in [2, 5] {
        fs::remove_file(project.path("mirror").join(objects[gone].relative())).expect("removed");
    }
    objects[5].link(&project, "data/again");
    let good = MirrorServer::start(project.path("mirror"), Manner::Good);
    let dead = format!("http://127.0.0.1:{}/{{hash}}", MirrorServer::dead_port());
    project.write("workspace/cachekeep.toml", config(&[dead.clone(), good.template()], ""));
    let ran = project.run(&["seed", "--required", "--json"]).code(1);
    let seed = &ran.json()["caches"][0]["seed"];
    assert_eq!((&seed["result"], &seed["fetched"]), (&"incomplete".into(), &7.into()), "{}", ran.stderr);
    let lacking = seed["lacking"].as_array().expect("a list");
    assert_eq!(lacking.len(), 2);
    let of = |index: usize| {
        lacking.iter().find(|lack| lack["hash"] == objects[index].hash).expect("it is lacking")
    };
    assert_eq!(of(5)["links"].as_array().expect("links").len(), 2);
    assert!(
        of(2)["why"].as_str().expect("a reason").contains("404") || of(2)["why"].to_string().contains("not")
    );
    assert!(
        ran.stderr.contains(&objects[2].hash) && ran.stderr.contains("wanted by data/2."),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains(&dead.replace("/{hash}", "")), "the dead mirror is named: {}", ran.stderr);
    // Soft without --required, and what came is there.
    project.run(&["fetch"]).success();
    let gate = project.run(&["gate", "--json"]).code(3);
    assert_eq!(gate.json()["caches"][0]["gate"]["missing-count"], 2);
}
