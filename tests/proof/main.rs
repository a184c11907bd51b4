//! Proofs of the promises in `docs/proofs.md`, on the level of the binary: what it leaves on disk, in the store and
//! in memory, whatever happens to it. A quick size by default, the full one with `CACHEKEEP_PROOF=full`.

#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "these tests make trees, and look at what the binary left")]

#[path = "../support/github_service/mod.rs"]
#[allow(unreachable_pub, dead_code, reason = "several test binaries share it, each its own part")]
mod github_service;
#[path = "../support/mod.rs"]
mod support;

mod forest;
mod job;
mod process;
mod scale;
mod volume;

mod footprint;
mod full_disk;
mod hostile;
mod interrupts;
mod kills;
mod leases;
mod peers;
mod races;
mod round_trip;
