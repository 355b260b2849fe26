//! The web pages of Holdfast.
//!
//! Lives here: the shell, the routes, components, pages (HTML from the server), islands (the few parts that live in
//! the browser) and server functions. May not: SQL, rules, arithmetic on RPO or RTO.
//! Invariant: with `hydrate` only `islands` is compiled; every page works without it.

#![recursion_limit = "256"]

pub mod islands;

#[cfg(feature = "ssr")]
pub mod components;
#[cfg(feature = "ssr")]
pub mod context;
#[cfg(feature = "ssr")]
pub mod error;
#[cfg(feature = "ssr")]
pub mod frame;
#[cfg(feature = "ssr")]
pub mod live;
#[cfg(feature = "ssr")]
pub mod once;
#[cfg(feature = "ssr")]
pub mod pages;
#[cfg(feature = "ssr")]
pub mod palette;
#[cfg(feature = "ssr")]
mod routes;

#[cfg(feature = "ssr")]
pub use routes::{App, shell};

/// Wakes the islands of the page, and says so to the style sheets.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    console_error_panic_hook::set_once();
    leptos::mount::hydrate_islands();
    if let Some(root) = web_sys::window().and_then(|w| w.document()?.document_element()) {
        root.set_attribute("data-awake", "").ok();
    }
}
