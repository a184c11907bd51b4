//! `usage --html` of a repository with 1 200 entries, looked at by a real browser.
//!
//! The browser is Chromium, driven by `tests/peer/usage-page/look.mjs`; axe-core judges accessibility and is pinned by
//! the lock file there. `CACHEKEEP_BLESS=1 cargo test --test it clean::page` takes the screenshots of the documents again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::{NIGHTLY, setup, sweep};
use cachekeep_test_support::github_api::{GitHubApi, REPOSITORY, TOKEN};
use cachekeep_test_support::npm;
use cachekeep_test_support::project::{Project, Ran};
use cachekeep_test_support::skip::{skip, works};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Writes the page of a repository; its path.
fn page_of(api: &GitHubApi, project: &Project) -> PathBuf {
    let path = project.path("usage.html");
    let mut command = project.command();
    command.args(["usage", "--repository", REPOSITORY, "--html"]).arg(&path);
    Ran::of(command.env("GITHUB_API_URL", api.url()).env("GITHUB_TOKEN", TOKEN)).success();
    path
}

/// The page as it would be on github.com.
fn published(path: &Path) {
    let text = fs::read_to_string(path).expect("a page");
    fs::write(path, text.replace(" at 127.0.0.1", "")).expect("written");
}

/// Installs axe-core; nothing where that or the browser cannot be had.
fn tools() -> Option<(String, PathBuf)> {
    let say = |why: &str| {
        skip("usage --html in a browser", why);
        None
    };
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let Some(browser) = names.into_iter().find(|name| works(name)) else {
        return say("there is no Chromium: apt-get install chromium");
    };
    if !works("node") {
        return say("node is not here");
    }
    match npm::installed("usage-page") {
        Ok(home) => Some((browser.to_owned(), home)),
        Err(why) => say(&why),
    }
}

/// What a browser sees of a page.
fn look(page: &Path, browser: &str, peer: &Path, screenshots: Option<&Path>) -> Value {
    let mut command = Command::new("node");
    command.arg(root().join("tests/peer/usage-page/look.mjs")).arg(browser).arg(page);
    command
        .arg(peer.join("node_modules/axe-core/axe.min.js"))
        .arg(page.with_extension("profile"))
        .args(screenshots);
    let output = command.output().expect("node runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[track_caller]
fn assert_is_in_order(seen: &Value) {
    assert_eq!(seen["console"], Value::Array(vec![]), "the console is not silent");
    assert_eq!(seen["requests"], Value::Array(vec![]), "the page asks the network");
    for (what, pixels) in seen["overflow"].as_object().expect("widths") {
        assert_eq!(*pixels, 0, "{what} overflows");
    }
    let violations = seen["violations"].as_object().expect("schemes");
    assert_eq!(violations.len(), 4);
    for (what, found) in violations {
        assert_eq!(*found, Value::Array(vec![]), "axe-core on {what}");
    }
    let focus = seen["focus"].as_array().expect("a list");
    let unmarked: Vec<&Value> = focus.iter().filter(|stop| stop["outlined"] != true).collect();
    assert!(unmarked.is_empty(), "focus is not to be seen: {unmarked:?}");
}

#[test]
fn a_browser_shows_the_page_and_finds_nothing_wrong_with_it() {
    let Some((browser, peer)) = tools() else { return };
    let (api, project) = setup(NIGHTLY);
    sweep::populate(&mut api.world());
    let page = page_of(&api, &project);
    published(&page);
    let bless = std::env::var_os("CACHEKEEP_BLESS").map(|_| project.path("usage"));
    let seen = look(&page, &browser, &peer, bless.as_deref());
    if let Some(prefix) = bless {
        // To be looked at by people, too.
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::copy(&page, kept.join("usage.html")).expect("kept");
        for scheme in ["light", "dark"] {
            let narrow = format!("{}-{scheme}-narrow.png", prefix.display());
            fs::copy(narrow, kept.join(format!("usage-{scheme}-narrow.png"))).expect("kept");
            let made = format!("{}-{scheme}.png", prefix.display());
            fs::copy(made, root().join(format!("docs/images/usage-{scheme}.png"))).expect("kept");
        }
    }
    assert_is_in_order(&seen);
    let focus = seen["focus"].as_array().expect("a list");
    let stops = |kind: &'static str| -> Vec<&Value> {
        focus.iter().filter(|stop| stop["kind"].as_str().is_some_and(|k| k.starts_with(kind))).collect()
    };
    assert_eq!(focus[0]["kind"], "skip");
    assert!(stops("tile").len() >= 12 && stops("column").len() > 3, "{focus:?}");
    let mut hidden = [stops("tile"), stops("column")].concat();
    hidden.retain(|stop| stop["tip"] != true);
    assert!(hidden.is_empty(), "details are not to be seen: {hidden:?}");
    assert!(
        stops("tile")
            .iter()
            .any(|stop| stop["name"].as_str().is_some_and(|name| name.contains("externaldata-v1-*")))
    );
    assert_eq!(stops("scroll").len(), 5, "every table is reached");
    for (scheme, contrast) in seen["contrast"].as_object().expect("schemes") {
        assert!(contrast.as_f64().expect("a number") >= 4.5, "{scheme}: {contrast}");
    }
    let sizes = |which: &str| -> Vec<u64> {
        seen["sorted"][which].as_array().expect("sizes").iter().filter_map(Value::as_u64).collect()
    };
    let mut rising = sizes("before");
    rising.sort_unstable();
    assert_eq!((sizes("after"), &seen["sorted"]["state"]), (rising, &Value::from("ascending")));
}

#[test]
fn hostile_keys_and_refs_are_text_in_a_browser_too() {
    let Some((browser, peer)) = tools() else { return };
    let (api, project) = setup("");
    for (index, name) in [
        "<script>console.log(1)</script>",
        "\"><img src=http://127.0.0.1:9/x onerror=console.log(2)>",
        "\u{202e}gnp.exe",
    ]
    .into_iter()
    .enumerate()
    {
        api.world().save(&format!("refs/heads/{name}"), name, (9.0, 8.0), 100 + index as u64);
    }
    assert_is_in_order(&look(&page_of(&api, &project), &browser, &peer, None));
    // A page without entries.
    api.world().caches.clear();
    assert_is_in_order(&look(&page_of(&api, &project), &browser, &peer, None));
}

#[test]
fn a_page_that_cannot_be_written_is_an_error_with_its_cure() {
    let (api, project) = setup("");
    let mut command = project.command();
    command.args(["usage", "--repository", REPOSITORY, "--html", "nowhere/usage.html"]);
    let ran = Ran::of(command.env("GITHUB_API_URL", api.url()).env("GITHUB_TOKEN", TOKEN)).code(1);
    assert!(ran.stderr.contains("nowhere`") && ran.stderr.contains("hint: name a file"), "{}", ran.stderr);
}
