//! Availability and reliability of one service: its months, one month closely, and where ARGO's figures come from.

pub mod act;
mod argo;
mod month;
pub mod page;
