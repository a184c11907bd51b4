//! What is refused and why, what happens to steps that belong together, and that everything else stays as it is.

#![expect(clippy::disallowed_methods, reason = "tests make files")]

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::command::check::ActionFacts;
use crate::command::pipelines::yaml::{self, Node};
use crate::domain::finding::Finding;
use crate::domain::spec::Spec;

const INPUTS: [&str; 7] = ["mode", "cache", "path", "key", "vars", "lookup-only", "fail-on-cache-miss"];

fn action() -> ActionFacts {
    ActionFacts {
        inputs: INPUTS.to_vec(),
        flags: vec!["lookup-only", "fail-on-cache-miss"],
        modes: &["restore", "save"],
    }
}

/// A checkout with these files, and lock files.
fn checkout(files: &[(&str, &str)]) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a place");
    let locks = ["package-lock.json", "go.sum", "Cargo.lock", "pom.xml", "requirements.txt"];
    for (name, text) in files.iter().copied().chain(locks.map(|name| (name, "x"))) {
        let path = place.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, text).expect("written");
    }
    place
}

fn run(place: &Path, configuration: Configuration<'_>, writes: bool) -> Result<InitOutcome, Fault> {
    let now = "2026-03-01T12:00:00Z".parse().expect("a time");
    init(&InitInput { workspace: place, configuration, action: &action(), writes, starter: false, now })
}

/// The outcome in a checkout with these files, and the files afterwards.
fn written(files: &[(&str, &str)]) -> (InitOutcome, Vec<String>) {
    let place = checkout(files);
    let outcome = run(place.path(), Configuration::Absent, true).expect("an outcome");
    let texts =
        files.iter().map(|(name, _)| fs::read_to_string(place.path().join(name)).expect("text")).collect();
    (outcome, texts)
}

const CI: &str = ".github/workflows/ci.yml";

fn workflow(steps: &str) -> String {
    format!(
        "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@v5\n{steps}"
    )
}

/// A step of `actions/cache` with this key.
fn with_key(key: &str) -> String {
    format!("      - uses: actions/cache@v4\n        with:\n          path: ~/.npm\n          key: {key}\n")
}

#[track_caller]
fn check_left(left: &[Finding], reason: &str, line: usize) {
    let [finding] = left else { panic!("{left:?}") };
    assert!(finding.message.contains(reason), "{}", finding.message);
    assert_eq!(finding.location.as_ref().expect("a place").line, line, "{finding}");
    assert!(finding.hint.as_ref().is_some_and(|hint| hint.len() > 10), "{finding}");
}

#[test]
fn what_cannot_be_said_is_left_alone_with_its_reason_and_place() {
    let setup =
        |action: &str, with: &str| format!("      - uses: {action}\n        with:\n          {with}\n");
    for (steps, reason, line) in [
        (with_key("${{ github.head_ref || github.ref }}"), "chooses between values", 10),
        (with_key("${{ format('a-{0}', runner.os) }}"), "is computed by GitHub", 10),
        (with_key("${{ steps.date.outputs.week }}"), "is the output of a step", 10),
        (with_key("${{ secrets.X }}"), "is a secret", 10),
        (with_key("${{ hashFiles('**/yarn.lock') }}"), "no file matches `**/yarn.lock`", 7),
        (with_key("a-${{ env.A_TOKEN }}"), "cachekeep.toml cannot say it", 7),
        (format!("{}        if: always()\n", with_key("a-${{ github.sha }}")), "asks how the job goes", 7),
        ("      - uses: actions/cache@v4\n        with: { path: ~/.npm }\n".to_owned(), "it has no key", 7),
        (
            "      - { uses: actions/cache@v4, with: { path: a,\n        key: b } }\n".to_owned(),
            "cannot be changed",
            7,
        ),
        (setup("actions/setup-node@v4", "cache: yarn"), "where the cache of yarn lies", 9),
        (setup("actions/setup-node@v4", "cache: ${{ matrix.tool }}"), "is an expression", 9),
        (setup("actions/setup-node@v4", "cache: pnpm"), "no file matches `**/pnpm-lock.yaml", 7),
        (setup("actions/setup-python@v5", "cache: poetry"), "where the cache of poetry lies", 9),
        (setup("actions/setup-java@v4", "cache: sbt"), "where the cache of sbt lies", 9),
        (setup("actions/setup-dotnet@v4", "cache: true"), "no file matches `**/packages.lock.json`", 7),
        (setup("ruby/setup-ruby@v1", "bundler-cache: true"), "installs the gems as well", 9),
        (setup("Swatinem/rust-cache@v2", "workspaces: a"), "keeps something else", 9),
        (setup("Swatinem/rust-cache@v2", "key: ${{ steps.a.outputs.b }}"), "is the output of a step", 9),
        (setup("hendrikmuhs/ccache-action@v1.2", "max-size: ${{ matrix.size }}"), "neither a number", 9),
    ] {
        let text = workflow(&steps);
        let (outcome, after) = written(&[(CI, &text)]);
        check_left(&outcome.left, reason, line);
        assert_eq!((outcome.moved.len(), outcome.files.len()), (0, 0), "{steps}");
        assert_eq!(after, [text], "{steps}");
    }
}

