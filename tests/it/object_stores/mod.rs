//! Stores in object services: the suite of all stores, faults and the binary, against Azurite, versitygw, a fake of
//! Google Cloud Storage, and a service that ignores conditions.

mod command;
mod conforming;
mod documented;
mod faults;
mod identities;
mod layers;
mod processes;
pub mod service;
mod unfinished;
