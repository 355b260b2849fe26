//! Documents as Markdown, HTML and PDF (R42), and people's Markdown as HTML that is safe in a page.
//!
//! Lives here: how a `domain::document::Document` is shown. May not: what a document says; each subject builds its own.
//! Invariant: the same document gives the same bytes, and nothing that a person wrote becomes a tag, a script or a foreign address.

pub mod html;
pub mod markdown;
pub mod pdf;
pub mod text;

pub use html::{fragment, html};
pub use markdown::markdown;
pub use pdf::pdf;

#[cfg(test)]
mod pdf_tests;
#[cfg(test)]
mod tests;
