//! Tables that scroll inside their own region, and the pager that follows a key.

use leptos::prelude::*;

/// A table with caption in a focusable, named region. `class` is added to `table`.
pub fn table(name: &str, class: &str, head: AnyView, rows: AnyView) -> impl IntoView + use<> {
    let (caption, label) = (name.to_owned(), format!("{name}, table"));
    view! {
        <div class="table-wrap" tabindex="0" role="region" aria-label=label>
            <table class=format!("table {class}")><caption class="vh">{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>
        </div>
    }
}

/// One column head. `class` is `num`, `col-md`, `col-lo` or a sum of them.
pub fn th(name: &'static str, class: &'static str) -> impl IntoView {
    view! { <th scope="col" class=(!class.is_empty()).then_some(class)>{name}</th> }
}
