//! What a person or a program may do with Holdfast: one module a subject, one function a use case.
//!
//! Lives here: permission, validation, and the transaction that holds a change, its audit event and its queue row.
//! May not: HTTP, Leptos, anything slow, anything that writes to a source (that is a run).
//! Invariant: every public function takes a [`Ctx`] and asks [`permission::require`] first.

pub mod accounts;
pub mod alerts;
pub mod audit;
pub mod availability;
pub mod backups;
pub mod browse;
pub mod checks;
pub mod clones;
pub mod clouds;
pub mod config;
pub mod cron;
pub mod ctx;
pub mod document;
pub mod error;
pub mod evidence;
pub mod exercises;
pub mod feeds;
pub mod holds;
pub mod inplace;
pub mod installation;
pub mod instances;
pub mod issued;
pub mod ledger;
pub mod links;
pub mod lint;
pub mod metrics;
pub mod notifications;
pub mod offsite;
pub mod once;
pub mod overview;
pub mod people;
pub mod permission;
pub mod plans;
pub mod policies;
pub mod previews;
pub mod prunes;
pub mod repositories;
pub mod restore_tests;
pub mod restores;
pub mod retention;
pub mod reviews;
pub mod risks;
pub mod runs;
pub mod schedules;
pub mod seal;
pub mod sealing;
pub mod search;
pub mod secrets;
pub mod services;
pub mod sign_in;
pub mod snapshots;
pub mod tamper_tests;
pub mod test_definitions;
pub mod tokens;
pub mod transfers;
pub mod version;
pub mod ways;
pub mod workers;

pub use ctx::{Actor, Ctx, Guest, Role};
pub use error::{OpsError, Result};
#[cfg(test)]
mod browse_tests;
#[cfg(test)]
mod holds_tests;
#[cfg(test)]
mod links_tests;
#[cfg(test)]
mod overview_tests;
#[cfg(test)]
mod previews_tests;
#[cfg(test)]
mod repositories_tests;
#[cfg(test)]
mod reviews_tests;
#[cfg(test)]
mod runs_tests;
