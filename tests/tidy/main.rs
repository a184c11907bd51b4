//! The house in order: what reviewers would otherwise say again and again.

#![expect(clippy::disallowed_methods, reason = "this test reads the sources")]

mod circles;
mod generated;
mod measures;
mod phrases;
mod schema;
mod sources;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sources::{files, root, rust_files};

/// Longer functions want splitting. The length of files is advice alone: no type is cut in pieces for it.
const MAX_LINES: usize = 60;

/// Rooms from left to right; a room uses only rooms on its left. Rooms on one level do not use each other.
const ROOMS: &[&[&str]] = &[
    &["domain"],
    &["threads"],
    &["fs"],
    &["config", "platform", "transport"],
    &["inputs"],
    &["objects"],
    &["tree"],
    &["archive", "github", "report"],
    &["store"],
    &["command"],
    &["cli"],
];

fn assert_none(what: &str, offenders: &[String]) {
    assert!(offenders.is_empty(), "{what}:\n  {}", offenders.join("\n  "));
}

#[test]
fn every_file_says_what_it_is() {
    let offenders: Vec<String> = rust_files()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    assert_none("these files have no module documentation on their first line", &offenders);
}

/// The names of the functions of a source that are too long. A function ends at the closing brace that is indented as its
/// first line, which rustfmt sees to, or on its first line.
fn long_functions(text: &str) -> Vec<String> {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    let mut open: Option<(String, usize, usize)> = None;
    for (number, line) in text.lines().enumerate() {
        if let Some(name) = function_name(line) {
            let is_whole = line.trim_end().ends_with('}');
            open = (!is_whole).then(|| (name.to_owned(), number, indentation(line)));
        } else if let Some((name, start, _)) =
            open.take_if(|(_, _, depth)| line.trim() == "}" && *depth == indentation(line))
            && number - start >= MAX_LINES
        {
            found.push(name);
        }
    }
    found
}

/// The name of the function that begins on this line.
fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for word in ["pub ", "pub(crate) ", "pub(super) ", "const ", "async "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    rest.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// What starts threads, or waits for tasks without driving them. `src/threads` has the ways that work where no thread can
/// be had.
const OF_THREADS: &[&str] = &[
    "thread::spawn",
    "thread::Builder",
    "scope.spawn",
    "spawn_blocking",
    "block_in_place",
    "runtime::Builder",
    "runtime::Runtime",
    "blocking_recv",
    "blocking_send",
];

#[test]
fn threads_are_started_in_one_room() {
    let mut offenders = Vec::new();
    for (path, text) in rust_files() {
        if !path.starts_with("src/") || path.starts_with("src/threads/") {
            continue;
        }
        let code = sources::product_code(&path, &text);
        let found = OF_THREADS.iter().filter(|phrase| code.contains(*phrase));
        offenders.extend(found.map(|phrase| format!("{path}: {phrase}")));
    }
    assert_none("these start threads, or wait for tasks, outside of `src/threads`", &offenders);
}

#[test]
fn functions_are_short() {
    let offenders: Vec<String> = rust_files()
        .into_iter()
        .flat_map(|(path, text)| {
            long_functions(&text).into_iter().map(move |name| format!("{path}: `{name}`"))
        })
        .collect();
    assert_none("these functions are longer than 60 lines", &offenders);
}

#[test]
fn a_long_function_is_found_and_a_short_one_is_not() {
    let function = |lines: usize| {
        let body = "        step();\n".repeat(lines - 2);
        format!(
            "impl X {{\n    pub fn walk<T>(\n        &self,\n    ) {{\n{body}    }}\n\n    fn next() {{ }}\n}}\n"
        )
    };
    assert_eq!(long_functions(&function(MAX_LINES + 1)), ["walk"]);
    assert_eq!(long_functions(&function(MAX_LINES - 2)), Vec::<String>::new());
    // A line of a snapshot does not end a function, whatever it ends in.
    let snapshot =
        format!("fn shown() {{\n    check(r#\"\n{{ 1 }}\n{}\"#);\n}}\n", "line\n".repeat(MAX_LINES));
    assert_eq!(long_functions(&snapshot), ["shown"]);
}

/// Modules with children are `name/mod.rs`, and none lies elsewhere than its name says.
fn misplaced_modules(files: &[(String, String)]) -> Vec<String> {
    let paths: BTreeSet<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    let mut found = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| path.starts_with("src/")) {
        let directory = format!("{}/", path.trim_end_matches(".rs"));
        if paths.iter().any(|other| other.starts_with(&directory)) {
            found.push(format!("{path}: beside `{directory}`"));
        }
        let strange = text.lines().filter(|line| line.trim_start().starts_with("#[path"));
        found.extend(strange.map(|line| format!("{path}: {}", line.trim())));
    }
    found
}

