//! What `docs/object-stores.md` shows: workflows pass their linters, rules are JSON, and the policy for pull requests
//! keeps them from the default branch's entries at versitygw.

use std::process::Command;

use bytes::Bytes;
use cachekeep::domain::scope::Scope;
use cachekeep::store::{Access, Commit, NewEntry, Store as _, StoreErrorKind, StoreExt as _};
use cachekeep_test_support::object_services::real::BUCKET;
use cachekeep_test_support::skip;

use crate::action::definition::text;

use super::service::{Running, fresh_prefix, named, patient, request, store_of, view};

/// The blocks of this language in the page.
fn blocks(language: &str) -> Vec<String> {
    let page = text("docs/object-stores.md");
    let start = format!("```{language}\n");
    let blocks = page.split(&start).skip(1);
    blocks.map(|block| block.split("```").next().expect("its text").to_owned()).collect()
}

fn check(program: &str, arguments: &[&str], file: &std::path::Path) {
    match Command::new(program).args(arguments).arg(file).output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
        }
        Err(error) => skip("a check of the workflows of object stores", &format!("{program}: {error}")),
    }
}

#[test]
fn workflows_pass_their_linters() {
    let directory = tempfile::tempdir().expect("a directory");
    let (pipelines, workflows): (Vec<String>, Vec<String>) =
        blocks("yaml").into_iter().partition(|block| block.starts_with("# Azure Pipelines"));
    assert_eq!((pipelines.len(), workflows.len()), (1, 3));
    for (number, workflow) in workflows.iter().enumerate() {
        let file = directory.path().join(format!("{number}.yml"));
        std::fs::write(&file, workflow).expect("written");
        check("actionlint", &[], &file);
        check("check-jsonschema", &["--builtin-schema", "vendor.github-workflows"], &file);
    }
    let file = directory.path().join("azure-pipelines.yml");
    std::fs::write(&file, &pipelines[0]).expect("written");
    let schema = ["--builtin-schema", "vendor.azure-pipelines", "--data-transform", "azure-pipelines"];
    check("check-jsonschema", &schema, &file);
}

/// The policy for pull requests as one of the test's bucket, for this user and prefix.
fn policy(user: &str, prefix: &str) -> String {
    let documents = blocks("json");
    let parsed: Vec<serde_json::Value> =
        documents.iter().map(|block| serde_json::from_str(block).expect(block)).collect();
    let of_pulls = |document: &&serde_json::Value| {
        document.to_string().contains("refs=2fpull=2f*") && document["Statement"][0]["Principal"].is_null()
    };
    let mut policy = parsed.iter().find(of_pulls).expect("a policy for pull requests").clone();
    for statement in policy["Statement"].as_array_mut().expect("statements") {
        statement["Principal"] = serde_json::json!({ "AWS": [user] });
    }
    policy
        .to_string()
        .replace("BUCKET", BUCKET)
        .replace("PREFIX", prefix)
        .replace("github.com/OWNER/NAME", &view().own.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_for_pull_requests_keeps_them_from_the_default_branch() {
    let Some(service) = Running::versitygw() else { return };
    let Running::Versitygw(gateway) = &service else { unreachable!("it was just made") };
    let prefix = fresh_prefix();
    let branch = service.store(&prefix, view());
    branch.put(named("k"), Bytes::from_static(b"of main")).await.expect("saved");

    let variables = gateway.add_user("pulls", &policy("pulls", &prefix));
    let pull = store_of(&service.location(&prefix), &variables, view(), chrono::Utc::now, patient());
    let entry = pull.lookup(&request("k")).await.expect("an answer").expect("an entry");
    assert_eq!(pull.get(&entry).await.expect("readable"), &b"of main"[..]);
    let own = |key: &str| NewEntry { scope: Scope::new("refs/pull/7/merge").expect("a scope"), ..named(key) };
    let saved = pull.put(own("k"), Bytes::from(vec![7; 9 << 20])).await.expect("saved");
    let Commit::Created { entry, .. } = saved else { panic!("there was none: {saved:?}") };
    assert_eq!(pull.get(&entry).await.expect("readable").len(), 9 << 20);

    for key in ["k", "other"] {
        let error = pull.put(named(key), Bytes::from_static(b"poison")).await.expect_err("it is refused");
        assert_eq!(error.kind(), StoreErrorKind::Denied(Access::Write), "{error}");
    }
    assert_eq!(branch.lookup(&request("other")).await.expect("an answer"), None);
    let entry = branch.lookup(&request("k")).await.expect("an answer").expect("an entry");
    assert_eq!(branch.get(&entry).await.expect("readable"), &b"of main"[..]);
}
