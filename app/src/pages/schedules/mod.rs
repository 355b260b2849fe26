//! Schedules: all of them, one of them with its ledger, the form that makes and changes one.

mod act;
mod fields;
pub mod form;
mod keeping;
pub mod list;
mod preview;
pub mod show;
pub mod ticks;
