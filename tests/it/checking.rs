//! `check`: what is wrong with a configuration and the Azure pipelines that use it.

use std::fs;

use cachekeep_test_support::project::Project;

const CONFIG: &str = r#"
[cache.ccache]
path = "ccache"
key = "ccache-{os}-{sha}"
restore-keys = ["ccache-{os}-"]
save = "always"
"#;

const PIPELINE: &str = "\
pool: { vmImage: ubuntu-24.04 }
steps:
  - template: azure-task/restore.yml@cachekeep
    parameters: { cache: ccache, version: installed }
  - script: make # ä
  - { template: azure-task/save.yml@cachekeep, parameters: { cache: ccache sscache } }
";

#[test]
fn findings_have_place_cause_and_cure() {
    let project = Project::new(CONFIG);
    project.write("workspace/azure-pipelines.yml", PIPELINE);
    project.write("workspace/docker-compose.yml", "services: [");
    let ran = project.run(&["check"]).code(1);
    let text = ran.stdout;
    let expected = "\
error[azure-unknown-cache]: there is no cache `sscache` in the configuration
 --> azure-pipelines.yml:6:69
  |
6 |   - { template: azure-task/save.yml@cachekeep, parameters: { cache: ccache sscache } }
  |                                                                     ^^^^^^^^^^^^^^
  = hint: declare it in cachekeep.toml, or correct the name
";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("warning[azure-save-always]: `ccache` has `save = \"always\"`"), "{text}");
    assert!(text.ends_with("2 errors and 1 warning in 2 files\n"), "{text}");

    project.write("workspace/azure-pipelines.yml", PIPELINE.replace(" sscache", ""));
    let text = project.run(&["check"]).success().stdout;
    assert!(text.ends_with("1 warning in 2 files\n"), "{text}");
}

#[test]
fn machines_read_the_same_findings() {
    let project = Project::new(CONFIG);
    project.write("workspace/.azure-pipelines/a b.yml", PIPELINE);
    let found = project.run(&["--json", "check"]).code(1).json();
    assert_eq!(found["files"], 2, "{found}");
    let findings = found["findings"].as_array().expect("findings");
    let unknown =
        findings.iter().find(|finding| finding["rule"] == "azure-unknown-cache").expect("a finding");
    assert_eq!(unknown["severity"], "error");
    assert_eq!((&unknown["line"], &unknown["column"]), (&6.into(), &69.into()), "{unknown}");
    assert_eq!(unknown["file"], ".azure-pipelines/a b.yml");

    let sarif = project.run(&["check", "--format", "sarif"]).code(1).json();
    assert_eq!(sarif["version"], "2.1.0");
    let run = &sarif["runs"][0];
    let results = run["results"].as_array().expect("results");
    assert_eq!(results.len(), findings.len());
    let result = results.iter().find(|result| result["ruleId"] == "azure-unknown-cache").expect("a result");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], ".azure-pipelines/a%20b.yml");
    assert_eq!(place["region"], serde_json::json!({ "startLine": 6, "startColumn": 69, "endColumn": 83 }));
    let rules = run["tool"]["driver"]["rules"].as_array().expect("rules");
    assert!(rules.iter().any(|rule| rule["id"] == "azure-unknown-cache"), "{sarif}");
}

#[test]
fn content_links_are_read() {
    let config = "[cache.data]\npath = \"data\"\nkey = \"data-{links}\"\nlinks = { files = [\"Data/*.sha512\", \"*.md5\"] }\n";
    let project = Project::new(config);
    let text = project.run(&["check"]).success().stdout;
    let expected = "\
warning[links-without-file]: no file of the checkout matches `Data/*.sha512, *.md5`: `data` wants nothing, and its gate always passes
 --> cachekeep.toml:4:19
";
    assert!(text.starts_with(expected), "{text}");

    project.write("workspace/Data/a.sha512", "0".repeat(128));
    assert_eq!(project.run(&["check"]).success().stdout, "no problems in 1 file\n");

    project.write("workspace/Data/b.sha512", "version https://git-lfs.github.com/spec/v1");
    project.write("workspace/empty.md5", "");
    let text = project.run(&["check"]).code(1).stdout;
    assert!(
        text.starts_with("error[malformed-link]: `data`: 2 content links are malformed: Data/b.sha512: "),
        "{text}"
    );
    assert!(text.contains("; empty.md5: empty\n --> cachekeep.toml:4:19\n"), "{text}");
}

