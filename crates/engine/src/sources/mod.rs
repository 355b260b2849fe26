//! Drivers: how the data of a service is listed and read.
//!
//! Lives here: one folder a kind, and the tally of what was read that all of them keep.
//! May not: run state, the database, words for people.
//! Invariant: whatever could not be read completely is in the tally, by name (R1). A new kind is one folder, one arm
//! of `SourceConfig`, and it passes `tests/sources.rs`.

pub mod directory;
pub mod openstack;
mod tally;

pub(crate) use directory::glob;
pub use tally::{ItemTally, MAX_PROBLEMS, Tally};
