//! Restores (R26, R27): plan, stage, verify, put in place, or put everything back.
//!
//! What is restored is first written into a staging folder on the target's file system, whole and with its metadata;
//! then it is put in its place by renames that stand in a journal before the first of them happens. What it replaces
//! waits in the staging folder until the whole restore stands. So a target is either restored or as it was, whatever
//! ends the work and whenever (`commit`, `journal`).
//!
//! Lives here: restore, unwind, compare, and an image back into its cloud. May not: choosing snapshots, knowing runs, asking for consent.
//! Invariants: nothing outside the target and its staging folder is written (`target`); names in a snapshot are
//! anybody's (`names`); nothing is put in place whose content was not compared with its id.

mod batch;
mod commit;
mod compare;
mod image;
mod item;
mod journal;
mod meta;
mod meter;
pub(crate) mod names;
mod place;
mod plan;
mod run;
mod sparse;
mod stage;
mod target;
mod unwind;

pub use compare::run_compare;
pub use image::run_return_image;
pub use meta::unix_mode;
pub use plan::link_target;
pub use run::{Ending, Hook, run_restore, run_restore_at};
#[cfg(feature = "testing")]
pub use target::{POOR_FILE_SYSTEM, SPLIT_FILE_SYSTEM};
pub use unwind::{run_unwind, run_unwind_at};
