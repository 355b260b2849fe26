//! Reading inside snapshots (R31): folders, versions, comparisons, downloads.
//!
//! Lives here: everything that looks into trees without writing a target. May not: permissions, the index of names.
//! Invariant: memory is bounded, whatever a snapshot holds; nothing here writes to a repository.

pub mod diff;
pub mod trees;

pub use diff::{Difference, diff};
pub use trees::Trees;
