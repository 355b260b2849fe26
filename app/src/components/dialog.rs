//! Dialogs that a link to their id opens: by `:target` without scripts, as a modal with them (`islands::dialogs`).
//!
//! Lives here: the frame of a dialog. May not: what is asked in it.

use leptos::prelude::*;

/// A dialog with a title, its body, and the buttons at its foot; the first of them leads out and changes nothing.
pub fn dialog(id: &str, title: &str, out: &str, body: AnyView, buttons: AnyView) -> AnyView {
    let title_id = format!("{id}-title");
    let labelled = title_id.clone();
    view! {
        <dialog class="dialog" id=id.to_owned() aria-labelledby=labelled>
            <h2 class="dialog__head" id=title_id>{title.to_owned()}</h2>
            <div class="dialog__body">{body}</div>
            <div class="dialog__foot"><a class="btn" href="#main">{out.to_owned()}</a>{buttons}</div>
        </dialog>
    }
    .into_any()
}
