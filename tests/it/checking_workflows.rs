//! `check` on workflows of GitHub Actions: in `tests/fixtures/workflows/wrong` each has one mistake that people made, whose rule and line
//! its first line names; those in `good` have none.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use cachekeep::cli::inputs::RULES;
use cachekeep_test_support::project::Project;

use crate::action::definition::root;

fn workflows(directory: &str) -> Vec<(String, String)> {
    let directory = root().join("tests/fixtures/workflows").join(directory);
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory).expect("fixtures").map(|item| item.expect("a file").path()).collect();
    paths.sort();
    let name = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    paths.iter().map(|path| (name(path), fs::read_to_string(path).expect("text"))).collect()
}

fn project() -> Project {
    let config = root().join("tests/fixtures/workflows/cachekeep.toml");
    let project = Project::new(&fs::read_to_string(config).expect("a configuration"));
    project.write("workspace/data/a.sha512", "0".repeat(128));
    project.write("workspace/deps.lock", "");
    project.write("workspace/package-lock.json", "");
    project
}

/// Rule and line of each finding.
fn found(project: &Project, name: &str) -> Vec<(String, u64)> {
    let ran = project.run(&["--json", "check", name]);
    let document = ran.json();
    let findings = document["findings"].as_array().expect("findings").clone();
    findings
        .iter()
        .map(|finding| {
            assert!(finding["hint"].as_str().is_some_and(|hint| hint.len() > 10), "no cure: {finding}");
            let rule = finding["rule"].as_str().expect("a rule").to_owned();
            (rule, finding["line"].as_u64().expect("a line"))
        })
        .collect()
}

#[test]
fn each_mistake_is_found_at_its_place_and_nothing_else() {
    let project = project();
    let (mut rules, mut reported) = (BTreeSet::new(), 0);
    for (name, text) in workflows("wrong") {
        let heading = text.lines().next().expect("a line").trim_start_matches("# ");
        let (rule, rest) = heading.split_once(" in line ").expect("a rule and a line");
        let line: u64 = rest.split(',').next().expect("a line").parse().expect("a number");
        reported += usize::from(heading.contains(", as in https://"));
        project.write(&format!("workspace/{name}"), &text);
        assert_eq!(found(&project, &name), [(rule.to_owned(), line)], "{name}");
        rules.insert(rule.to_owned());
    }
    assert!(reported >= 30, "{reported} from reports");
    let documented = RULES.iter().map(|rule| rule.name).filter(|name| name.starts_with("github-"));
    assert_eq!(rules, documented.map(str::to_owned).collect(), "rules with a workflow, and documented rules");
}

#[test]
fn workflows_without_a_mistake_have_no_findings() {
    let project = project();
    let good = workflows("good");
    assert!(good.len() >= 20, "{}", good.len());
    for (name, text) in good {
        project.write(&format!("workspace/{name}"), &text);
        assert_eq!(found(&project, &name), [], "{name}");
    }
}

#[test]
fn workflows_of_a_checkout_are_found_if_they_use_cachekeep() {
    let project = project();
    let wrong =
        fs::read_to_string(root().join("tests/fixtures/workflows/wrong/no-checkout.yml")).expect("text");
    project.write("workspace/.github/workflows/ci.yml", &wrong);
    project.write("workspace/.github/workflows/other.yml", "on: push\njobs: [");
    let text = project.run(&["check"]).code(1).stdout;
    assert!(
        text.contains("error[github-no-checkout]: ") && text.contains("--> .github/workflows/ci.yml:9:15"),
        "{text}"
    );
    assert!(text.ends_with("1 error in 2 files\n"), "{text}");
    let annotations = project.run(&["check", "--format", "github"]).code(1).stdout;
    assert!(
        annotations.starts_with("::error file=.github/workflows/ci.yml,line=9,col=15,endColumn=37,title=cachekeep github-no-checkout::"),
        "{annotations}"
    );
    assert_eq!(annotations.lines().count(), 1, "{annotations}");
}

