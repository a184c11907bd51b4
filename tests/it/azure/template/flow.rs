//! Restore, build, save and post-job, in every combination. The test writes the table of the guide.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cachekeep_test_support::azure_agent::{Cancel, Event, Status};

use super::{BUILD, Machine, Use, hit, main_branch, save_result};
use crate::action::definition::{root, text};

const DOCUMENT: &str = "docs/azure-pipelines.md";
const START: &str = "<!-- written by tests/it/azure/template/flow.rs: start -->\n";
const END: &str = "<!-- end -->";

const TRANSPORTS: [&str; 3] = ["native", "wrapped, tar", "wrapped, files"];
const FOUND: [(&str, &str); 3] = [("hit", "1"), ("partial", "2"), ("miss", "3")];
const STATUSES: [&str; 4] = ["Succeeded", "SucceededWithIssues", "Failed", "Canceled"];

fn events() -> [(&'static str, Event); 3] {
    [("branch", main_branch()), ("pull request", Event::pull_request(7)), ("fork", Event::fork(8))]
}

/// What one job comes to: the hit, the result of the save, the job's status, and whether there is an entry more.
type Outcome = (String, String, Status, bool);

/// A cell: transport, what is found, the job's status, the event.
type Cell = (&'static str, &'static str, &'static str, &'static str);

/// Two saved generations for each transport, which every cell starts from.
fn prepared(transport: &str) -> (Machine, Use) {
    let machine = Machine::new();
    let used = match transport {
        "native" => Use::new().both(&format!("store: 'file://{}'", machine.path("store").display())),
        "wrapped, tar" => Use::new(),
        _ => Use::new().both("format: files"),
    };
    machine.job(&used.pipeline(), "1").run().expect(Status::Succeeded);
    (machine, used)
}

fn entries(machine: &Machine) -> usize {
    let store = machine.path("store");
    let files = |directory: &std::path::Path| {
        walkdir::WalkDir::new(directory)
            .into_iter()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().ends_with(".tar.zst"))
            .count()
    };
    machine.keys().len() + if store.exists() { files(&store) } else { 0 }
}

fn cell(transport: &str, found: &str, status: &str, event: Event) -> Outcome {
    let (machine, used) = prepared(transport);
    let (lock, config) = match found {
        "hit" => ("1", super::CONFIG.to_owned()),
        "partial" => ("2", super::CONFIG.to_owned()),
        _ => ("3", super::CONFIG.replace("cc-", "other-")),
    };
    let end = match status {
        "Succeeded" => "true",
        "SucceededWithIssues" => "echo '##vso[task.complete result=SucceededWithIssues]'",
        _ => "exit 1",
    };
    let pipeline = used.build(&format!("{BUILD}; {end}")).pipeline();
    let mut job = machine.job(&pipeline, lock).file("cachekeep.toml", &config).event(event);
    if status == "Canceled" {
        job = job.cancel(Cancel::before("build"));
    }
    let before = entries(&machine);
    let job = job.run();
    (hit(&job).to_owned(), save_result(&job).to_owned(), job.status, entries(&machine) > before)
}

#[test]
fn every_combination_is_as_the_guide_says() {
    let mut cells = Vec::new();
    for transport in TRANSPORTS {
        for (found, _) in FOUND {
            for status in STATUSES {
                for (name, event) in events() {
                    cells.push((transport, found, status, name, event));
                }
            }
        }
    }
    let outcomes = in_parallel(cells, |(transport, found, status, name, event)| {
        let outcome = cell(transport, found, status, event.clone());
        let (hit, .., end, _) = &outcome;
        let expect = match *found {
            "hit" => "exact",
            "partial" => "partial",
            _ => "none",
        };
        assert_eq!(hit, expect, "{transport} {found} {status} {name}");
        assert_eq!(format!("{end:?}"), *status, "{transport} {found} {status} {name}");
        ((*transport, *found, *status, *name), outcome)
    });
    let table = table(&outcomes);
    let document = text(DOCUMENT);
    let (start, end) = (document.find(START).expect("a start"), document.find(END).expect("an end"));
    let written = format!("{}{table}{}", &document[..start + START.len()], &document[end..]);
    if std::env::var_os("CACHEKEEP_BLESS").is_some() {
        std::fs::write(root().join(DOCUMENT), written).expect("written");
    } else {
        assert!(
            document == written,
            "{DOCUMENT} has another table than\n{table}\nCACHEKEEP_BLESS=1 writes it"
        );
    }
}

/// Does the work on two threads: most of it is waiting for processes.
fn in_parallel<T: Sync, R: Send>(work: Vec<T>, each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let take = || next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let mut done = Vec::new();
                    let mut index = take();
                    while let Some(item) = work.get(index) {
                        done.push((index, each(item)));
                        index = take();
                    }
                    done
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("done")).collect()
    });
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Rows with the same outcome are one row: events first, then transports.
fn table(outcomes: &[(Cell, Outcome)]) -> String {
    type Row = (&'static str, &'static str, String, bool);
    let mut rows: BTreeMap<Row, BTreeMap<&'static str, Vec<&'static str>>> = BTreeMap::new();
    let mut order: Vec<Row> = Vec::new();
    for ((transport, found, status, event), (_, result, _, is_saved)) in outcomes {
        let row = (*found, *status, result.clone(), *is_saved);
        if !order.contains(&row) {
            order.push(row.clone());
        }
        rows.entry(row).or_default().entry(transport).or_default().push(event);
    }
    order.sort_by_key(|(found, status, ..)| {
        let found = FOUND.iter().position(|(name, _)| name == found);
        (found, STATUSES.iter().position(|name| name == status))
    });
    let mut text = String::from(
        "| restored | job | `save-result` | a new entry | transport, event |\n|---|---|---|---|---|\n",
    );
    for row in order {
        let (found, status, result, is_saved) = &row;
        let cells: Vec<String> = TRANSPORTS
            .iter()
            .filter_map(|transport| Some((transport, rows[&row].get(transport)?)))
            .map(|(transport, events)| {
                if events.len() == 3 {
                    (*transport).to_owned()
                } else {
                    format!("{transport} ({})", events.join(", "))
                }
            })
            .collect();
        let cells = if cells == TRANSPORTS { "all".to_owned() } else { cells.join("; ") };
        let is_saved = if *is_saved { "yes" } else { "no" };
        let _ = writeln!(text, "| {found} | {status} | `{result}` | {is_saved} | {cells} |");
    }
    text
}
