//! Everything that is printed: events for people, outcomes for machines.
