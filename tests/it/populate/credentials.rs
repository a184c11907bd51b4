//! Credentials of mirrors: from the environment, sent to the mirror, and never shown.

use crate::populate::objects::{assert_holds, config, served};
use cachekeep_test_support::capture::secret;
use cachekeep_test_support::event::started_by;
use cachekeep_test_support::mirror_server::{Manner, MirrorServer};
use cachekeep_test_support::project::{Project, Ran};

/// `ci:p@ss/wörd` in base 64.
const BASIC: &str = "Basic Y2k6cEBzcy93w7ZyZA==";
const PASSWORD: &str = "p@ss/wörd";

/// What a log may hold of it in no form.
const FORMS: [&str; 3] = [PASSWORD, "p%40ss%2Fw%C3%B6rd", "Y2k6cEBzcy93w7ZyZA"];

fn guarded() -> (Project, MirrorServer, usize) {
    for form in FORMS {
        secret("mirror-credential", form);
    }
    let project = Project::new("");
    let objects = served(&project, 5);
    let server = MirrorServer::start(project.path("mirror"), Manner::Guarded(BASIC.to_owned()));
    let mirror = format!("http://{{env.DATA_USER}}:{{env.DATA_TOKEN}}@{}/{{ALGO}}/{{hash}}", server.host());
    project.write("workspace/cachekeep.toml", config(&[mirror], ""));
    (project, server, objects.len())
}

#[test]
fn a_mirror_gets_the_credentials_and_no_log_does() {
    let (project, server, count) = guarded();
    for platform in [None, Some("GITHUB_ACTIONS"), Some("TF_BUILD")] {
        let mut command = project.command();
        command.args(["fetch", "--required", "--verbose", "--json"]);
        command.env("DATA_USER", "ci").env("DATA_TOKEN", PASSWORD);
        if let Some(platform) = platform {
            command.env(platform, "true").env("RUNNER_TEMP", project.path("temp"));
            command.env("AGENT_TEMPDIRECTORY", project.path("temp")).env("BUILD_REASON", "IndividualCI");
            let [_, name, payload] = started_by("push", &project.path("temp"));
            command.envs([name, payload]);
        }
        let ran = Ran::of(&mut command).success();
        assert_eq!(ran.json()["caches"][0]["seed"]["fetched"], count, "{}", ran.stderr);
        let told = |word: &str| ran.stderr.lines().filter(|line| line.contains(word)).collect::<Vec<_>>();
        for secret in FORMS {
            for line in told(secret) {
                let is_mask = line.starts_with("::add-mask::") || line.starts_with("##vso[task.setsecret]");
                assert!(is_mask && platform.is_some(), "{line}");
            }
            assert!(!ran.stdout.contains(secret));
        }
        if platform.is_some() {
            assert_eq!(told(PASSWORD).len(), 1, "{}", ran.stderr);
        }
        std::fs::remove_dir_all(project.path("workspace/store")).expect("removed");
    }
    assert_eq!(server.requests(), 3 * count as u64);
}

#[test]
fn no_credentials_are_sent_where_the_configuration_may_be_a_strangers() {
    let (project, server, _) = guarded();
    for event in ["pull_request_target", "issue_comment", "invented"] {
        let mut command = project.command();
        command.args(["fetch", "--role", "writer"]).envs(started_by(event, &project.path("temp")));
        let ran = Ran::of(command.env("DATA_USER", "ci").env("DATA_TOKEN", PASSWORD)).success();
        assert!(ran.stderr.contains("is left out") && ran.stderr.contains(event), "{}", ran.stderr);
    }
    assert_eq!(server.requests(), 0);
}

#[test]
fn a_mirror_whose_credentials_are_not_here_is_left_out() {
    let (project, server, count) = guarded();
    let text = project.read("workspace/cachekeep.toml");
    let open = MirrorServer::start(project.path("mirror"), Manner::Good);
    let both = text.replace("mirrors = [", &format!("mirrors = [\"{}\", ", open.template()));
    project.write("workspace/cachekeep.toml", both);
    let ran = project.run(&["fetch", "--required", "--json"]).success();
    assert_eq!(ran.json()["caches"][0]["seed"]["fetched"], count);
    assert_eq!((server.requests(), open.requests()), (0, count as u64));
    assert!(ran.stderr.contains("is left out") && ran.stderr.contains("DATA_USER"), "{}", ran.stderr);
    project.write("workspace/cachekeep.toml", text);
    std::fs::remove_dir_all(project.path("workspace/store")).expect("removed");
    project.run(&["fetch", "--required"]).code(1);
    project.run(&["fetch"]).success();
}

#[test]
fn wrong_credentials_are_told_as_such() {
    let (project, _server, _) = guarded();
    let mut command = project.command();
    command.args(["fetch", "--required"]).env("DATA_USER", "ci").env("DATA_TOKEN", "wrong");
    let ran = Ran::of(&mut command).code(1);
    assert!(ran.stderr.contains("401") && !ran.stderr.contains("wrong"), "{}", ran.stderr);
    assert!(project.temporary_things().is_empty());
    assert_holds(&project, &[]);
}
