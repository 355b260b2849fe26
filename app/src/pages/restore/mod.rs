//! The restore wizard: five steps on one page, whose state is its address.

mod act;
mod choose;
mod preview;
mod state;
mod wizard;

pub use wizard::Restore;