#[test]
fn files_that_cannot_be_changed_are_left_alone() {
    let step = with_key("a-${{ github.sha }}");
    let aliases = workflow(&format!("      - run: &x make\n      - run: *x\n{step}"));
    let documents = format!("{}---\na: 1\n", workflow(&step));
    let before_checkout =
        workflow("").replace("      - uses: actions/checkout@v5\n", &with_key("a-${{ github.sha }}"));
    let action = "name: x\nruns:\n  using: composite\n  steps:\n    - uses: actions/cache@v4\n      with: { path: a, key: b }\n";
    for (name, text, reason, line) in [
        (CI, aliases.as_str(), "has YAML aliases", 9),
        (CI, documents.as_str(), "has several YAML documents", 11),
        (CI, before_checkout.as_str(), "would find an error", 6),
        ("action.yml", action, "a composite action has no step", 5),
        (".github/actions/build/action.yml", action, "a composite action has no step", 5),
    ] {
        let (outcome, after) = written(&[(name, text)]);
        check_left(&outcome.left, reason, line);
        assert_eq!(after, [text], "{reason}");
    }
}

#[test]
fn steps_that_restore_and_steps_that_save_are_moved_in_the_same_way() {
    let step = |action: &str, id: &str, key: &str| {
        format!(
            "      - uses: actions/cache/{action}@v4\n{id}        with:\n          path: ~/.npm\n          key: {key}\n"
        )
    };
    let key = "npm-${{ hashFiles('package-lock.json') }}";
    let moved = [step("restore", "", key), step("save", "", key)].concat();
    let (outcome, after) = written(&[(CI, &workflow(&moved))]);
    let names: Vec<_> = outcome.moved.iter().map(|moved| moved.name.as_deref()).collect();
    assert_eq!(names, [Some("npm"), Some("npm")]);
    assert!(
        after[0].contains("mode: restore\n          cache: npm\n")
            && after[0].contains("mode: save\n          cache: npm\n")
    );

    // Another job needs the values of actions/cache: all three steps keep their inputs.
    let id = "        id: deps\n";
    let read = format!(
        "{}      - run: echo ${{{{ steps.deps.outputs.cache-matched-key }}}}\n",
        step("restore", id, key)
    );
    let (outcome, after) =
        written(&[(CI, &workflow(&moved)), (".github/workflows/other.yml", &workflow(&read))]);
    assert!(
        outcome.moved.iter().all(|moved| moved.name.is_none()) && outcome.moved.len() == 3,
        "{outcome:?}"
    );
    assert!(
        after[0].contains("uses: cachekeep/cachekeep/save@v1\n        with:\n          path: ~/.npm\n"),
        "{}",
        after[0]
    );
    assert!(!outcome.files.iter().any(|file| file.is_new), "no configuration is needed");

    // One of them cannot be said: both stay.
    let half = [
        step("restore", "", &format!("{key}\n          restore-keys: ${{{{ steps.a.outputs.b }}}}")),
        step("save", "", key),
    ];
    let (outcome, _) = written(&[(CI, &workflow(&half.concat()))]);
    assert_eq!((outcome.moved.len(), outcome.left.len()), (0, 2));
    assert!(outcome.left[1].message.contains("another step"), "{}", outcome.left[1].message);
}

