//! What a user sees, and what other programs make of it: the binary and the library's public face, on projects in
//! temporary directories, beside fakes of services and real peers. `cargo test --test it clean::` runs one subject.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::pedantic,
    unreachable_pub,
    reason = "tests make trees, start programs and read their environment"
)]

mod changing_files;
mod checking;
mod checking_workflows;
#[cfg(unix)]
mod dedup;
mod disk;
mod documents;
mod exact_keys;
mod exports;
mod failures;
mod file_roots;
#[cfg(unix)]
mod foreign_files;
mod gating;
mod hostile_text;
mod init;
mod keys;
mod keys_in_doctor;
mod keys_of_steps;
#[cfg(target_os = "linux")]
mod limits;
mod little_things;
mod looking;
mod main_job;
mod mistakes;
mod odd_jobs;
mod other_paths;
mod output;
#[cfg(unix)]
mod panics;
mod planted_journals;
mod privileged;
mod publishing;
mod quota;
mod recovering;
mod repositories;
mod running;
mod saving;
mod shells;
mod status;
mod trimming;
mod verbose;

#[cfg(unix)]
mod cargo;
#[cfg(unix)]
mod ccache;
#[cfg(unix)]
mod completions;

mod action;
mod archive;
#[cfg(unix)]
mod azure;
mod clean;
mod explain;
mod generations;
mod github_store;
#[cfg(unix)]
mod hash_files_peer;
mod object_stores;
mod populate;
#[cfg(unix)]
mod reference;
mod unixfs_vectors;