#[test]
fn modules_have_one_style() {
    assert_none("these modules are not where their names say", &misplaced_modules(&rust_files()));
    let made_up = [
        ("src/a.rs", "//! A.\n"),
        ("src/a/b.rs", "//! B.\n#[path = \"c_tests.rs\"]\nmod tests;\n"),
        ("src/d/mod.rs", "//! D.\n"),
    ];
    let made_up = made_up.map(|(path, text)| (path.to_owned(), text.to_owned()));
    assert_eq!(misplaced_modules(&made_up).len(), 2);
}

#[test]
fn there_are_no_grab_bags() {
    let offenders: Vec<String> = rust_files()
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| {
            let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
            ["utils", "util", "helpers", "helper", "common", "misc"].contains(&stem.as_str())
        })
        .collect();
    assert_none("these files say nothing about what is in them", &offenders);
}

#[test]
fn rooms_use_only_rooms_on_their_left() {
    let level = |room: &str| ROOMS.iter().position(|rooms| rooms.contains(&room));
    let mut offenders = Vec::new();
    for (path, text) in rust_files() {
        let Some(room) = path.strip_prefix("src/").and_then(|rest| rest.split(['/', '.']).next()) else {
            continue;
        };
        let Some(own) = level(room) else { continue };
        // What stands below the tests' heading may use what it likes.
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in code.lines().enumerate() {
            let used =
                line.split("crate::").skip(1).filter_map(|rest| rest.split([':', ';', ' ', '{', '}']).next());
            for used in used {
                if used != room
                    && level(used).is_some_and(|other| other >= own)
                    && !line.trim_start().starts_with("//")
                {
                    offenders.push(format!("{path}:{}: `{room}` uses `{used}`", number + 1));
                }
            }
        }
    }
    assert_none("these uses go from right to left", &offenders);
}

#[test]
fn the_domain_cannot_fail_on_the_world() {
    let forbidden =
        ["std::fs", "std::env", "std::io", "serde", "clap", "tokio", "Utc::now", "Instant", "SystemTime"];
    let mut offenders = Vec::new();
    for (path, text) in rust_files().into_iter().filter(|(path, _)| path.starts_with("src/domain/")) {
        for (number, line) in
            text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            if let Some(word) = forbidden.iter().find(|word| line.contains(*word)) {
                offenders.push(format!("{path}:{}: {word}", number + 1));
            }
        }
    }
    assert_none("the domain has no I/O, no clock, no environment, no serde, no clap", &offenders);
}

/// Rooms that touch files lift the ban of `clippy.toml` as a whole: this holds them to files.
#[test]
fn rooms_that_touch_files_read_neither_environment_nor_clock() {
    let rooms =
        ["src/fs/", "src/inputs/", "src/objects/", "src/tree/", "src/archive/", "src/store/directory/"];
    let forbidden = ["env::var", "env::temp_dir", "env::current_dir", "Utc::now", "SystemTime::now", "exit("];
    let is_test = |path: &str| path.contains("test");
    let mut offenders = Vec::new();
    for (path, text) in rust_files() {
        if is_test(&path) || !rooms.iter().any(|room| path.starts_with(room)) {
            continue;
        }
        let code = text.split("\nmod tests {").next().unwrap_or_default();
        for (number, line) in
            code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            if let Some(word) = forbidden.iter().find(|word| line.contains(*word)) {
                offenders.push(format!("{path}:{}: {word}", number + 1));
            }
        }
    }
    assert_none("these lines read the environment or the clock, or end the process", &offenders);
}

/// The paths of the repository that a document names and that do not exist.
fn missing_paths(text: &str) -> Vec<&str> {
    let top = [
        ".ci/",
        ".github/",
        "azure-task/",
        "benches/",
        "docs/",
        "example/",
        "examples/",
        "fuzz/",
        "scripts/",
        "src/",
        "tests/",
    ];
    let is_path = |word: &&str| {
        top.iter().any(|top| word.starts_with(top)) && !word.contains(['*', ' ', '<', '{', '$'])
    };
    let named = text.split('`').skip(1).step_by(2).filter(is_path);
    named.filter(|word| !root().join(word).exists()).collect()
}

