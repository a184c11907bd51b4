//! Every input of the task, filled by an attacker: nothing is executed, and no command of the agent is forged.

use std::fs;

use cachekeep::cli::task::shared_inputs;
use cachekeep_test_support::azure_agent::{Job, Pipeline};
use cachekeep_test_support::project::file_url;

use super::{assemble, real_program};

/// `EVIL` stands for a directory that must not be made.
const HOSTILE: [&str; 8] = [
    "$(touch PWNED)",
    "`touch PWNED`; touch PWNED",
    "a\n##vso[task.setvariable variable=FORGED]1",
    "##vso[task.setvariable variable=FORGED]1",
    "x\r##vso[task.setvariable variable=FORGED]1\r",
    "x]\n##vso[task.complete result=Failed]",
    "--store=file://EVIL",
    "%0A##vso[task.prependpath]/evil%0A",
];

#[test]
fn no_input_is_executed_or_obeyed() {
    let place = tempfile::tempdir().expect("a directory");
    let folder = assemble(place.path(), &real_program());
    let evil = place.path().join("EVIL");
    let mut inputs: Vec<String> = shared_inputs().map(|(name, _)| name).collect();
    inputs.push("save".to_owned());
    for (number, text) in HOSTILE.iter().enumerate() {
        for input in &inputs {
            let text = text.replace("EVIL", &evil.display().to_string());
            // A cache without a configuration, in whose inputs the text may be data.
            let mut given = vec![("path", "out"), ("key", "k"), ("vars", "a=1")];
            given.retain(|(name, _)| name != input && (input != "config" || *name == "vars"));
            let store = file_url(&place.path().join(format!("store{number}")));
            if input != "store" {
                given.push(("store", &store));
            }
            let given: Vec<String> = given.iter().map(|(name, value)| format!("{name}: '{value}'")).collect();
            let pipeline = format!(
                "steps:\n  - {{ task: Cachekeep@0, name: caches, inputs: {{ {}, {input}: $(HOSTILE) }} }}\n  - bash: echo \"$PATH\"\n    condition: always()\n",
                given.join(", ")
            );
            let pipeline = Pipeline::parse(&pipeline).expect("a pipeline");
            let job = Job::new(&pipeline).task("Cachekeep@0", &folder).file("out/f", "text");
            let job = job.agent_env("HOME", place.path()).variable("HOSTILE", &text).run();
            assert!(job.variable("FORGED").is_none(), "{input} = {text:?}: {}", job.log);
            assert!(!job.log.contains("/evil:"), "{input} = {text:?}: {}", job.log);
            assert!(!job.log.contains("Unable to process command"), "{input} = {text:?}: {}", job.log);
            for directory in ["1/s", "1", "_temp", "."] {
                assert!(!job.path(directory).join("PWNED").exists(), "{input} = {text:?}");
            }
            assert!(!evil.exists() && fs::metadata(job.source("EVIL")).is_err(), "{input} = {text:?}");
        }
    }
}