#[test]
fn keys_get_the_system_only_where_entries_would_meet() {
    let toml = |text: &str| {
        let (outcome, _) = written(&[(CI, text)]);
        assert!(outcome.left.is_empty(), "{:?}", outcome.left);
        outcome.files[0].diff.clone()
    };
    let text = workflow(&with_key("npm-${{ hashFiles('package-lock.json') }}"));
    assert!(toml(&text).contains("\"npm-{files:package-lock.json}\""));
    let matrix = text.replace(
        "    runs-on: ubuntu-latest\n",
        "    strategy:\n      matrix: { os: [ubuntu-latest, windows-latest] }\n    runs-on: ${{ matrix.os }}\n",
    );
    assert!(toml(&matrix).contains("\"{os}-npm-{files:package-lock.json}\""), "{}", toml(&matrix));
    let everywhere = matrix.replace("path: ~/.npm\n", "path: ~/.npm\n          enableCrossOsArchive: true\n");
    assert!(toml(&everywhere).contains("\"npm-{files:package-lock.json}\""));
}

#[test]
fn files_of_a_key_are_links_only_where_all_of_them_are() {
    let hash = "0".repeat(128);
    let toml = |key: &str, links: &[(&str, &str)]| {
        let text = workflow(&with_key(key));
        let files = [&[(CI, text.as_str())][..], links].concat();
        let (outcome, _) = written(&files);
        assert!(outcome.left.is_empty(), "{:?}", outcome.left);
        outcome.files[0].diff.clone()
    };
    let key = "x-${{ hashFiles('d/*.sha512', '!d/b.sha512') }}";
    let script = ("cmake/Data.cmake", "include(ExternalData)\n");
    let proposed = toml(key, &[("d/a.sha512", &hash), script]);
    assert!(
        proposed.contains("+key  = \"x-{links}\"\n") && proposed.contains("+[cache.npm.links]\n"),
        "{proposed}"
    );
    assert!(proposed.contains("+files  = [\"d/*.sha512\", \"!d/b.sha512\"]\n"), "{proposed}");
    // A list of checksums is not a link, and other files say more than links do.
    for (key, content) in [
        (key, "0123  archive.tar.gz"),
        ("x-${{ hashFiles('d/*.sha512', 'go.sum') }}", &hash),
        ("x-${{ hashFiles('d/*.sha512') }}-${{ hashFiles('go.sum') }}", &hash),
    ] {
        let proposed = toml(key, &[("d/a.sha512", content), script]);
        assert!(proposed.contains("{files:d/*.sha512") && !proposed.contains("links"), "{proposed}");
    }
    // A build of another kind may store the objects by other names, and the cache would never be complete.
    let text = workflow(&with_key(key));
    let (outcome, _) = written(&[(CI, text.as_str()), ("d/a.sha512", &hash)]);
    assert!(
        outcome.files[0].diff.contains("{files:d/*.sha512") && !outcome.files[0].diff.contains(".links]")
    );
    assert!(
        outcome.moved[0].differences.iter().any(|it| it.contains("`[cache.NAME.links]`")),
        "{:?}",
        outcome.moved
    );
}

