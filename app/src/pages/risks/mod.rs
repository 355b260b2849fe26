//! Risks of a service: the table with its matrix, one risk, all in one form; the scales that they are rated by.

pub mod act;
pub mod bulk;
pub mod fields;
pub mod list;
mod matrix;
mod parts;
pub mod scales;
pub mod show;
