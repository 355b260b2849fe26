//! The parts pages are made of, after the style sheets in `style/`.
//!
//! Lives here: markup of one part each, from values alone. May not: loading anything, knowing what an action means.

pub mod address;
pub mod alert;
pub mod availability;
pub mod dialog;
pub mod evidence;
pub mod field;
pub mod gauge;
pub mod issued;
pub mod origin;
pub mod pager;
pub mod protection;
pub mod retained;
pub mod run;
pub mod service_field;
pub mod stale;
pub mod standing;
pub mod status;
pub mod strip;
pub mod table;
pub mod test;
pub mod time;

use leptos::prelude::*;

/// One symbol of `public/icons.svg`, hidden from assistive technology: a word always stands beside it.
pub fn icon(symbol: &str) -> impl IntoView + use<> {
    view! { <svg class="i" aria-hidden="true"><use href=format!("/icons.svg#{symbol}")></use></svg> }
}

/// The same, small.
pub fn icon_sm(symbol: &str, class: &str) -> impl IntoView + use<> {
    view! { <svg class=format!("i i--sm {class}") aria-hidden="true"><use href=format!("/icons.svg#{symbol}")></use></svg> }
}

const ANCHOR: &str = r#"<g fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="square"><path d="M12 2v9"/><path d="M12 11c0 5-3 6-7 7.500M12 11c0 5 3 6 7 7.500M12 11v9.5"/><path d="M7 6h10"/></g><path d="M2 22.200h20" stroke="currentColor" stroke-width="1.6"/>"#;

/// The name with its sign, leading home.
pub fn brand(class: &'static str) -> impl IntoView {
    view! { <a class=class href="/"><svg viewBox="0 0 24 24" aria-hidden="true" inner_html=ANCHOR></svg>"Holdfast"</a> }
}

/// A panel with a title, an optional note and its body.
pub fn panel(id: &str, title: &str, note: Option<String>, end: Option<AnyView>, body: AnyView) -> impl IntoView + use<> {
    let (id, title) = (format!("p-{id}"), title.to_owned());
    let labelled = id.clone();
    view! {
        <section class="panel" aria-labelledby=labelled>
            <div class="panel__head"><h2 class="panel__title" id=id>{title}</h2>
                {note.map(|n| view! { <p class="panel__note">{n}</p> })}
                {end.map(|e| view! { <div class="end">{e}</div> })}
            </div>
            {body}
        </section>
    }
}

/// A link, or the words alone for whoever would be refused there.
pub fn way(open: bool, href: String, words: String) -> AnyView {
    if open { view! { <a href=href>{words}</a> }.into_any() } else { words.into_any() }
}

/// What an empty page says: why it is empty, and one thing to do.
pub fn empty(title: &str, why: AnyView, action: Option<AnyView>) -> impl IntoView + use<> {
    view! { <div class="empty">{icon("i-none")}<h2>{title.to_owned()}</h2><p>{why}</p>{action}</div> }
}