#[test]
fn paths_named_in_documents_exist() {
    let documents = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|name| root().join(name));
    let mut offenders = Vec::new();
    for document in documents.into_iter().chain(files("docs", "md")) {
        let (name, text) = sources::read(&document);
        offenders.extend(missing_paths(&text).into_iter().map(|path| format!("{name}: `{path}`")));
    }
    assert_none("these documents name paths that do not exist", &offenders);
    let sample =
        "`src/lib.rs`, `src/nothing.rs`, `src/*/mod.rs`, `docs/<name>.md`, `elsewhere/x`, `tests/nothing/`";
    assert_eq!(missing_paths(sample), ["src/nothing.rs", "tests/nothing/"]);
}

#[test]
fn the_repository_speaks_of_the_project_alone() {
    let mut offenders = Vec::new();
    let sources = rust_files().into_iter().chain(
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "Cargo.toml", ".ci/run"]
            .iter()
            .map(|name| ((*name).to_owned(), fs::read_to_string(root().join(name)).expect(name))),
    );
    // Written in two halves, or this file would be its own offender.
    let machine_paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/home/us", "er/")];
    for (path, text) in sources {
        for (number, line) in text.lines().enumerate() {
            let begins = |word: &str| {
                line.match_indices(word).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric()))
            };
            if machine_paths.iter().any(|word| begins(word)) {
                offenders.push(format!("{path}:{}", number + 1));
            }
        }
    }
    assert_none("these lines name paths of one machine", &offenders);
}

/// Product code that opens or reads files by itself instead of through `src/fs/open.rs`, with the reason.
const OPENS: &[(&str, &str)] = &[
    ("src/fs/open.rs", "the one way to open"),
    ("src/fs/lease/mod.rs", "options are handed to `fs/open`, or create a file that must be new"),
    ("src/fs/staging/undo.rs", "options are handed to `fs/open`"),
    ("src/tree/dedup/share.rs", "options are handed to `fs/open`"),
    ("src/objects/proofs.rs", "creates a file that must be new"),
    ("src/store/directory/lease.rs", "options are handed to `fs/open`"),
    ("src/store/directory/last_use.rs", "options are handed to `fs/open`"),
    ("src/archive/write/pool.rs", "creates files that must be new"),
    ("src/platform/gitlab.rs", "appends to a file that the runner names"),
    ("src/platform/github_actions.rs", "appends to files that the runner names"),
];

#[test]
fn files_are_opened_in_one_place() {
    let calls = [
        "File::open(",
        "File::options(",
        "OpenOptions::new(",
        "fs::read(",
        "fs::read_to_string(",
        "File::create(",
    ];
    let mut offenders = Vec::new();
    let mut idle: BTreeSet<&str> = OPENS.iter().map(|(path, _)| *path).collect();
    for (path, text) in rust_files().into_iter().filter(|(path, _)| path.starts_with("src/")) {
        if path.split('/').any(|part| part.contains("test")) {
            continue;
        }
        let code = sources::code(text.split("\nmod tests {").next().unwrap_or_default());
        let is_called = |call: &&str| {
            code.match_indices(*call).any(|(at, _)| !code[..at].ends_with(char::is_alphanumeric))
        };
        let found: Vec<&str> = calls.iter().copied().filter(is_called).collect();
        if found.is_empty() {
            continue;
        }
        if !idle.remove(path.as_str()) {
            offenders.push(format!("{path}: {}", found.join(" ")));
        }
    }
    assert_none(
        "these files open files by themselves; use `fs::open`, or give a reason in OPENS",
        &offenders,
    );
    assert_none(
        "these files have a reason that they do not need",
        &idle.into_iter().map(str::to_owned).collect::<Vec<_>>(),
    );
}

/// A path of Windows behind `file://` does not make a URL.
#[test]
fn tests_name_files_by_one_function() {
    let pattern = format!("\"file://{}\"", "{}");
    let offenders: Vec<String> = rust_files()
        .into_iter()
        .filter(|(path, text)| path.starts_with("tests/") && text.contains(&pattern))
        .map(|(path, _)| path)
        .collect();
    assert_none("write `project::file_url(path)` instead of `file://` in", &offenders);
}
