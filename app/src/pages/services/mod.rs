//! Services: the list and one service with its tabs.

pub mod act;
pub mod definitions;
mod expected;
pub mod head;
pub mod list;
pub mod service;
pub mod snapshots;
pub mod tests;
