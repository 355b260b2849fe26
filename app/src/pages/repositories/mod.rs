//! Repositories: where backups live, how they grow, when they were read, and how they are opened without Holdfast.

pub mod act;
mod chart;
mod cloud;
mod inside;
mod itself;
pub mod kit;
pub mod list;
pub mod orphan_acts;
mod orphans;
pub mod parts;
pub mod show;
