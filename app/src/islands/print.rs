//! The button that opens the browser's print dialog. Without scripts there is none: the browser has its own.

use leptos::prelude::*;

#[island]
pub fn Print() -> impl IntoView {
    let (hidden, show) = signal(true);
    Effect::new(move |_| show.set(false));
    let print = move |_| {
        #[cfg(feature = "hydrate")]
        if let Some(window) = web_sys::window() {
            window.print().ok();
        }
    };
    view! { <button type="button" class="btn no-print" hidden=hidden on:click=print>"Print or save"</button> }
}
