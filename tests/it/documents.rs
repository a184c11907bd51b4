//! What people copy from the documents: configurations are usable, and workflows have no findings with them.

use std::fs;

use cachekeep_test_support::project::Project;

use crate::action::definition::root;

/// The pages whose blocks are checked.
const PAGES: &[&str] = &[
    "README.md",
    "docs/azure-pipelines.md",
    "docs/azure-task.md",
    "docs/from-actions-cache.md",
    "docs/from-cache-task.md",
    "docs/github-actions.md",
    "docs/gitlab.md",
    "docs/guide.md",
    "docs/install.md",
    "docs/object-stores.md",
    "docs/troubleshooting.md",
];

/// The fenced blocks of a page in a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).expect(page);
    let start = format!("```{language}\n");
    text.split(&start).skip(1).map(|rest| rest.split("```").next().expect("an end").to_owned()).collect()
}

/// A project with a configuration, and with the files that keys of the documents name.
fn project(configuration: &str) -> Project {
    let project = Project::new(configuration);
    project.write("workspace/Data/a.sha512", "0".repeat(128));
    for name in [
        "Cargo.lock",
        "build.gradle",
        "go.sum",
        "models.lock",
        "package-lock.json",
        "pom.xml",
        "requirements.txt",
    ] {
        project.write(&format!("workspace/{name}"), "");
    }
    project
}

#[test]
fn what_the_page_for_users_of_actions_cache_shows_passes_check() {
    let page = "docs/from-actions-cache.md";
    let (configurations, workflows) = (blocks(page, "toml"), blocks(page, "yaml"));
    assert!(
        configurations.len() >= 5 && workflows.len() == 2,
        "{} {}",
        configurations.len(),
        workflows.len()
    );
    for configuration in &configurations {
        let project = project(configuration);
        let text = project.run(&["check"]).success().stdout;
        assert_eq!(text, "no problems in 1 file\n", "{configuration}");
    }
    for workflow in &workflows {
        let project = project(&configurations[0]);
        project.write("workspace/.github/workflows/ci.yml", workflow);
        let text = project.run(&["check"]).success().stdout;
        assert_eq!(text, "no problems in 2 files\n", "{workflow}");
    }
}

/// The words of a command line in a document, without what a shell would do with them.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" #").next().unwrap_or_default().split([';', '|', '>']).next().unwrap_or_default();
    line.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned()).collect()
}

#[test]
fn commands_in_the_documents_are_commands() {
    let project = Project::new("");
    let mut seen = 0;
    for page in PAGES {
        for line in blocks(page, "sh").iter().flat_map(|block| block.lines()) {
            let words = words(line);
            let Some(("cachekeep", arguments)) =
                words.split_first().map(|(name, rest)| (name.as_str(), rest))
            else {
                continue;
            };
            // With `--help` the words before it are read and nothing is done; behind `--` is another program's.
            let own = arguments.iter().take_while(|word| *word != "--").map(String::as_str);
            let own: Vec<&str> = own.chain(["--help"]).collect();
            let run = project.run(&own);
            assert_eq!(run.code, 0, "{page}: {line}\n{}", run.stderr);
            seen += 1;
        }
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn configurations_in_the_documents_have_no_errors() {
    let mut seen = 0;
    for page in PAGES {
        for block in blocks(page, "toml") {
            // A checksum that is left to the reader.
            let block = block.replace("\"…\"", &format!("\"{}\"", "0".repeat(128)));
            let project = Project::new(&block);
            let checked = project.run(&["check"]);
            assert!(
                !checked.stdout.contains(": error") && checked.code == 0,
                "{page}\n{block}\n{}{}",
                checked.stdout,
                checked.stderr
            );
            seen += 1;
        }
    }
    assert!(seen >= 14, "{seen}");
}

#[test]
fn yaml_in_the_documents_parses() {
    let mut seen = 0;
    for page in PAGES {
        for block in blocks(page, "yaml") {
            let parsed: Result<Vec<saphyr_parser::Event<'_>>, _> =
                saphyr_parser::Parser::new_from_str(&block)
                    .map(|event| event.map(|(event, _)| event))
                    .collect();
            assert!(parsed.is_ok(), "{page}\n{block}\n{parsed:?}");
            seen += 1;
        }
    }
    assert!(seen >= 14, "{seen}");
}

#[test]
fn what_the_page_for_users_of_cache_2_shows_passes_check() {
    let page = "docs/from-cache-task.md";
    let (configurations, pipelines) = (blocks(page, "toml"), blocks(page, "yaml"));
    let [configuration] = &configurations[..] else { panic!("one configuration") };
    let project = project(configuration);
    let after = pipelines.last().expect("a pipeline");
    let sum = "0".repeat(64);
    let lines =
        format!("# base https://example.org\n        {sum} cachekeep-0.1.0-x86_64-unknown-linux-musl.tar.gz");
    project.write("workspace/azure-pipelines.yml", after.replace("<the lines of release.sha256>", &lines));
    let text = project.run(&["check"]).success().stdout;
    assert_eq!(text, "no problems in 2 files\n", "{after}");
}

#[test]
fn messages_of_the_troubleshooting_page_are_messages() {
    let page = fs::read_to_string(root().join("docs/troubleshooting.md")).expect("the page");
    let mut sources = String::new();
    let mut left = vec![root().join("src")];
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(&path).expect("listed").map(|entry| entry.expect("a file").path()));
        } else {
            sources.push_str(&fs::read_to_string(&path).expect("a source"));
        }
    }
    let mut seen = 0;
    for row in page.lines().filter_map(|line| line.strip_prefix("| `")) {
        let message = row.split('`').next().expect("a message");
        // The result is a word of its own in the sources.
        let (text, word) = match message.strip_prefix("not saved (").and_then(|rest| rest.strip_suffix(')')) {
            Some(result) => ("not saved (".to_owned(), format!("=> \"{result}\"")),
            None => (message.to_owned(), String::new()),
        };
        assert!(sources.contains(&text) && sources.contains(&word), "no source has `{message}`");
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}
