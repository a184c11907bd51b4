//! Archives: tar in independent zstd frames, streamed both ways.

pub mod release;
