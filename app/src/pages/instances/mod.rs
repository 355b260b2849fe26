//! Instances of a cloud: those of a service, one of them with its snapshots, the form that takes one now.

pub mod act;
pub mod adopt;
mod clone_acts;
pub mod clones;
pub mod facts;
pub mod fields;
pub mod list;
pub mod parts;
pub mod show;
pub mod take;
pub mod unit;
