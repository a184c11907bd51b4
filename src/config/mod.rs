//! `cachekeep.toml`: read, converted to the domain, and checked.
