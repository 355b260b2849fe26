//! Dialogs as the browser has them: the page behind becomes inert, Escape closes, the focus comes back.
//!
//! Lives here: turning a link to a dialog's id into `showModal()`, and a link out of it into `close()`.
//! May not: anything of one dialog. Without it a dialog opens by `:target` and closes by a link.

use leptos::prelude::*;

/// Listens once for the whole page.
#[island]
pub fn Dialogs() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    browser::listen();
    view! { <span hidden></span> }
}

#[cfg(feature = "hydrate")]
mod browser {
    use wasm_bindgen::JsCast;
    use web_sys::{Element, HtmlDialogElement};

    use crate::islands::dom::{document, on, target};

    pub fn listen() {
        let Some(document) = document() else { return };
        on(&document, "click", |e| {
            let link = target(&e).and_then(|t| t.closest("a[href^='#']").ok().flatten());
            if link.is_some_and(|l| clicked(&l)) {
                e.prevent_default();
            }
        });
    }

    /// Whether the link opened or closed a dialog.
    fn clicked(link: &Element) -> bool {
        let id = link.get_attribute("href").unwrap_or_default();
        let dialog = link.owner_document().and_then(|d| d.get_element_by_id(id.trim_start_matches('#'))).and_then(|e| e.dyn_into::<HtmlDialogElement>().ok());
        if let Some(dialog) = dialog {
            return dialog.show_modal().is_ok();
        }
        let around = link.closest("dialog").ok().flatten().and_then(|e| e.dyn_into::<HtmlDialogElement>().ok());
        match around {
            Some(dialog) if dialog.open() => {
                dialog.close();
                true
            }
            _ => false,
        }
    }
}
