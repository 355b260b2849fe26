//! Services: the list and one service with its tabs.

pub mod list;
