//! Figures of the tree with their aims; `scripts/measure` prints them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::sources::{code, root, rust_files};
use crate::{circles, long_functions, phrases};

/// A figure, how much of it is fine, and what it counts.
struct Measure {
    name: &'static str,
    /// For people: `12`, `4.9 %`.
    value: String,
    is_met: bool,
    aim: &'static str,
    offenders: Vec<String>,
}

impl Measure {
    /// A count of offenders.
    fn count(name: &'static str, offenders: Vec<String>, most: usize, aim: &'static str) -> Self {
        Measure { name, value: offenders.len().to_string(), is_met: offenders.len() <= most, aim, offenders }
    }
}

fn measures() -> Vec<Measure> {
    let files = rust_files();
    let sources: Vec<_> = files.iter().filter(|(path, _)| path.starts_with("src/")).cloned().collect();
    let named = |find: fn(&str) -> Vec<String>, files: &[(String, String)]| -> Vec<String> {
        files
            .iter()
            .flat_map(|(path, text)| find(text).into_iter().map(move |name| format!("{path}: `{name}`")))
            .collect()
    };
    let circles = circles::circles(&sources).into_iter().map(|circle| circle.join(", ")).collect();
    vec![
        Measure::count("functions of more than 60 lines", named(long_functions, &files), 0, "0"),
        Measure::count("circles of files within rooms", circles, 0, "0"),
        Measure::count("error enums", named(error_enums, &sources), 25, "at most 25"),
        public_items(&sources),
        shared_names(&sources),
        Measure::count("test binaries", test_binaries(), 3, "at most 3"),
        Measure::count("banned phrases", banned_phrases(), 0, "0"),
    ]
}

/// Enums that derive `Error`.
fn error_enums(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut derives = false;
    for line in code(text).lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("#[") {
            derives |= line.starts_with("#[derive(") && line.contains("Error");
            continue;
        }
        let enumeration =
            line.trim_start_matches("pub(crate) ").trim_start_matches("pub ").strip_prefix("enum ");
        found.extend(enumeration.filter(|_| derives).map(first_word));
        derives = false;
    }
    found
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Items that other crates could see if their room is public.
fn public_items(sources: &[(String, String)]) -> Measure {
    let lines: usize = sources.iter().map(|(_, text)| text.lines().count()).sum();
    let is_item = |line: &str| {
        let item = line.trim_start().strip_prefix("pub ").unwrap_or_default();
        let item = item.trim_start_matches("async ").trim_start_matches("const fn ");
        ["fn ", "struct ", "enum ", "trait ", "const ", "type ", "mod ", "static "]
            .iter()
            .any(|word| item.starts_with(word))
            || line.contains("pub const fn ")
    };
    let items: usize =
        sources.iter().map(|(_, text)| code(text).lines().filter(|line| is_item(line)).count()).sum();
    let rate = 1000 * items / lines.max(1);
    Measure {
        name: "public items in 1 000 lines of src",
        value: format!("{rate} ({items} in {lines})"),
        is_met: rate <= 12,
        aim: "at most 12",
        offenders: Vec::new(),
    }
}

/// Names of types that several files define. Types that a trait asks for have no name of their own.
fn shared_names(sources: &[(String, String)]) -> Measure {
    let mut names: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (path, text) in sources {
        for line in code(text).lines() {
            let item = line
                .trim_start()
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ")
                .trim_start_matches("pub ");
            let kinds: &[&str] = if line.starts_with(' ') {
                &["struct ", "enum ", "trait "]
            } else {
                &["struct ", "enum ", "trait ", "type "]
            };
            let name = kinds.iter().find_map(|kind| item.strip_prefix(kind));
            if let Some(name) = name.map(first_word) {
                names.entry(name).or_default().insert(path);
            }
        }
    }
    let shared: Vec<String> = names
        .iter()
        .filter(|(_, files)| files.len() > 1)
        .map(|(name, files)| format!("`{name}`: {}", files.iter().copied().collect::<Vec<_>>().join(", ")))
        .collect();
    let permille = 1000 * shared.len() / names.len().max(1);
    Measure {
        name: "names of types in several files",
        value: format!("{}.{} % ({} of {})", permille / 10, permille % 10, shared.len(), names.len()),
        is_met: permille <= 50,
        aim: "at most 5 %",
        offenders: shared,
    }
}

fn test_binaries() -> Vec<String> {
    let below =
        std::fs::read_dir(root().join("tests")).into_iter().flatten().flatten().map(|entry| entry.path());
    let binaries =
        below.filter(|path| path.extension().is_some_and(|e| e == "rs") || path.join("main.rs").exists());
    binaries.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect()
}

fn banned_phrases() -> Vec<String> {
    let banned = phrases::banned();
    let found = |(path, text): (String, String)| {
        let found = banned.find(&text).into_iter();
        found.map(move |found| format!("{path}:{}: \"{}\"", found.line, found.phrase)).collect::<Vec<_>>()
    };
    phrases::texts().into_iter().flat_map(found).collect()
}

/// The figures as a table, and below each the offenders where they are asked for.
fn table(measures: &[Measure], lists: bool) -> String {
    let mut table = String::new();
    for measure in measures {
        let mark = if measure.is_met { "ok" } else { "--" };
        let _ = writeln!(table, "{mark}  {:<36}{:<24}aim: {}", measure.name, measure.value, measure.aim);
        for offender in measure.offenders.iter().filter(|_| lists && !measure.is_met) {
            let _ = writeln!(table, "      {offender}");
        }
    }
    table
}

#[test]
#[ignore = "prints figures: `scripts/measure` runs it"]
fn figures_of_the_tree() {
    use std::io::Write as _;
    let lists = std::env::var_os("CACHEKEEP_MEASURE_LIST").is_some();
    let _ = std::io::stderr().write_all(table(&measures(), lists).as_bytes());
}

#[test]
fn error_enums_and_shared_names_are_counted() {
    let text = "#[derive(Debug, thiserror::Error)]\n/// Doc.\n#[error(\"x\")]\npub enum A {}\n#[derive(Debug)]\nenum B {}\n#[derive(Error)]\nstruct C;\nenum D {}\n";
    assert_eq!(error_enums(text), ["A"]);
    let sources = [
        ("src/a.rs", "pub struct A;\nimpl B for A {\n    type Error = ();\n}\n"),
        ("src/b.rs", "enum A {}\n// struct B\n    type Error = ();\n"),
    ];
    let sources = sources.map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(shared_names(&sources).offenders, ["`A`: src/a.rs, src/b.rs"]);
    assert_eq!(public_items(&sources).value, "142 (1 in 7)");
    let listed = table(&[Measure::count("names", vec!["x.rs".to_owned()], 0, "0")], true);
    assert_eq!(listed, format!("--  {:<36}{:<24}aim: 0\n      x.rs\n", "names", "1"));
}