#[test]
fn a_configuration_that_is_there_is_added_to() {
    let existing = "# ours\n[cache.npm]\npath = \"other\"\nkey = \"other-{sha}\"";
    let text = workflow(&with_key("npm-${{ github.sha }}"));
    let place = checkout(&[(CI, &text), ("cachekeep.toml", existing)]);
    let spec: Spec = config::parse(existing, Path::new("cachekeep.toml")).expect("a configuration").spec;
    let outcome = run(place.path(), Configuration::Usable(&spec, &[]), true).expect("an outcome");
    assert!(outcome.notes[0].contains("`cachekeep.toml` is there"), "{:?}", outcome.notes);
    assert_eq!(outcome.moved[0].name.as_deref(), Some("npm-2"));
    let after = fs::read_to_string(place.path().join("cachekeep.toml")).expect("text");
    assert!(after.starts_with(&format!("{existing}\n\n[cache.npm-2]\n")), "{after}");
    config::parse(&after, Path::new("cachekeep.toml")).expect("a configuration");

    // The same file under a second command finds nothing more.
    let again = run(place.path(), Configuration::Usable(&spec, &[]), true).expect("an outcome");
    assert!(again.moved.is_empty() && again.files.is_empty(), "{again:?}");

    // A table in one line cannot be added to.
    let closed = "cache = { old = { path = \"other\", key = \"other-{sha}\" } }\n";
    let place = checkout(&[(CI, &text), ("cachekeep.toml", closed)]);
    let outcome = run(place.path(), Configuration::Usable(&spec, &[]), true).expect("an outcome");
    assert_eq!((outcome.moved[0].name.as_deref(), outcome.files.len()), (None, 1), "{outcome:?}");
}

#[test]
fn two_caches_of_one_directory_are_not_both_declared() {
    let npm = [with_key("a-${{ github.sha }}"), with_key("b-${{ github.sha }}")];
    let jobs =
        format!("{}{}", workflow(&npm[0]), workflow(&npm[1]).replace("on: push\njobs:\n  build", "  other"));
    let (outcome, after) = written(&[(CI, &jobs)]);
    let names: Vec<_> = outcome.moved.iter().map(|moved| moved.name.as_deref()).collect();
    assert_eq!(names, [Some("npm"), None], "{:?}", outcome.left);
    assert!(
        after[0].contains("cachekeep/cachekeep/save@v1\n        with:\n          path: ~/.npm\n"),
        "{}",
        after[0]
    );
    // npm has another directory on Windows, and the paths of kinds are those of the machine that runs `init`.
    if cfg!(windows) {
        return;
    }
    let node = "      - uses: actions/setup-node@v4\n        with:\n          cache: npm\n";
    let jobs =
        format!("{}{}", workflow(&npm[0]), workflow(node).replace("on: push\njobs:\n  build", "  other"));
    let (outcome, _) = written(&[(CI, &jobs)]);
    check_left(&outcome.left, "clashes", 15);
}

#[test]
fn a_wrong_configuration_is_an_error() {
    let place = checkout(&[]);
    let error = run(place.path(), Configuration::Wrong(&[]), true).expect_err("an error");
    assert!(error.is_usage() && error.to_string().contains("has errors"), "{error}");
}

#[test]
fn a_file_that_cannot_be_written_leaves_all_others() {
    let text = workflow(&with_key("npm-${{ github.sha }}"));
    let place = checkout(&[(CI, &text), (".github/workflows/other.yml", &text)]);
    let second = place.path().join(".github/workflows/other.yml");
    let mut permissions = fs::metadata(&second).expect("a file").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&second, permissions).expect("read-only");
    let error = run(place.path(), Configuration::Absent, true).expect_err("read-only");
    assert!(error.to_string().contains("other.yml"), "{error}");
    assert_eq!(fs::read_to_string(place.path().join(CI)).expect("text"), text);
    assert!(!place.path().join("cachekeep.toml").exists());
}

#[test]
fn a_repository_without_caches_gets_a_configuration_only_on_request() {
    let place = checkout(&[(CI, &workflow("      - run: make\n"))]);
    let outcome = run(place.path(), Configuration::Absent, true).expect("an outcome");
    assert!(outcome.files.is_empty() && outcome.notes[0].contains("no cache"), "{outcome:?}");
    let now = "2026-03-01T12:00:00Z".parse().expect("a time");
    let input = InitInput {
        workspace: place.path(),
        configuration: Configuration::Absent,
        action: &action(),
        writes: true,
        starter: true,
        now,
    };
    let outcome = init(&input).expect("an outcome");
    assert!(outcome.is_written);
    let text = fs::read_to_string(place.path().join("cachekeep.toml")).expect("text");
    let spec = config::parse(&text, Path::new("cachekeep.toml")).expect("a configuration").spec;
    let names: Vec<&str> = spec.caches.iter().map(|cache| cache.name.as_str()).collect();
    assert_eq!(names, ["cargo", "go", "npm", "pip"]);
}

