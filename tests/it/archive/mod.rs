//! Archives through the public face: the same tree comes back, and what is damaged or hostile is refused.

mod cases;
mod hostile;
mod listing;
mod packing;
mod round_trip;
mod sealed;
mod thin;