/// Many repositories save in one workflow, on a push to the default branch, and restore in others.
#[test]
fn what_another_workflow_of_the_checkout_saves_is_not_missed() {
    let restores =
        fs::read_to_string(root().join("tests/fixtures/workflows/wrong/never-saved.yml")).expect("text");
    let with_steps =
        |steps: &str| format!("on: push\njobs:\n  b:\n    runs-on: ubuntu-24.04\n    steps:\n{steps}");
    let save = |inputs: &str| {
        with_steps(&format!("      - uses: cachekeep/cachekeep@v1\n        with: {{ mode: save{inputs} }}\n"))
    };
    let call = |with: &str| {
        let uses = "cachekeep/cachekeep/.github/workflows/populate.yml@v1";
        format!("on: push\njobs:\n  b:\n    uses: {uses}\n{with}")
    };
    for (other, is_missed) in [
        (String::new(), true),
        (save(""), false),
        (save(", cache: deps"), false),
        (save(", cache: 'other'"), true),
        (save(", cache: '${{ matrix.cache }}'"), false),
        (save(", path: out, key: k"), true),
        (with_steps("      - run: make\n        shell: cachekeep run deps -- bash {0}\n"), false),
        (call(""), false),
        (call("    with: { cache: deps }\n"), false),
        (call("    with: { cache: other }\n"), true),
    ] {
        let project = project();
        project.write("workspace/.github/workflows/ci.yml", &restores);
        project.write("workspace/.github/workflows/fill.yml", &other);
        let all = found(&project, ".github/workflows/ci.yml");
        assert_eq!(all.iter().any(|(rule, _)| rule == "github-never-saved"), is_missed, "{other}");
    }
    // GitHub runs what is in this directory, and nothing else.
    let project = project();
    project.write("workspace/.github/workflows/ci.yml", &restores);
    project.write("workspace/fill.yml", save(""));
    assert_eq!(found(&project, ".github/workflows/ci.yml").len(), 1);
}

#[test]
fn the_workflows_of_this_repository_have_no_findings() {
    let project = Project::new("");
    for item in fs::read_dir(root().join(".github/workflows")).expect("workflows") {
        let path = item.expect("a file").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        project.write(&format!("workspace/{name}"), fs::read_to_string(&path).expect("text"));
        assert_eq!(found(&project, &name), [], "{name}");
    }
}

/// A save step that forgets one of the caches.
#[test]
fn each_cache_that_is_restored_is_saved_somewhere() {
    let workflow = |save: &str| {
        let uses = "      - uses: actions/checkout@v7\n      - uses: cachekeep/cachekeep@v1\n";
        let head = "on: push\njobs:\n  b:\n    runs-on: ubuntu-24.04\n    steps:\n";
        let with = |with: &str| format!("        with: {{ {with} }}\n      - run: make\n");
        let restore = with("mode: restore, cache: deps npm");
        format!("{head}{uses}{restore}      - uses: cachekeep/cachekeep@v1\n{}", with(save))
    };
    for (save, missed) in [
        ("mode: save", ""),
        ("mode: save, cache: npm deps", ""),
        ("mode: save, cache: npm", "of what this step restores, `deps` is not saved"),
        ("mode: save, cache: docs", "nothing that this step restores is saved"),
    ] {
        let project = project();
        project.write("workspace/ci.yml", workflow(save));
        let text = project.run(&["check", "ci.yml"]).stdout;
        assert_eq!(text.contains("github-never-saved"), !missed.is_empty(), "{save}: {text}");
        assert!(text.contains(missed), "{save}: {text}");
    }
}

/// What follows from a misspelled input or cache is not reported beside it.
#[test]
fn a_misspelled_word_is_reported_alone_with_the_one_that_was_meant() {
    let step = |with: &str, rest: &str| {
        let uses =
            "      - uses: actions/checkout@v7\n      - uses: cachekeep/cachekeep@v1\n        id: data\n";
        let head = "on: push\njobs:\n  b:\n    runs-on: ubuntu-24.04\n    steps:\n";
        format!("{head}{uses}        with: {{ {with} }}\n      - run: make{rest}\n")
    };
    let save = "\n      - uses: cachekeep/cachekeep@v1\n        if: always()\n        with: { mode: save, cache: deps }";
    for (with, rest, rule, meant) in [
        ("mode: restore, caches: deps", String::new(), "github-unknown-input", "cache"),
        ("mode: resotre, cache: deps", String::new(), "github-wrong-value", "restore"),
        ("mode: restore, cache: dep", save.to_owned(), "github-unknown-cache", "deps"),
        (
            "mode: restore, cache: deps",
            format!("\n        if: steps.data.outputs.cachehit != 'true'{save}"),
            "github-unknown-output",
            "cache-hit",
        ),
        (
            "mode: restore, cache: deps",
            format!("\n        if: steps.dta.outputs.cache-hit != 'true'{save}"),
            "github-unknown-step",
            "data",
        ),
    ] {
        let project = project();
        project.write("workspace/ci.yml", step(with, &rest));
        let document = project.run(&["--json", "check", "ci.yml"]).json();
        let findings = document["findings"].as_array().expect("findings");
        let [finding] = &findings[..] else { panic!("{with} {rest}: {findings:#?}") };
        assert_eq!(finding["rule"], rule);
        assert_eq!(finding["hint"], format!("did you mean `{meant}`?"), "{with}");
    }
}
