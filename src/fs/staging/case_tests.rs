//! Notes that steer recovery against a multitude of damaged ones: recovery never panics, and never changes anything but the
//! target that it was called for. `CACHEKEEP_TEST_CASES=100000` runs so many.

use super::*;
use crate::fs::lease::JOURNAL;
use crate::fs::recover::recover;
use crate::fs::testing::{Random, case_count, case_place, mutate, records_in};

fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

/// A place with a target, a publication that was begun, and neighbors.
struct CasePlace {
    directory: tempfile::TempDir,
    temp: PathBuf,
}

impl CasePlace {
    fn new() -> Self {
        let directory = tempfile::tempdir_in(case_place()).expect("a place");
        let at = |name: &str| directory.path().join(name);
        for (name, content) in [("target/old", "old"), ("neighbor/kept", "kept"), ("x/kept", "kept")] {
            fs::create_dir_all(at(name).parent().expect("a parent")).expect("made");
            fs::write(at(name), content).expect("written");
        }
        let temp = at(".cachekeep-1.tmp");
        fs::create_dir_all(temp.join("payload/tree")).expect("made");
        fs::write(temp.join("payload/tree/new"), "new").expect("written");
        fs::write(temp.join("lease"), "process 1\nboot 2\nstarted 3\npurpose staging\n").expect("written");
        let change = Step::Change(Change::new(&temp, "target".as_ref()).expect("staged"));
        journal::write(&records_in(directory.path()), &[&temp], &[change], now()).expect("written");
        CasePlace { directory, temp }
    }

    /// What must be as it was: everything but the target, the temporary directory and the records.
    fn neighbors(&self) -> Vec<(PathBuf, String)> {
        let mut found = Vec::new();
        for name in ["neighbor/kept", "x/kept"] {
            let path = self.directory.path().join(name);
            found.push((path.clone(), fs::read_to_string(&path).unwrap_or_default()));
        }
        let names = fs::read_dir(self.directory.path()).expect("listed");
        found.extend(names.map(|entry| (entry.expect("an entry").path(), String::new())));
        found.retain(|(path, _)| *path != self.temp);
        found.sort();
        found
    }

    fn target(&self) -> Option<String> {
        let read = |name: &str| fs::read_to_string(self.directory.path().join("target").join(name)).ok();
        read("new").or_else(|| read("old"))
    }

    fn recover(&self) {
        let target = self.directory.path().join("target");
        let places = [self.directory.path().to_owned()];
        recover(&places, &[target], &records_in(self.directory.path()), now());
    }
}

#[test]
fn damaged_journals_records_and_leases_change_nothing_but_the_target() {
    let mut random = Random::new(17);
    let mut forms = [0_u32; 4];
    for case in 0..case_count(400) {
        let place = CasePlace::new();
        let records = records_in(place.directory.path());
        let form = random.below(4);
        let path = match form {
            // A journal that its record vouches for, as if this user had written it.
            0 | 1 => place.temp.join(JOURNAL),
            2 => place.temp.join("lease"),
            _ => fs::read_dir(place.directory.path().join("state/journals"))
                .expect("listed")
                .next()
                .expect("a record")
                .expect("an entry")
                .path(),
        };
        let mut bytes = fs::read(&path).expect("a note");
        mutate(&mut bytes, &mut random);
        fs::write(&path, &bytes).expect("damaged");
        if form == 0 {
            records.keep(&place.temp, &bytes, now()).expect("kept");
        }
        let before = place.neighbors();
        place.recover();
        place.recover();
        assert_eq!(place.neighbors(), before, "{case}");
        let target = place.target();
        assert!(matches!(target.as_deref(), Some("old" | "new")), "{case}: {target:?}");
        forms[form] += 1;
    }
    assert!(forms.iter().all(|count| *count > 0), "{forms:?}");
}
