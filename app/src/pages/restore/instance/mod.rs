//! The wizards of instances: a clone beside it, and back in its place. Their state is the address.

mod act;
mod checks;
mod choose;
mod clone;
mod differs;
mod frame;
mod in_place;
mod state;

pub use clone::CloneInstance;
pub use in_place::RestoreInstance;
