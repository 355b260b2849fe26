//! Services: the list and one service with its tabs.

pub mod act;
pub mod list;
