//! Where entries live.
