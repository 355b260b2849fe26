//! Findings of the linter: beside the sections of a plan, on a page of their own, and the waivers that people give.

pub mod act;
pub mod parts;
pub mod show;