#[test]
fn keys_that_depend_on_no_file_or_on_nothing_are_found() {
    let of_config = |config: &str| {
        let project = Project::new(config);
        project.write("workspace/requirements.txt", "six");
        project.run(&["check"]).success().stdout
    };
    let cache = |key: &str, more: &str| format!("[cache.pip]\npath = \"out\"\nkey = \"{key}\"\n{more}");
    let text = of_config(&cache("pip-{files:requirement.txt}", ""));
    let expected = "\
warning[key-without-file]: no file of the checkout matches `{files:requirement.txt}` in the key of `pip`: it is skipped
";
    assert!(text.starts_with(expected), "{text}");
    let restore_keys = "restore-keys = [\"pip-\"]\n";
    for config in [cache("pip-{os}", restore_keys), "[cache.pip]\nkind = \"pip\"\nkey = \"pip\"\n".to_owned()]
    {
        let text = of_config(&config);
        assert!(text.starts_with("warning[frozen-key]: the key of `pip` never changes, and "), "{text}");
    }
    // What a failed job left would stay, but where a gate keeps it out or each run has a key of its own.
    let always = |key: &str, more: &str| of_config(&cache(key, &format!("save = \"always\"\n{more}")));
    let text = always("pip-{files:requirements.txt}", restore_keys);
    assert!(
        text.starts_with("warning[always-under-one-key]: `pip` is saved after a failure, too, "),
        "{text}"
    );
    assert_eq!(always("pip-{sha}", restore_keys), "no problems in 1 file\n");
    let links = "links = { files = [\"*.sha512\"] }\n";
    assert!(!always("pip-{links}", links).contains("always-under-one-key"));
    for config in [
        cache("pip-{files:requirements.txt}", restore_keys),
        cache("pip-{var.v}", restore_keys),
        // A fixed download, whose version is in its key.
        cache("tool-4.2.1", ""),
    ] {
        assert_eq!(of_config(&config), "no problems in 1 file\n");
    }
}

#[test]
fn a_wrong_configuration_is_one_of_the_findings() {
    let project = Project::new("[cache.a]\npath = \"a\"\nkye = \"x\"\n");
    project.write("workspace/azure-pipelines.yml", PIPELINE);
    let text = project.run(&["check"]).code(1).stdout;
    assert!(text.contains("error[configuration]: ") && text.contains("kye"), "{text}");
    // Whether a cache is declared is not known then.
    assert!(!text.contains("azure-unknown-cache"), "{text}");
}

#[test]
fn without_anything_to_check_that_is_said() {
    let project = Project::new("");
    fs::remove_file(project.path("workspace/cachekeep.toml")).expect("a file");
    let ran = project.run(&["check"]).code(2);
    assert!(ran.stderr.contains("nothing to check"), "{}", ran.stderr);
    let ran = project.run(&["check", "gone.yml"]).code(1);
    assert!(ran.stderr.contains("gone.yml"), "{}", ran.stderr);
    project.write("workspace/odd.yml", "a: [");
    let text = project.run(&["check", "odd.yml"]).code(1).stdout;
    assert!(text.contains("error[yaml]: not YAML"), "{text}");
}

#[test]
fn a_hostile_pipeline_is_shown_and_not_obeyed() {
    let project = Project::new(CONFIG);
    let hostile = "\u{1b}[31m##vso[task.setvariable variable=A]b";
    let pipeline = PIPELINE.replace("ccache sscache", &format!("\"{}\"", hostile.replace('\u{1b}', "\\e")));
    project.write("workspace/azure-pipelines.yml", &pipeline);
    for format in ["text", "json", "sarif"] {
        let text = project.run(&["check", "--format", format]).code(1).stdout;
        assert!(text.contains("azure-unknown-cache"), "{text}");
        assert!(
            !text.contains('\u{1b}') && !text.lines().any(|line| line.trim_start().starts_with("##vso[")),
            "{text}"
        );
    }
}
