//! The summary of a step: Markdown where the platform shows it.

use super::own_store::{CONFIG, run};
use super::{NIGHTLY, setup};
use cachekeep_test_support::github_api::{REPOSITORY, TOKEN};
use cachekeep_test_support::project::{Project, Ran, file_url};

#[test]
fn on_github_the_summary_says_what_was_freed_kept_and_failed_with_a_chart() {
    let (api, project) = setup(NIGHTLY);
    api.world().pull(7, Some(100.0));
    api.world().save("refs/heads/main", "ccache-20261101", (2.0, 1.0), 400);
    api.world().save("refs/pull/7/merge", "ccache-20261102", (200.0, 150.0), 300);
    let stuck = api.world().save("refs/pull/7/head", "<b>x</b>|y", (200.0, 150.0), 20);
    api.world().faults.push(cachekeep_test_support::github_api::Fault {
        method: axum::http::Method::DELETE,
        path: format!("/caches/{stuck}"),
        times: 100,
        status: 422,
        headers: Vec::new(),
        body: "Unprocessable".to_owned(),
    });
    for (arguments, headline) in [
        (&["--dry-run"][..], "320.0 MB in 2 entries would be deleted"),
        (&[], "300.0 MB in 1 entry deleted from GitHub's caches"),
    ] {
        let summary = project.write("summary.md", "# Before\n");
        let mut command = project.command();
        command.args(["clean", "--deletions-per-minute", "1000000"]).args(arguments);
        command.env("GITHUB_ACTIONS", "true").env("GITHUB_REPOSITORY", REPOSITORY);
        command.env("GITHUB_STEP_SUMMARY", &summary);
        Ran::of(command.env("GITHUB_API_URL", api.url()).env("GITHUB_TOKEN", TOKEN));
        let text = project.read("summary.md");
        assert!(text.starts_with("# Before\n## Caches cleaned\n"), "{text}");
        assert!(text.contains(headline), "{text}");
        assert!(text.contains("```mermaid\npie showData"), "{text}");
        assert!(text.contains("| <code>ccache-&#42;</code> | 300.0 MB (1) | 400.0 MB (1) |"), "{text}");
        assert!(text.contains("| <code>refs/heads/main</code> |  | 400.0 MB (1) |"), "{text}");
        assert!(!text.contains("<b>"), "{text}");
    }
    let text = project.read("summary.md");
    assert!(text.contains("### Could not be deleted") && text.contains("Unprocessable"), "{text}");
}

#[test]
fn on_azure_pipelines_the_summary_of_an_own_store_is_uploaded() {
    let project = Project::new(CONFIG);
    for day in 1..=2 {
        project.write("workspace/cache/file", format!("content of day {day}"));
        run(&project, &["save", "--var", &format!("day=2026110{day}"), "--required"]).success();
    }
    let store = file_url(&project.path("store"));
    let mut command = project.command();
    command.args(["clean", "--store", &store, "--ref", "main", "--default-ref", "main"]);
    command.env("TF_BUILD", "True").env("AGENT_TEMPDIRECTORY", project.path("temp"));
    let ran = Ran::of(&mut command).success();
    let talk = format!("{}{}", ran.stdout, ran.stderr);
    let file = talk.lines().find_map(|line| line.strip_prefix("##vso[task.uploadsummary]"));
    let file = file.unwrap_or_else(|| panic!("no summary: {talk}"));
    let text = std::fs::read_to_string(file).expect("the summary");
    assert!(text.starts_with("## Caches cleaned") && text.contains("in 1 entry deleted"), "{text}");
}
