//! Holds: what stands against forgetting, what the guard found, and the decisions on it.

pub mod act;
mod card;
pub mod list;
pub mod show;
pub mod sign;
