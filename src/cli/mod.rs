//! Words of the command line and what they mean.
//!
//! [`args`] is what was typed, [`settings`] what it means, [`exit`] what the process returns, and
//! [`signals`] what happens when someone wants it to stop.

pub mod args;
pub mod exit;
pub mod signals;
