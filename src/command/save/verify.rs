//! What is read back of an entry that was just stored.

use std::time::Instant;

use super::failure::StoreFailure;
use crate::archive::{self, ArchiveError, Composite, Limits};
use crate::command::cache::Cache;
use crate::command::context::Deadline;
use crate::command::generations::Generation;
use crate::domain::entry::Entry;
use crate::domain::event::{Level, Phase};
use crate::domain::spec::VerifySave;
use crate::store::{StoreError, StoreErrorKind};
use crate::transport::pipe;

/// Bytes that are compared at each end of an entry. The last hold its digest and, up to some 20 GB, its whole seek table.
const END: usize = 64 << 10;

/// The ends and the length of what was sent.
#[derive(Debug, Default)]
pub(super) struct SentEnds {
    first: Vec<u8>,
    last: Vec<u8>,
    bytes: u64,
}

impl SentEnds {
    /// Adds what is sent next.
    pub(super) fn add(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        let missing = (END - self.first.len()).min(chunk.len());
        self.first.extend_from_slice(&chunk[..missing]);
        if chunk.len() >= END {
            self.last.clear();
        }
        self.last.extend_from_slice(&chunk[chunk.len().saturating_sub(END)..]);
        self.last.drain(..self.last.len().saturating_sub(END));
    }
}

/// Reads back as much of an entry as its cache asks for or, without a word, as its store makes necessary.
pub(super) fn verify(
    cache: &Cache<'_>,
    entry: &Entry,
    sent: &SentEnds,
    deadline: &Deadline,
) -> Result<(), StoreFailure> {
    let of_store = || if cache.ctx.store().checks_uploads() { VerifySave::Ends } else { VerifySave::Full };
    match cache.spec.verify_save.unwrap_or_else(of_store) {
        VerifySave::Ends => compare_ends(cache, entry, sent, deadline),
        VerifySave::Full if cache.is_thin(entry) => read_back_thin(cache, entry, false, deadline),
        VerifySave::Full => read_back(cache, entry, deadline),
        VerifySave::None => {
            cache.ctx.report(Level::Debug, cache.name(), "the entry is not verified, as `verify-save` says");
            Ok(())
        }
    }
}

/// Compares size, first and last bytes of an entry with what was sent.
fn compare_ends(
    cache: &Cache<'_>,
    entry: &Entry,
    sent: &SentEnds,
    deadline: &Deadline,
) -> Result<(), StoreFailure> {
    let ctx = cache.ctx;
    let (first, last) = (sent.first.len() as u64, sent.last.len() as u64);
    let ends = [0..first, sent.bytes - last..sent.bytes];
    let is_same = entry.size.0 == sent.bytes && {
        let parts = ctx.wait(deadline, ctx.store().read_parts(entry, &ends))?;
        matches!(&parts[..], [one, other] if *one == sent.first && *other == sent.last)
    };
    if !is_same {
        let message = format!("`{}` at {} is not what was sent", entry.key, ctx.store().location());
        return Err(StoreError::new(StoreErrorKind::Corrupt, message).into());
    }
    ctx.report(Level::Debug, cache.name(), "size, first and last bytes of the entry are as they were sent");
    Ok(())
}

/// Reads an entry to its end, and what it takes content from: what the store returns is what was packed.
pub(super) fn read_back(cache: &Cache<'_>, entry: &Entry, deadline: &Deadline) -> Result<(), StoreFailure> {
    if cache.is_thin(entry) {
        return read_back_thin(cache, entry, true, deadline);
    }
    let ctx = cache.ctx;
    let running = ctx.start(cache.name(), Phase::ReadBack);
    running.meter.set_total(entry.size.0);
    let stream = ctx.wait(deadline, ctx.store().read(entry))?;
    let input = pipe::reader(&ctx.runtime, stream, &deadline.cancel);
    let limits = Limits { bytes: u64::MAX, entries: u64::MAX };
    let started = Instant::now();
    archive::verify(input, ctx.workers, limits, &deadline.cancel, &running.meter)?;
    let text = format!("read back {} in {:.3} s", entry.size, started.elapsed().as_secs_f64());
    ctx.report(Level::Debug, cache.name(), text);
    Ok(())
}

/// The same of a thin entry, of which the contents are compared with its list.
fn read_back_thin(
    cache: &Cache<'_>,
    entry: &Entry,
    with_parents: bool,
    deadline: &Deadline,
) -> Result<(), StoreFailure> {
    let ctx = cache.ctx;
    let _running = ctx.start(cache.name(), Phase::ReadBack);
    let unlisted = || ArchiveError::Damaged("it has no list of its files".to_owned());
    let generation = Generation::open::<StoreFailure>(cache, entry, deadline)?.ok_or_else(unlisted)?;
    let composite = Composite::new(&generation.listing, &generation.frames)?;
    let open = |ranges| generation.reader(ctx, ranges, &deadline.cancel);
    Ok(composite.verify(with_parents, open, ctx.workers, &deadline.cancel)?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_ends_of_what_was_sent_are_kept(lengths in proptest::collection::vec(0usize..2 * END, 0..8)) {
            let (mut sent, mut whole) = (SentEnds::default(), Vec::new());
            for (number, length) in lengths.iter().enumerate() {
                let chunk: Vec<u8> = (0..*length).map(|at| u8::try_from((at + number) % 251).expect("small")).collect();
                sent.add(&chunk);
                whole.extend_from_slice(&chunk);
            }
            prop_assert_eq!(sent.bytes, whole.len() as u64);
            prop_assert_eq!(&sent.first[..], &whole[..whole.len().min(END)]);
            prop_assert_eq!(&sent.last[..], &whole[whole.len().saturating_sub(END)..]);
        }
    }
}
