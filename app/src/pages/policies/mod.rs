//! Policies: what is kept, what would be forgotten, and why.

pub mod list;
mod preview;
pub mod show;
