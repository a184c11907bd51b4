//! Proofs of the promises in `docs/proofs.md`, on the level of the binary: what it leaves on disk, in the store and
//! in memory, whatever happens to it. A quick size by default, the full one with `CACHEKEEP_PROOF=full`.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "these tests make trees, and look at what the binary left")]

mod forest;
mod job;
#[cfg(target_os = "linux")]
#[expect(dead_code, reason = "the tests of archives use the rest")]
#[path = "../it/archive/packing.rs"]
mod packing;
mod process;
mod scale;

#[cfg(target_os = "linux")]
mod archive_memory;
#[cfg(target_os = "linux")]
mod entry_memory;
mod footprint;
mod full_disk;
mod generations;
mod hostile;
mod interrupts;
mod kills;
mod leases;
mod lru_week;
mod peers;
mod races;
mod recovery;
mod round_trip;
#[cfg(target_os = "linux")]
mod storms;
