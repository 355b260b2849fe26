//! The button that copies the text of an element. Where the browser does not allow it, and without scripts, there is none:
//! the text can be selected, or downloaded.

use leptos::prelude::*;

#[island]
pub fn CopyText(
    /// The id of the element.
    of: String,
) -> impl IntoView {
    let (hidden, hide) = signal(true);
    let (words, say) = signal("Copy");
    Effect::new(move |_| {
        #[cfg(feature = "hydrate")]
        hide.set(!web_sys::window().is_some_and(|w| w.is_secure_context()));
        #[cfg(not(feature = "hydrate"))]
        let _ = hide;
    });
    let copy = move |_| {
        #[cfg(feature = "hydrate")]
        if let (Some(window), Some(from)) = (web_sys::window(), super::dom::document().and_then(|d| d.get_element_by_id(&of))) {
            let copied = window.navigator().clipboard().write_text(&from.text_content().unwrap_or_default());
            wasm_bindgen_futures::spawn_local(async move {
                let done = wasm_bindgen_futures::JsFuture::from(copied).await.is_ok();
                say.set(if done { "Copied" } else { "Not allowed" });
            });
        }
        #[cfg(not(feature = "hydrate"))]
        let _ = (&of, say);
    };
    view! { <button type="button" class="btn" hidden=hidden on:click=copy><span aria-live="polite">{words}</span></button> }
}
