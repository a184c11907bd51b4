//! Text of strangers on standard output, standard error, in summaries and on pages: no runner and no terminal finds
//! anything to act on, whatever platform the job runs on.

use cachekeep_test_support::log_commands::actions;
use cachekeep_test_support::project::{Project, Ran};

const HOSTILE: [&str; 10] = [
    "x\n::set-output name=hit::forged",
    "x\r::set-output name=hit::forged",
    "::stop-commands::forged",
    "x ##[add-mask]forged",
    "x##vso[task.setvariable variable=PATH]forged",
    "x\r\u{1b}[0Ksection_start:1:forged\r\u{1b}[0K",
    "x\u{1b}]0;forged\u{7}\u{9b}2J",
    "x\u{2028}::error::forged\u{85}::error::forged",
    "x\u{202e}forged\u{2066}",
    "x\u{200b}forged",
];

const PLATFORMS: [&[(&str, &str)]; 4] = [
    &[],
    &[("GITHUB_ACTIONS", "true")],
    &[("TF_BUILD", "True")],
    &[("GITLAB_CI", "true"), ("CI_JOB_STARTED_AT", "2026-03-01T12:00:00Z")],
];

/// How lines begin that `cachekeep` means as commands.
const OWN: [&str; 9] = [
    "::group::",
    "::endgroup::",
    "::debug::",
    "::warning title=cachekeep::",
    "::error title=cachekeep::",
    "##[group]",
    "##[endgroup]",
    "##[debug]",
    "##vso[task.",
];

const CONFIG: &str = r#"
[cache.c]
path = "{workspace}/out"
key = "k-{var.v}"
"#;

fn run(project: &Project, platform: &[(&str, &str)], arguments: &[&str]) -> Ran {
    let mut command = project.command();
    command.args(arguments).envs(platform.iter().copied());
    Ran::of(&mut command)
}

fn assert_inert(ran: &Ran, about: &str) {
    for output in [&ran.stdout, &ran.stderr] {
        let found = actions(output, &OWN);
        assert!(found.is_empty(), "{about}: {found:?} in {output}");
    }
}

#[test]
fn the_parser_finds_what_runners_act_on() {
    for text in HOSTILE {
        assert!(!actions(text, &OWN).is_empty(), "{text:?}");
    }
    let own = "::group::a\n##vso[task.setvariable variable=A]b\nplain\n\u{1b}[0Ksection_end:1:cachekeep_1\r\u{1b}[0K";
    assert_eq!(actions(own, &OWN), Vec::<String>::new());
}

#[test]
fn values_and_arguments_are_inert_for_every_command_on_every_platform() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "x");
    for platform in PLATFORMS {
        for text in HOSTILE {
            let variable = format!("v={text}");
            for command in ["save", "restore", "key", "explain", "ls", "usage", "doctor", "gate"] {
                let ran = run(&project, platform, &["--verbose", "--var", &variable, command]);
                assert_inert(&ran, &format!("{command} with {text:?}"));
            }
            // The parser of arguments quotes them by itself.
            for arguments in [vec![text], vec!["ls", text], vec!["--timeout", text, "ls"], vec!["save", text]]
            {
                let ran = run(&project, platform, &arguments);
                assert_eq!(ran.code, 2, "{arguments:?}");
                assert_inert(&ran, &format!("{arguments:?}"));
            }
        }
    }
}

#[test]
fn a_key_that_acts_or_deceives_is_refused() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "x");
    for text in ["##[x]", "a##vso[x]", "a\u{202e}b", "a ::error::b"] {
        let ran = run(&project, &[], &["--var", &format!("v={text}"), "key"]).code(2);
        assert!(ran.stderr.contains("contains a log command"), "{}", ran.stderr);
    }
    let ran = run(&project, &[], &["--var", "v=a::b #1 größe", "key"]).success();
    assert!(ran.stdout.contains("k-a::b #1 größe"), "a harmless key is printed as it is: {}", ran.stdout);
}

#[test]
fn a_ref_that_git_does_not_allow_is_refused_or_unknown() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "x");
    for text in HOSTILE.iter().take(6) {
        for flag in ["--ref", "--base-ref", "--default-ref"] {
            let ran = run(&project, &[], &[flag, text, "--var", "v=1", "save"]).code(2);
            assert!(ran.stderr.contains("that git allows"), "{}", ran.stderr);
            assert_inert(&ran, text);
        }
        let job = [("GITHUB_ACTIONS", "true"), ("GITHUB_REF", *text)];
        let ran = run(&project, &job, &["--var", "v=1", "restore"]).success();
        assert!(ran.stderr.contains("treated as unknown"), "{}", ran.stderr);
        assert_inert(&ran, text);
    }
}

#[test]
fn errors_of_the_configuration_quote_it_inertly() {
    for text in HOSTILE {
        let quoted = serde_json::to_string(text).expect("a string");
        for config in [
            format!("[cache.c]\npath = \"{{workspace}}/out\"\nkey = \"k\"\n{quoted} = 1\n"),
            format!("[cache.{quoted}]\npath = \"{{workspace}}/out\"\nkey = \"k\"\n"),
            format!(
                "[cache.c]\npath = \"{{workspace}}/out\"\nkey = 7 # {}\n",
                text.replace(['\n', '\r'], " ")
            ),
        ] {
            let project = Project::new(&config);
            for platform in PLATFORMS {
                assert_inert(&run(&project, platform, &["restore"]), &config);
                assert_inert(&run(&project, platform, &["doctor", "--json"]), &config);
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn names_of_links_are_inert_in_json_and_in_summaries() {
    for text in HOSTILE {
        let project = Project::new(&format!("{CONFIG}\n[cache.c.links]\nfiles = [\"**/*.sha512\"]\n"));
        project.write(&format!("workspace/{}.sha512", text.replace('/', "_")), "ab".repeat(64));
        project.write("workspace/out/file", "x");
        for platform in PLATFORMS {
            let ran = run(&project, platform, &["--json", "--var", "v=1", "gate"]);
            assert_inert(&ran, text);
            assert!(ran.json().to_string().contains("sha512"), "the document names the link: {}", ran.stdout);
        }
        let summary = project.path("summary.md");
        let job = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", summary.to_str().expect("text"))];
        assert_inert(&run(&project, &job, &["--var", "v=1", "save"]), text);
        let written = std::fs::read_to_string(&summary).unwrap_or_default();
        assert_eq!(actions(&written, &OWN), Vec::<String>::new(), "{text:?}");
    }
}
