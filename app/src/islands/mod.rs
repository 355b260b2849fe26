//! What lives in the browser: each island one file, useful before it wakes up and without it.
//!
//! May not: SQL, rules, arithmetic on promises, strings parsed back into states, date or chart libraries.

pub mod autosave;
pub mod copy;
pub mod dialogs;
#[cfg(feature = "hydrate")]
mod dom;
pub mod form_preview;
pub mod keys;
pub mod live;
pub mod palette;
pub mod print;
pub mod tree;
