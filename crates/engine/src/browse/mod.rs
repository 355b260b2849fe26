//! Reading inside snapshots (R31): folders, versions, comparisons, downloads.
//!
//! Lives here: everything that looks into trees without writing a target. May not: permissions, the index of names.
//! Invariant: memory is bounded, whatever a snapshot holds; nothing here writes to a repository.

mod archive;
mod browser;
mod content;
pub mod diff;
mod tar_format;
pub mod trees;
mod zip_format;

pub use archive::{Archived, Format, archive};
pub use browser::{Browser, Entry, File, Listing, Place};
pub(crate) use content::Contents;
pub use diff::{Difference, diff};
pub use trees::Trees;
