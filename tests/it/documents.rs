//! What people copy from the documents: configurations are usable, and workflows have no findings with them.

use std::fs;

use cachekeep_test_support::project::Project;

use crate::action::definition::root;

/// The fenced blocks of a page in a language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).expect(page);
    let start = format!("```{language}\n");
    text.split(&start).skip(1).map(|rest| rest.split("```").next().expect("an end").to_owned()).collect()
}

#[test]
fn what_the_page_for_users_of_actions_cache_shows_passes_check() {
    let page = "docs/from-actions-cache.md";
    let (configurations, workflows) = (blocks(page, "toml"), blocks(page, "yaml"));
    assert!(
        configurations.len() >= 5 && workflows.len() == 2,
        "{} {}",
        configurations.len(),
        workflows.len()
    );
    for configuration in &configurations {
        let text = Project::new(configuration).run(&["check"]).success().stdout;
        assert_eq!(text, "no problems in 1 file\n", "{configuration}");
    }
    for workflow in &workflows {
        let project = Project::new(&configurations[0]);
        project.write("workspace/.github/workflows/ci.yml", workflow);
        let text = project.run(&["check"]).success().stdout;
        assert_eq!(text, "no problems in 2 files\n", "{workflow}");
    }
}
