//! The rules of Holdfast as pure types and functions.
//!
//! Lives here: states and their legal transitions, names, durations, verdicts, escaping.
//! May not: I/O, clocks, SQL, async, randomness, serde shapes of foreign APIs.
//! Invariant: everything compiles for the browser as well as for the server.

pub mod access;
pub mod alert;
pub mod availability;
pub mod channel;
pub mod definition;
pub mod document;
pub mod evidence;
pub mod exercise;
pub mod field;
pub mod guard;
pub mod id;
pub mod installation;
pub mod instance;
pub mod lint;
pub mod naming;
pub mod plan;
pub mod reading;
pub mod restore;
pub mod retention;
pub mod review;
pub mod risk;
pub mod run;
pub mod schedule;
pub mod standing;
pub mod statement;
pub mod tamper;
pub mod units;
pub mod work;
