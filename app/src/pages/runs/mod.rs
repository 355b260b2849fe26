//! Runs: the list, and one run from its queue to its result.

mod act;
pub mod list;
mod parts;
pub mod show;
pub mod workers;
