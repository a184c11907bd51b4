//! Linters pass `action.yml` and the workflows.

use std::process::Command;

use crate::action::definition::root;
use cachekeep_test_support::skip::skip;

fn lint(test: &str, program: &str, arguments: &[&str]) {
    match Command::new(program).args(arguments).current_dir(root()).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        }
        Err(error) => skip(test, &format!("{program}: {error}")),
    }
}

#[test]
fn actionlint_is_content_with_the_workflows() {
    lint("actionlint_is_content_with_the_workflows", "actionlint", &[]);
}

#[test]
fn zizmor_is_content_with_the_action_and_the_workflows() {
    lint(
        "zizmor_is_content_with_the_action_and_the_workflows",
        "zizmor",
        &["--offline", "action.yml", "restore/action.yml", "save/action.yml", ".github"],
    );
}

#[test]
fn shellcheck_is_content_with_the_installer() {
    lint(
        "shellcheck_is_content_with_the_installer",
        "shellcheck",
        &["scripts/install.sh", "scripts/package-extension", "scripts/cross-check"],
    );
}
