//! The restic-format repository over `object_store`.
//!
//! Lives here: opening and making repositories, listing snapshots, locks, backup, check, forget, prune.
//! May not: retention decisions, words for pages, the database.
//! Invariant: stock `restic` can list, check and restore everything that is written here (R10).

mod backend;
mod backup;
mod check;
pub mod copies;
mod errors;
mod forget;
mod keys;
mod locks;
mod meter;
mod open;
pub mod packs;
mod prune;
mod s3_versions;
mod seal;
mod snapshots;
pub mod storage;
mod tamper;
pub mod tend;

pub use backend::Backend;
pub use backup::{Notes, ROOT_TAG, run_backup, run_keep_image};
pub use check::run_check;
pub use errors::from_rustic;
pub use forget::run_forget;
pub use keys::key_of;
pub use locks::{Held, LockKind, LockRecord, REFRESH, STALE, StaleReason};
pub use open::Repository;
pub use prune::run_prune;
pub use tamper::run_tamper_test;

/// The library's handle with the whole index in memory (48 bytes a blob).
pub type Indexed = rustic_core::Repository<rustic_core::IndexedFullStatus>;
