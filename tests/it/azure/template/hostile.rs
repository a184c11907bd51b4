//! Hostile text in every parameter is executed neither by a shell nor by the agent, as a macro or as a log command.

use cachekeep_test_support::azure_agent::{JobResult, Status};

use super::{Machine, Use, load};

const TEXTS: [&str; 5] = [
    "$(touch ../../pwned)`touch ../../pwned`\";touch ../../pwned;'",
    "x##vso[task.setvariable variable=PWNED]yes",
    "##vso[task.setvariable variable=PWNED]yes",
    "a\r##[command]b\n##vso[task.setvariable variable=PWNED]yes",
    "$ {{ x }}|\"$(Build.SourceBranch)\"]; && touch ../../pwned",
];

/// The server lets only the listed words through for `transport` and `format`.
const PARAMETERS: [&str; 12] = [
    "cache",
    "path",
    "key",
    "restoreKeys",
    "vars",
    "role",
    "allowExport",
    "config",
    "store",
    "stagingDirectory",
    "timeout",
    "prefix",
];

fn run(machine: &Machine, parameter: &str, text: &str) -> JobResult {
    // A string of JSON is one of YAML.
    let value = format!("{parameter}: {}", serde_json::Value::from(text));
    let rest = match parameter {
        "path" => ", key: k".to_owned(),
        "key" => ", path: .cc".to_owned(),
        "restoreKeys" => ", path: .cc, key: k".to_owned(),
        _ => String::new(),
    };
    let save = if ["restoreKeys", "allowExport"].contains(&parameter) { "cache: cc" } else { &value };
    let pipeline = load(&format!(
        "
steps:
  - template: azure-task/restore.yml@cachekeep
    parameters: {{ version: installed, {value} {rest} }}
  - bash: mkdir -p .cc && echo x >.cc/f
    condition: always()
  - template: azure-task/save.yml@cachekeep
    parameters: {{ version: installed, {save} {} }}
",
        if save == value { &rest } else { "" }
    ));
    machine.job(&pipeline, "1").secret("OTHER_TOKEN", "azure-token-0123456789").run()
}

#[test]
fn no_text_is_executed() {
    for parameter in PARAMETERS {
        for text in TEXTS {
            // The server refuses a quote there: the prefix stands in conditions.
            if parameter == "prefix" && text.contains('\'') {
                continue;
            }
            let machine = Machine::new();
            let job = run(&machine, parameter, text);
            assert_eq!(job.variable("PWNED"), None, "{parameter}: {text}\n{}", job.log);
            assert!(!job.path("pwned").exists() && !job.path("1/pwned").exists(), "{parameter}: {text}");
            assert!(!job.log.contains("azure-token-0123456789"), "{parameter}: {text}");
            assert!(matches!(job.status, Status::Succeeded | Status::Failed | Status::SucceededWithIssues));
        }
    }
}

#[test]
fn what_cache_2_is_given_is_not_expanded_again() {
    let machine = Machine::new();
    let config = "[cache.cc]\npath = \".cc\"\nkey = \"k-{var.x}\"\n";
    let build = "mkdir .cc; echo x >.cc/f; echo '##vso[task.setvariable variable=LATER]planted'";
    let mut used = Use::new().build(build);
    used.restore = ", vars: \"x=$(LATER)|\\\"y\"".to_owned();
    let pipeline = used.pipeline();
    let job = machine.job(&pipeline, "1").file("cachekeep.toml", config).run().expect(Status::Succeeded);
    assert_eq!(machine.keys().len(), 1, "{}", job.log);
    assert!(machine.keys()[0].ends_with("|\"%24(LATER)%7C%22y\""), "{:?}", machine.keys());
}
