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

const COMMANDS: &[&[&str]] = &[
    &["save"],
    &["restore"],
    &["run", "--", "true"],
    &["seed"],
    &["fetch"],
    &["gate"],
    &["trim"],
    &["key"],
    &["env"],
    &["explain"],
    &["ls"],
    &["usage"],
    &["usage", "--html", "page.html"],
    &["clean", "--dry-run"],
    &["clean"],
    &["doctor"],
];

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
            for command in COMMANDS {
                let ran = run(&project, platform, &[&["--verbose", "--var", &variable], *command].concat());
                assert_inert(&ran, &format!("{command:?} with {text:?}"));
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

#[test]
fn the_command_of_run_is_quoted_inertly() {
    let project = Project::new(CONFIG);
    for platform in PLATFORMS {
        for text in HOSTILE {
            let ran =
                run(&project, platform, &["--verbose", "--var", "v=1", "run", "--", text, text]).code(127);
            assert!(ran.stderr.contains("cannot run `"), "{}", ran.stderr);
            assert_inert(&ran, &format!("run -- {text:?}"));
            assert_inert(&run(&project, platform, &["run", text]), &format!("run {text:?}"));
        }
    }
}

#[test]
fn sources_of_seeds_are_quoted_inertly() {
    for text in HOSTILE {
        // Where it is an address at all, it leads nowhere.
        let source = serde_json::to_string(&format!("file:///nowhere/{text}.tar")).expect("a string");
        let config = format!("{CONFIG}[cache.c.seed]\nversion = \"1\"\nfrom = [{source}]\n");
        let project = Project::new(&config);
        for platform in PLATFORMS {
            for command in ["seed", "fetch"] {
                let ran = run(&project, platform, &["--verbose", "--var", "v=1", command]);
                assert!(matches!(ran.code, 0 | 2), "{}", ran.stderr);
                assert_inert(&ran, &format!("{command} from {text:?}"));
            }
        }
    }
}

/// Names that a file can have.
#[cfg(unix)]
fn file_names() -> impl Iterator<Item = String> {
    HOSTILE.into_iter().map(|text| text.replace('/', "_"))
}

#[cfg(unix)]
#[test]
fn names_of_files_that_are_trimmed_or_packed_are_inert() {
    let config = format!("{CONFIG}trim = {{ max-size = \"1kB\" }}\n");
    for platform in PLATFORMS {
        for command in [&["trim", "--dry-run"][..], &["--json", "trim"], &["trim"], &["run", "--", "true"]] {
            let project = Project::new(&config);
            for name in file_names() {
                project.write(&format!("workspace/out/{name}"), "x".repeat(5_000));
                // A pipe is named when it is left out.
                let pipe = project.path(&format!("workspace/out/{name}.pipe"));
                let made = std::process::Command::new("mkfifo").arg("--").arg(&pipe).status();
                assert!(made.expect("mkfifo").success());
            }
            let ran = run(&project, platform, &[&["--verbose", "--var", "v=1"], command].concat()).success();
            assert_inert(&ran, &format!("{command:?}"));
        }
    }
}

#[cfg(unix)]
#[test]
fn names_that_others_put_into_a_store_are_inert() {
    let project = Project::new("[clean]\nunused-for = \"1d\"\nsuperseded = { keep = 1 }\n");
    project.write("workspace/out/file", "x");
    let store = cachekeep_test_support::project::file_url(&project.path("store"));
    let with_store = |arguments: &[&'static str]| [&["--verbose", "--store", &store], arguments].concat();
    let save = with_store(&["--path", "out", "--key", "k", "save", "--required"]);
    run(&project, &[], &save).success();
    let entry = entry_in(&project.path("store")).expect("an entry");
    for name in file_names() {
        std::fs::copy(&entry, entry.with_file_name(format!("{name}.tar.zst"))).expect("a copy");
        std::fs::write(entry.with_file_name(&name), "x").expect("a foreign file");
    }
    let page = project.path("workspace/page.html");
    for platform in PLATFORMS {
        for arguments in [
            &["ls", "--all-repositories"][..],
            &["usage"],
            &["usage", "--html", "page.html"],
            &["--json", "usage"],
            &["clean", "--dry-run", "--all-repositories"],
            &["--json", "clean", "--dry-run"],
            &["clean", "--dry-run", "--plan-out", "plan.json"],
            &["--path", "out", "--key", "other", "explain"],
            &["--path", "out", "--key", "x", "restore", "--lookup-only"],
        ] {
            let ran = run(&project, platform, &with_store(arguments)).success();
            assert_inert(&ran, &format!("{arguments:?}"));
        }
        let text = std::fs::read_to_string(&page).expect("a page");
        let acts = |c: &char| c.is_control() && *c != '\n' || "\u{200b}\u{2028}\u{202e}\u{2066}".contains(*c);
        assert_eq!(text.chars().find(acts), None, "the page has characters that are not shown");
    }
    let summary = project.path("summary.md");
    let job = [("GITHUB_ACTIONS", "true"), ("GITHUB_STEP_SUMMARY", summary.to_str().expect("text"))];
    assert_inert(&run(&project, &job, &with_store(&["clean"])).success(), "clean");
    let written = std::fs::read_to_string(&summary).expect("a summary");
    assert_eq!(actions(&written, &OWN), Vec::<String>::new());
}

/// The first entry below a directory.
#[cfg(unix)]
fn entry_in(directory: &std::path::Path) -> Option<std::path::PathBuf> {
    std::fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path()).find_map(|path| {
        let is_entry = path.to_string_lossy().ends_with(".tar.zst");
        if is_entry { Some(path) } else { entry_in(&path) }
    })
}
