//! Continuity plans: all of them, and one with its versions, drafts and signatures.

pub mod act;
pub mod differences;
pub mod edit;
mod form;
pub mod import;
pub mod list;
mod sections;
pub mod show;
mod sign_off;
pub mod signers;
mod signs;
pub mod versions;
