//! Runs: the list, and one run from its queue to its result.

mod act;
mod brought;
mod inputs;
pub mod list;
mod native;
mod parts;
pub mod show;
pub mod workers;
