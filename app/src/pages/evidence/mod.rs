//! Evidence: what can be proven of a period, what is missing, and taking it away.

pub mod act;
mod beside;
pub mod list;
pub mod signature;
