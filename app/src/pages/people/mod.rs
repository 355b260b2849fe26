//! People: finding one, and everything that is kept for them across services.

pub mod list;
pub mod names;
pub mod person;
mod timeline;
