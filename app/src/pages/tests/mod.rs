//! Restore tests: the grid of services by weeks, and the report of one test.

pub mod exercises;
mod grid;
pub mod list;
mod measured;
pub mod report;
mod trend;
