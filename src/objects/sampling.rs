//! Taking stock by less than hashing everything: a sample of what a sentinel says.

use std::io;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::layout::ObjectLayout;
use super::verified::VerifiedFiles;
use crate::domain::digest::Sha256Digest;
use crate::domain::event::Meter;
use crate::domain::inventory::{Inventory, Presence};
use crate::fs::cancel;
use crate::fs::cancel::Cancelled;
use crate::fs::read_error::ReadError;

/// The least objects that a sample has, where there are so many.
const LEAST_SAMPLE: usize = 32;

/// A sample is one object in this many.
const SAMPLE_SHARE: usize = 20;

impl VerifiedFiles {
    /// Whether every object of the sample is what its name says.
    pub(super) fn sample_holds(
        &self,
        inventory: &Inventory,
        seed: &str,
        root: &Path,
        layout: &ObjectLayout,
        cancel: &CancellationToken,
        meter: &Meter,
    ) -> Result<bool, ReadError> {
        let mut drawn: Vec<_> = inventory
            .verified()
            .map(|(object, size)| (Sha256Digest::of(format!("{seed} {object}").as_bytes()), object, size))
            .collect();
        drawn.sort_unstable();
        drawn.truncate(LEAST_SAMPLE.max(drawn.len() / SAMPLE_SHARE));
        meter.set_total(drawn.iter().map(|(_, _, size)| size).sum());
        for (_, object, _) in drawn {
            cancel::check(cancel)?;
            let path = root.join(layout.path_of(object));
            match self.verify(root, &path, object, cancel, Some(meter)) {
                Ok(Presence::Verified { .. } | Presence::Allowed { .. }) => meter.add_items(1),
                Err(error) if Cancelled::is(&error) => return Err(Cancelled.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Ok(_) | Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::domain::event::Phase;
    use crate::domain::sentinel::{SENTINEL_FILE, Sentinel};
    use crate::domain::spec::Thoroughness;
    use crate::domain::template::Template;
    use crate::objects::inventory::VerifyMode;

    struct SampledStore {
        root: tempfile::TempDir,
        layout: ObjectLayout,
    }

    fn store(objects: usize) -> SampledStore {
        let root = tempfile::tempdir().expect("a directory");
        fs::create_dir(root.path().join("SHA256")).expect("made");
        for index in 0..objects {
            let content = format!("object {index:06}");
            let name = Sha256Digest::of(content.as_bytes()).to_string();
            fs::write(root.path().join("SHA256").join(name), content).expect("written");
        }
        let layout = ObjectLayout::new(&Template::parse("{ALGO}/{hash}").expect("a template")).expect("one");
        let store = SampledStore { root, layout };
        let sentinel = Sentinel::of(None, &store.take(Thoroughness::Full, "").0);
        fs::write(store.root.path().join(SENTINEL_FILE), sentinel.to_string()).expect("written");
        store
    }

    impl SampledStore {
        /// What was found, and how many objects were hashed for it.
        fn take(&self, thoroughness: Thoroughness, seed: &str) -> (Inventory, u64) {
            let meter = Meter::new("x", Phase::Verify);
            let mode = VerifyMode { thoroughness, seed };
            let cancel = CancellationToken::new();
            let verified = VerifiedFiles::default();
            let found = verified.inventory_by(mode, self.root.path(), &self.layout, 2, &cancel, &meter);
            (found.expect("an inventory"), meter.items())
        }

        fn first(&self) -> std::path::PathBuf {
            let mut names: Vec<_> = fs::read_dir(self.root.path().join("SHA256"))
                .expect("listed")
                .flatten()
                .map(|entry| entry.path())
                .collect();
            names.sort();
            names.remove(0)
        }
    }

    #[test]
    fn trust_saves_hashing_and_finds_the_same() {
        let store = store(1000);
        let full = store.take(Thoroughness::Full, "");
        assert_eq!((full.0.count(), full.1), (1000, 1000));
        assert_eq!(store.take(Thoroughness::Sentinel, ""), (full.0.clone(), 0));
        assert_eq!(store.take(Thoroughness::Sample, "a"), (full.0, 50));
    }

    #[test]
    fn a_missing_a_longer_and_an_unknown_object_make_everything_be_hashed() {
        for thoroughness in [Thoroughness::Sample, Thoroughness::Sentinel] {
            let damage: [&dyn Fn(&Path); 3] = [
                &|path| fs::remove_file(path).expect("removed"),
                &|path| fs::write(path, "much longer than it was").expect("written"),
                &|path| fs::copy(path, path.with_file_name("0".repeat(64))).map(drop).expect("copied"),
            ];
            for (index, damage) in damage.into_iter().enumerate() {
                let store = store(40);
                damage(&store.first());
                let (found, hashed) = store.take(thoroughness, "");
                assert!(hashed >= 39, "{thoroughness:?} {index}");
                assert_eq!(found.count(), if index == 2 { 40 } else { 39 }, "{thoroughness:?} {index}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_is_found_by_a_sample_that_draws_its_object() {
        let store = store(20);
        let path = store.first();
        let mut bytes = fs::read(&path).expect("read");
        bytes[0] ^= 1;
        fs::write(&path, bytes).expect("written");
        // Twenty are fewer than the least sample: all are drawn.
        assert_eq!(store.take(Thoroughness::Sample, "x").0.corrupt().count(), 1);
        assert_eq!(store.take(Thoroughness::Sentinel, "x").0.corrupt().count(), 0);
        assert_eq!(store.take(Thoroughness::Full, "x").0.corrupt().count(), 1);
    }
}
