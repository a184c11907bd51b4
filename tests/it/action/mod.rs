//! The GitHub action: its definition against the sources, its installer, hostile inputs, and whole workflows
//! run by act (github.com/nektos/act).

pub mod act;
mod cleaning;
pub mod definition;
mod drop_in;
mod hostile;
mod hostile_inputs;
#[cfg(unix)]
mod installer;
mod linters;
mod modes;
mod reusable;
mod shell;
pub mod steps;
mod workflows;
mod wrapped;
mod wrapped_files;
