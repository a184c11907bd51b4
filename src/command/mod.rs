//! One verb, one file: what each command does, whatever platform and store it runs on.

pub mod interrupt;
