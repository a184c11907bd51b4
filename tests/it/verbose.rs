//! `--verbose`: what was decided, asked and tried again, and how long it took.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread;

use cachekeep_test_support::project::Project;

const CONFIG: &str = r#"
[cache.out]
path = "{workspace}/out"
key = "out-v1"
restore-keys = ["out-"]
"#;

/// A server that answers every request with 503. Its address.
fn unavailable() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut lines = BufReader::new(stream.try_clone().expect("a clone")).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let answer =
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            // A client that has gone needs no answer.
            let _ = stream.write_all(answer);
        }
    });
    address
}

#[test]
fn each_retry_is_shown_with_its_cause_and_its_wait() {
    let address = unavailable();
    let seed = format!("[cache.out.seed]\nversion = \"1\"\nfrom = [\"{address}/data.tar\"]\n");
    let project = Project::new(&format!("{CONFIG}{seed}sha512 = \"{}\"\n", "0".repeat(128)));
    let ran = project.run(&["--verbose", "seed"]).success();
    let lines = |part: &str| ran.stderr.lines().filter(|line| line.contains(part)).collect::<Vec<_>>();
    let requests = lines(&format!("request: GET {address}/data.tar"));
    let retries = lines(&format!(": {address}/data.tar: "));
    let retries: Vec<_> = retries.into_iter().filter(|line| line.contains("retry in ")).collect();
    assert_eq!(requests.len(), 5, "{}", ran.stderr);
    assert_eq!(retries.len(), 4, "{}", ran.stderr);
    assert!(retries.iter().all(|line| line.contains("503") && line.contains(" s: ")), "{retries:?}");
}

#[test]
fn decisions_and_times_are_shown() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "contents");
    let ran = project.run(&["--verbose", "save"]).success();
    for part in ["debug: scopes of local/", "out: no entry `out-v1`", "out: read back"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    let ran = project.run(&["--verbose", "restore"]).success();
    for part in ["out: looking for `out-v1`, then `out-*`", "out: found `out-v1`", "out: published in "] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    let ran = project.run(&["restore"]).success();
    assert!(!ran.stderr.contains("looking for"), "{}", ran.stderr);
}

#[test]
fn a_deadline_that_has_passed_is_blamed_and_not_the_network() {
    let project = Project::new(CONFIG);
    project.write("workspace/out/file", "contents");
    for command in ["save", "restore"] {
        let ran = project.run(&["--timeout", "0s", command]).success();
        assert!(ran.stderr.contains("given up after 0 s"), "{}", ran.stderr);
        assert!(ran.stderr.contains("`--timeout`"), "{}", ran.stderr);
        assert!(!ran.stderr.contains("network"), "{}", ran.stderr);
    }
}
