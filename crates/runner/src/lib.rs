//! Carries runs out: claims them, does their steps, records what happened, takes over from workers that died.
//!
//! Lives here: the worker's loop, leases, the executor of steps, recovery, and one file a kind of run in `kinds`.
//! May not: permission (`ops` decides), the heavy work itself (`engine`, in a child process), words for pages.
//! Invariant: whatever a worker writes, it writes under its lease; a step is recorded before and after; a run that
//! was left resumes at its first unfinished step or is unwound and ends as interrupted, and nothing stays running.

mod child;
pub mod deps;
mod exec;
mod files;
mod keys;
mod kinds;
mod lease;
mod owner;
pub mod process;
mod step;
mod worker;

pub use deps::{Deps, Fault, Faults, Limits, Moment, Told, Work};
pub use process::Children;
pub use worker::{Finished, Worker, execute_until_done};
