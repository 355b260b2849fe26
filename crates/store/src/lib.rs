//! The database: one file an aggregate, one SQL text for SQLite and PostgreSQL.
//!
//! Lives here: connections, migrations, statements, the clock and the making of ids, the audit chain.
//! May not: permissions, transitions, BEGIN (callers own transactions through [`tx!`]).
//! Invariant: the only crate that knows sqlx. Absence is `Option`; broken constraints become typed conflicts.

/// Names the SQL texts of a module and lists them for the test that prepares each on both databases.
/// A name that ends in `_PG` or `_SQLITE` is for that database alone.
macro_rules! statements {
    ($($(#[$meta:meta])* $name:ident = $sql:expr;)+) => {
        $($(#[$meta])* pub(crate) const $name: &str = $sql;)+
        #[cfg(test)]
        pub(crate) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),+];
    };
}

pub mod accounts;
pub mod alerts;
pub mod asserted;
pub mod audit;
pub mod availability;
pub mod changes;
pub mod channels;
pub mod clock;
pub mod clones;
pub mod db;
pub mod deliveries;
pub mod error;
pub mod evidence;
pub mod exercises;
pub mod feeds;
pub mod file_versions;
pub mod guard;
pub mod holds;
pub mod idempotency;
pub mod ids;
pub mod installation;
pub mod issued;
pub mod items;
pub mod links;
pub mod metrics;
pub mod native;
pub mod origins;
pub mod orphans;
pub mod people;
pub mod person_names;
pub mod plans;
pub mod policies;
pub mod portable;
pub mod providers;
pub mod queue;
pub mod readings;
pub mod repositories;
pub mod restore_tests;
pub mod reviews;
pub mod risks;
pub mod run_events;
pub mod run_items;
pub mod runs;
pub mod schedules;
pub mod services;
pub mod sessions;
pub mod settings;
pub mod snapshots;
pub mod sources;
pub mod steps;
pub mod test_definitions;
pub mod ticks;
pub mod tokens;
pub mod waivers;
pub mod wake;
pub mod watch;
pub mod workers;

pub use clock::Clock;
pub use db::{Db, Tx};
pub use error::{Result, StoreError};
#[cfg(test)]
mod availability_tests;
#[cfg(test)]
mod clones_tests;
#[cfg(test)]
mod evidence_tests;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod holds_tests;
#[cfg(test)]
mod migrations_tests;
#[cfg(test)]
mod orphans_tests;
#[cfg(test)]
mod plans_tests;
#[cfg(test)]
mod queue_tests;
#[cfg(test)]
mod record_tests;
#[cfg(test)]
mod reviews_tests;
#[cfg(test)]
mod risks_tests;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod waivers_tests;
