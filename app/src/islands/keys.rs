//! Keys without Ctrl or Alt, outside of fields: `/` filter, `j` and `k` rows, `x` choose, `?` help; and Escape for a menu.
//!
//! Lives here: moving the focus. May not: what a row or a filter means; Enter is the browser's, for rows are links.
//! Without it the same is reached by Tab. Whoever types by voice can switch single keys off (WCAG 2.1.4).

use leptos::prelude::*;

/// Listens for the whole page. `single`: single keys do something.
#[island]
pub fn Keys(single: bool) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    browser::listen(single);
    #[cfg(not(feature = "hydrate"))]
    let _ = single;
    view! { <span hidden></span> }
}

#[cfg(feature = "hydrate")]
mod browser {
    use wasm_bindgen::JsCast;
    use web_sys::{Document, Element, HtmlDialogElement, HtmlElement, HtmlInputElement, KeyboardEvent};

    use crate::islands::dom::{all, document, first, is_field, is_shown, on_key, target};

    /// The page's own filter, else the search of the top bar.
    const FILTERS: [&str; 3] = ["#main input[type=search]", "#main .filters :is(input:not([type=hidden]), select)", "#q"];
    /// The first list of the page that leads somewhere.
    const LIST: &str = "#main :is(table:has(tbody a.rowlink), .worst:has(a))";

    pub fn listen(single: bool) {
        let Some(document) = document() else { return };
        let within = document.clone();
        on_key(&document, move |e| {
            if e.default_prevented() || e.ctrl_key() || e.alt_key() || e.meta_key() || e.is_composing() {
                return;
            }
            if pressed(&within, e, single).is_some() {
                e.prevent_default();
            }
        });
    }

    fn pressed(document: &Document, e: &KeyboardEvent, single: bool) -> Option<()> {
        let main = document.body()?;
        if e.key() == "Escape" {
            return shut_menu(&main);
        }
        if !single || target(e).is_some_and(|t| is_field(&t)) || first(&main, "dialog[open]").is_some() {
            return None;
        }
        match e.key().as_str() {
            "/" => filter(&main),
            "j" => step(document, &main, true),
            "k" => step(document, &main, false),
            "x" => {
                first(&document.active_element()?.closest("tr, li").ok()??, "input[type=checkbox]")?.click();
                Some(())
            }
            "?" => first(&main, "#help")?.dyn_into::<HtmlDialogElement>().ok()?.show_modal().ok(),
            _ => None,
        }
    }

    fn shut_menu(main: &Element) -> Option<()> {
        let menu = first(main, "details.menu[open]")?;
        menu.remove_attribute("open").ok();
        first(&menu, "summary")?.focus().ok()
    }

    fn filter(main: &Element) -> Option<()> {
        let field = FILTERS.iter().flat_map(|s| all(main, s)).find(is_shown)?;
        field.focus().ok()?;
        if let Some(input) = field.dyn_ref::<HtmlInputElement>() {
            input.select();
        }
        Some(())
    }

    /// To the next or the previous row; from outside to the first one.
    fn step(document: &Document, main: &Element, down: bool) -> Option<()> {
        let list = first(main, LIST)?;
        let grid = list.get_attribute("role").as_deref() == Some("treegrid");
        let places: Vec<HtmlElement> = all(&list, "tbody > tr:not([hidden]), :scope > li")
            .into_iter()
            .filter_map(|row| {
                let link = first(&row, "a.rowlink, .what a")?;
                Some(if grid { row } else { link })
            })
            .collect();
        let here = document.active_element().and_then(|a| a.closest("tr, li").ok().flatten());
        let at = here.and_then(|row| places.iter().position(|p| row.contains(Some(p))));
        let next = match (at, down) {
            (None, _) => 0,
            (Some(n), true) => n + 1,
            (Some(n), false) => n.checked_sub(1)?,
        };
        places.get(next)?.focus().ok()
    }
}
