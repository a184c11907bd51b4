//! Notes about a cache against a multitude of damaged ones: each is read or ignored, and nothing panics.
//! `CACHEKEEP_TEST_CASES=100000` runs so many.

#![expect(clippy::disallowed_methods, reason = "the test damages files")]

use std::fs;

use super::carried::CarriedKeys;
use super::receipt::Receipt;
use super::remembered::KnownEntry;
use super::staged::StagedNote;
use crate::domain::inventory::Inventory;
use crate::domain::sentinel::{SENTINEL_FILE, Sentinel};
use crate::fs::open::Links;
use crate::fs::read;
use crate::fs::testing::{Random, case_count, case_place, mutate};
use crate::objects::sentinel;

const RECEIPT: &str = r#"{"key":"k-1","scope":"refs/heads/main","version":"0f","content":"ab","files":3,"bytes":4,
    "quick":null,"corrupt":false}"#;

const REMEMBERED: &str = r#"[{"store":"/srv/ci","key":"k-1","version":"0f","scope":"refs/heads/main",
    "at":"2026-03-01T12:00:00Z","saved":true,"parts":[]}]"#;

const CARRIED: &str = r#"{"job":"7","sha":"0f","templates":["k-{os}"],"variables":{"a":"b"},"keys":{"cache":"c","key":"k-1",
    "restore-keys":["k-"],"version":"0f","parts":[]}}"#;

const STAGED: &str = r#"{"key":"k-1","run":"20261127.1"}"#;

#[test]
fn damaged_notes_are_read_or_ignored() {
    let place = tempfile::tempdir_in(case_place()).expect("a place");
    let note = place.path().join("note");
    let sentinel_text = Sentinel::of(Some("7".to_owned()), &Inventory::default()).to_string();
    let mut random = Random::new(23);
    // Read and ignored, of each kind.
    let mut outcomes = [[0_u32; 2]; 5];
    for _ in 0..case_count(2_000) {
        let kind = random.below(5);
        let mut bytes = [RECEIPT, REMEMBERED, &sentinel_text, CARRIED, STAGED][kind].as_bytes().to_vec();
        mutate(&mut bytes, &mut random);
        let path = if kind == 2 { place.path().join(SENTINEL_FILE) } else { note.clone() };
        fs::write(&path, &bytes).expect("written");
        let text = read::text(&path, Links::Refused, 64 << 10).ok();
        let is_read = match kind {
            0 => text.is_some_and(|text| serde_json::from_str::<Receipt>(&text).is_ok()),
            1 => {
                let all = text.and_then(|text| serde_json::from_str::<Vec<KnownEntry>>(&text).ok());
                // Keys, versions and times are parsed when they are asked for.
                all.iter().flatten().for_each(|known| drop(known.entry()));
                all.is_some()
            }
            2 => sentinel::read(place.path()).is_some(),
            3 => text.is_some_and(|text| serde_json::from_str::<CarriedKeys>(&text).is_ok()),
            _ => text.is_some_and(|text| serde_json::from_str::<StagedNote>(&text).is_ok()),
        };
        outcomes[kind][usize::from(!is_read)] += 1;
    }
    assert!(outcomes.iter().flatten().all(|count| *count > 0), "{outcomes:?}");
}
