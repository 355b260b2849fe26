//! Bringing back: the wizard of files, those of instances, and the way to the right one. The state of each is its address.

mod act;
mod choose;
pub mod instance;
mod preview;
mod state;
pub mod way;
mod wizard;

pub use wizard::Restore;