/// Steps without caches, and steps with one, as people lay them out.
fn steps() -> impl Strategy<Value = Vec<(String, bool)>> {
    let comment = prop_oneof![Just(""), Just("      # a: comment\n"), Just("\n"), Just("\n      # {\n\n")];
    let tail = prop_oneof![Just(""), Just("  # tail")];
    let kind = 0..7_usize;
    let step = (comment, tail, kind).prop_map(|(comment, tail, kind)| {
        let (text, is_cache) = match kind {
            0 => (format!("      - run: make{tail}\n"), false),
            1 => ("      - name: x\n        run: |\n          make\n\n          make test\n".to_owned(), false),
            2 => ("      - uses: a/b@v1\n        with: { c: 'd' }\n".to_owned(), false),
            3 => (format!("      - uses: actions/cache@v4{tail}\n        with:\n          path: a{tail}\n          # between\n          key: a-${{{{ github.sha }}}}{tail}\n"), true),
            4 => ("      - uses: actions/cache@v4\n        with: { path: b, key: 'b-${{ matrix.x }}' }\n".to_owned(), true),
            5 => (format!("      - uses: actions/setup-node@v4{tail}\n        with:\n          cache: npm{tail}\n"), true),
            _ => (format!("      -   name: go\n          uses: actions/setup-go@v5{tail}\n"), true),
        };
        (format!("{comment}{text}"), is_cache)
    });
    proptest::collection::vec(step, 0..6)
}

fn tree(node: &Node) -> String {
    match &node.kind {
        yaml::Kind::Scalar(text) => format!("{text:?}"),
        yaml::Kind::Sequence(items) => format!("[{}]", items.iter().map(tree).collect::<Vec<_>>().join(",")),
        yaml::Kind::Mapping(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{}:{}", tree(key), tree(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        yaml::Kind::Alias => "*".to_owned(),
    }
}

fn trees(text: &str) -> Vec<String> {
    let root = yaml::read(text).expect("YAML").expect("a document");
    let job = root.get("jobs").and_then(|jobs| jobs.get("build")).expect("a job");
    job.get("steps").expect("steps").items().iter().map(tree).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Comments stay in their order, blank lines and other steps as they are, whatever is moved.
    #[test]
    fn everything_else_stays_as_it_is(steps in steps(), is_windows: bool, ends: bool) {
        let mut text = workflow(&steps.iter().map(|(step, _)| step.as_str()).collect::<String>());
        if !ends {
            text.truncate(text.trim_end().len());
        }
        if is_windows {
            text = text.replace('\n', "\r\n");
        }
        let (outcome, after) = written(&[(CI, &text)]);
        let after = &after[0];
        let comments = |text: &str| text.split('#').skip(1).map(|rest| rest.lines().next().unwrap_or_default().trim_end().to_owned()).collect::<Vec<_>>();
        prop_assert_eq!(comments(&text), comments(after));
        prop_assert_eq!(after.contains('\r'), is_windows && after.contains('\n'));
        prop_assert_eq!(after.matches('\r').count(), if is_windows { after.matches('\n').count() } else { 0 });
        // Steps without caches are among those afterwards, in their order.
        let old = trees(&text);
        let mut new = trees(after).into_iter();
        for (step, (_, is_cache)) in old.iter().skip(1).zip(&steps) {
            prop_assert!(*is_cache || new.any(|other| other == *step), "{} is missing in {}", step, after);
        }
        // All or none: two caches on one path would be an error.
        prop_assert!(outcome.left.is_empty() || outcome.moved.is_empty() || after != &text);
    }
}
