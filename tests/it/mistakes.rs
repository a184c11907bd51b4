//! What a newcomer gets wrong on the command line, and the cure that is named.

use cachekeep_test_support::project::{Project, Ran};

const CONFIG: &str = "[cache.out]\npath = \"{workspace}/out\"\nkey = \"out-v1\"\n";

#[track_caller]
fn says(ran: &Ran, expected: &[&str]) {
    for text in expected {
        assert!(ran.stderr.contains(text), "`{text}` in {}", ran.stderr);
    }
}

#[test]
fn a_command_without_two_dashes() {
    let ran = Project::new(CONFIG).run(&["run", "npm", "run", "build"]).code(2);
    says(&ran, &["hint: put `--` before the command: `cachekeep run -- npm run build`"]);
    let ran = Project::new(CONFIG).run(&["run", "--json"]).code(2);
    says(&ran, &["`cachekeep run -- COMMAND`"]);
}

#[test]
fn a_directory_as_the_configuration() {
    let project = Project::new(CONFIG);
    project.write("workspace/src/cachekeep.toml", CONFIG);
    says(
        &project.run(&["--config", "src", "key"]).code(2),
        &["`src` is a directory; name the file: `src", "cachekeep.toml`"],
    );
}

#[test]
fn a_configuration_without_a_cache() {
    let ran = Project::new("").run(&["run", "--", "sh", "-c", "exit 3"]).code(3);
    says(&ran, &["no cache is declared", "add a table `[cache.NAME]`"]);
}

#[test]
fn a_number_where_a_table_is_due() {
    let ran = Project::new(&format!("{CONFIG}[clean]\nsuperseded = 2\n")).run(&["key"]).code(2);
    says(&ran, &["cachekeep.toml:5:14", "= hint: write `superseded = { keep = 2 }`"]);
}

#[test]
fn caches_of_github_outside_of_a_job() {
    let ran = Project::new(CONFIG).run(&["--store", "github", "ls"]).code(5);
    says(&ran, &["set `GITHUB_TOKEN` and give `--repository OWNER/NAME`"]);
}

#[test]
fn a_file_that_a_key_needs_and_that_is_not_there() {
    let project = Project::new(&CONFIG.replace("out-v1", "out-{files:**/yarn.lock}"));
    says(&project.run(&["key"]).code(1), &["no file matches `**/yarn.lock` below", "is it checked out"]);
}

#[test]
fn what_is_up_to_date_and_a_single_file() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "contents");
    says(&project.run(&["save"]).success(), &["saved: 1 file, "]);
    says(&project.run(&["restore"]).success(), &["restored 1 file, "]);
    says(&project.run(&["save"]).success(), &["nothing to save (exists): up to date with `out-v1`"]);
}

#[test]
fn a_ref_that_cannot_be_one_for_what_looks_at_entries() {
    let project = Project::new(CONFIG);
    for command in ["clean", "ls", "usage", "delete"] {
        let ran = project.run(&["--ref", "a..b", command]).code(2);
        says(&ran, &["`--ref`: `a..b` is not a branch or ref name that git allows"]);
    }
    says(&project.run(&["delete"]).code(2), &["nothing says which entries are to be deleted"]);
}

#[test]
fn a_dry_run_names_the_entries() {
    let project = Project::new(&format!("{CONFIG}[clean]\nbudget = \"1000000\"\nheadroom = \"999990\"\n"));
    project.write("workspace/out/file", "contents");
    project.run(&["save", "--ref", "topic"]).success();
    let ran = project.run(&["clean", "--dry-run"]).success();
    says(&ran, &["1 entry", "\n  `out-v1` of refs/heads/topic: "]);
}

#[test]
fn an_expression_of_github_on_the_command_line() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "contents");
    let ran = project.run(&["--path", "out", "--key", "k-${{ hashFiles('x') }}", "save"]).success();
    says(
        &ran,
        &[
            "`${{ hashFiles('x') }}` is a GitHub Actions expression",
            "is used literally",
            "write `{files:GLOBS}`",
        ],
    );
}

#[test]
fn a_gate_of_a_cache_that_nothing_can_fill() {
    let config = "[cache.data]\npath = \"data\"\nkey = \"data-{links}\"\n\
         [cache.data.links]\nfiles = [\"*.sha256\"]\nobject = \"{ALGO}/{hash}\"\n";
    for (mirrors, cure) in [
        ("", "let the build bring what is missing, or declare `mirrors` or a `seed` that have it"),
        ("mirrors = [\"http://127.0.0.1:9/{ALGO}/{hash}\"]\n", "`cachekeep seed` fetches what is missing"),
    ] {
        let project = Project::new(&format!("{config}{mirrors}"));
        project.write("workspace/x.sha256", "2d711642b726b04401627ca9fbac32f5".repeat(2));
        says(&project.run(&["gate"]).code(3), &[cure]);
        says(&project.run(&["save"]).success(), &["not saved (incomplete)"]);
    }
}

#[cfg(windows)]
#[test]
fn a_store_without_a_drive() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "made");
    let ran = project.run(&["--store", "file:///srv/cache", "save", "--required"]).code(1);
    says(&ran, &["it names no drive, as `file:///C:/cache` does"]);
    says(&project.run(&["--store", r"C:\cache", "save"]).code(2), &["write `file:///C:/cache`"]);
}
