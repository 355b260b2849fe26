//! Reads sources, writes and reads repositories, restores.
//!
//! Lives here: drivers (`sources`), the restic-format repository over `object_store` (`repository`), restores
//! (`restore`), reading inside snapshots (`browse`), the messages between a run and its child process (`job`).
//! May not: run states, the database, words for pages, retention decisions.
//! Invariant: everything here but `sources::openstack` is synchronous and blocking; callers keep it off the asynchronous threads.

pub mod browse;
pub mod clock;
pub mod context;
pub mod error;
pub mod job;
pub mod place;
pub mod process;
pub mod repository;
pub mod restore;
mod run;
mod secret;
pub mod sources;
pub mod space;
#[cfg(feature = "testing")]
pub mod testing;

pub use context::Ctx;
pub use error::{EngineError, ErrorKind, Result};
pub use run::run;
