//! Snapshots: finding one, looking inside, comparing two.

pub mod compare;
mod files;
pub mod list;
mod native;
mod offsite;
pub mod parts;
pub mod show;
mod versions;
