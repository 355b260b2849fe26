//! One folder or file an area: views and thin server functions.
//!
//! Lives here: what a page shows and which use case it calls. May not: SQL, rules.

pub mod access;
pub mod account;
pub mod audit;
pub mod availability;
pub mod configuration;
pub mod evidence;
pub mod findings;
pub mod holds;
pub mod home;
pub mod instances;
pub mod links;
pub mod login;
pub mod notifications;
pub mod people;
pub mod plans;
pub mod policies;
pub mod repositories;
pub mod restore;
pub mod reviews;
pub mod risks;
pub mod runs;
pub mod schedules;
pub mod search;
pub mod services;
pub mod snapshots;
pub mod tests;
