//! Reading inside snapshots (R31): folders, versions, comparisons, downloads.
//!
//! Lives here: everything that looks into trees without writing a target. May not: permissions, the index of names.
//! Invariant: memory is bounded, whatever a snapshot holds; nothing here writes to a repository.

pub mod archive;
pub mod browser;
pub mod diff;
pub mod trees;

pub use archive::{Format, archive};
pub use browser::{Browser, Entry, File, Listing, Place};
pub use diff::{Difference, diff};
pub use trees::Trees;
