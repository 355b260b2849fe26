//! Reading inside snapshots (R31): folders, versions, comparisons, downloads.
//!
//! Lives here: everything that looks into trees without writing a target. May not: permissions, the index of names.
//! Invariant: memory is bounded, whatever a snapshot holds; nothing here writes to a repository.

mod archive;
mod browser;
mod content;
pub mod diff;
mod tar;
pub mod trees;
mod zip;

pub use archive::Archived;
pub use browser::{Browser, ChangeCounts, Changes, Entry, Page, Version};
pub use diff::{Difference, diff};
pub use trees::Trees;
