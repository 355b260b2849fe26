//! The keys of a file tree: arrows, Home, End, Space, Enter on rows, of which one is in the order of Tab (WAI-ARIA treegrid).
//!
//! Lives here: roles, focus, opening and closing folders in place with rows that the server has drawn.
//! May not: drawing rows, adding up. Without it the table has links that lead into folders and boxes to tick.

use leptos::prelude::*;

/// Wakes the table `.treegrid` of the page. Stands behind it.
#[island]
pub fn Tree() -> impl IntoView {
    #[cfg(feature = "hydrate")]
    browser::wake();
    view! { <span hidden></span> }
}

#[cfg(feature = "hydrate")]
mod browser {
    use wasm_bindgen::JsCast;
    use web_sys::{Element, HtmlElement, HtmlInputElement, KeyboardEvent};

    use crate::islands::dom::{all, document, first, number, on, on_key, part, target};

    pub fn wake() {
        let Some(table) = document().and_then(|d| d.query_selector("table.treegrid").ok()?) else { return };
        for row in all(&table, "tbody > tr") {
            adopt(&row, 1);
        }
        for (name, value) in [("role", "treegrid"), ("aria-multiselectable", "true")] {
            table.set_attribute(name, value).ok();
        }
        if let Some(row) = first(&table, "tbody > .is-sel").or_else(|| first(&table, "tbody > tr")) {
            make_current(&table, &row);
        }
        count(&table);

        let grid = table.clone();
        on(&table, "focusin", move |e| {
            if let Some(row) = target(&e).and_then(|t| row_of(&t)) {
                make_current(&grid, &row);
            }
        });
        let grid = table.clone();
        on(&table, "change", move |e| {
            if let Some(row) = target(&e).and_then(|t| row_of(&t)) {
                mark(&row);
                count(&grid);
            }
        });
        on(&table, "click", |e| {
            let twist = target(&e).and_then(|t| t.closest(".twist").ok().flatten());
            if let Some(row) = twist.and_then(|t| row_of(&t)) {
                if is_open(&row) { close(&row) } else { open(row) }
            }
        });
        let grid = table.clone();
        on_key(&table, move |e| {
            let plain = !(e.ctrl_key() || e.alt_key() || e.meta_key() || e.shift_key());
            if let Some(row) = target(e).filter(|_| plain).and_then(|t| row_of(&t))
                && pressed(&grid, row, e).is_some()
            {
                e.prevent_default();
            }
        });
    }

    fn row_of(e: &Element) -> Option<HtmlElement> {
        e.closest("tbody > tr").ok()??.dyn_into().ok()
    }

    fn level(row: &Element) -> i32 {
        number(row, "aria-level")
    }

    fn is_folder(row: &Element) -> bool {
        row.has_attribute("aria-expanded")
    }

    fn is_open(row: &Element) -> bool {
        row.get_attribute("aria-expanded").as_deref() == Some("true")
    }

    fn next(row: &Element) -> Option<HtmlElement> {
        row.next_element_sibling()?.dyn_into().ok()
    }

    /// Gives a row its place in the tree.
    fn adopt(row: &HtmlElement, at: i32) {
        let set = |name: &str, value: &str| row.set_attribute(name, value).ok();
        set("aria-level", &at.to_string());
        for (from, to) in [("data-pos", "aria-posinset"), ("data-of", "aria-setsize")] {
            if let Some(value) = row.get_attribute(from) {
                set(to, &value);
            }
        }
        if row.has_attribute("data-rows") {
            set("aria-expanded", "false");
        }
        mark(row);
        tab(row, -1);
    }

    /// A row that can be chosen says whether it is.
    fn mark(row: &HtmlElement) {
        if let Some(tick) = first(row, ".tick").and_then(|t| t.dyn_into::<HtmlInputElement>().ok()) {
            row.set_attribute("aria-selected", if tick.checked() { "true" } else { "false" }).ok();
        }
    }

    fn count(table: &Element) {
        let n = all(table, ".tick:checked").len();
        if let Some(place) = document().and_then(|d| d.get_element_by_id("picked")) {
            place.set_text_content(Some(&if n == 0 { String::new() } else { format!("{n} ticked") }));
        }
    }

    fn tab(row: &HtmlElement, index: i32) {
        row.set_tab_index(index);
        for inner in all(row, "a, input") {
            inner.set_tab_index(index);
        }
    }

    /// One row, with what is in it, stands in the order of Tab.
    fn make_current(table: &Element, row: &HtmlElement) {
        for other in all(table, "tbody > tr[tabindex='0']") {
            if &other != row {
                tab(&other, -1);
            }
        }
        tab(row, 0);
    }

    fn pressed(table: &Element, row: HtmlElement, e: &KeyboardEvent) -> Option<()> {
        let on_row = target(e).is_some_and(|t| t == *row);
        match e.key().as_str() {
            "ArrowDown" => all(table, "tbody > tr:not([hidden])").into_iter().skip_while(|r| *r != row).nth(1)?.focus().ok(),
            "ArrowUp" => all(table, "tbody > tr:not([hidden])").into_iter().rev().skip_while(|r| *r != row).nth(1)?.focus().ok(),
            "Home" => first(table, "tbody > tr")?.focus().ok(),
            "End" => all(table, "tbody > tr:not([hidden])").pop()?.focus().ok(),
            "ArrowRight" if is_open(&row) => next(&row).filter(|n| level(n) > level(&row))?.focus().ok(),
            "ArrowRight" if is_folder(&row) => {
                open(row);
                Some(())
            }
            "ArrowLeft" if is_open(&row) => {
                close(&row);
                Some(())
            }
            "ArrowLeft" => parent(&row)?.focus().ok(),
            " " if on_row => {
                first(&row, ".tick")?.click();
                Some(())
            }
            "Enter" if on_row => {
                first(&row, "a.rowlink")?.click();
                Some(())
            }
            _ => None,
        }
    }

    /// The folder that a row is in; at the top the row that leads one folder up.
    fn parent(row: &HtmlElement) -> Option<HtmlElement> {
        let (mut at, mut before) = (level(row), row.clone());
        while let Some(above) = before.previous_element_sibling().and_then(|r| r.dyn_into::<HtmlElement>().ok()) {
            if level(&above) < at {
                return Some(above);
            }
            at = at.min(level(&above));
            before = above;
        }
        (level(row) == 1 && &before != row && !before.has_attribute("data-pos")).then_some(before)
    }

    fn below(row: &HtmlElement) -> Vec<HtmlElement> {
        let at = level(row);
        std::iter::successors(next(row), |r| next(r)).take_while(|r| level(r) > at).collect()
    }

    fn close(row: &HtmlElement) {
        row.set_attribute("aria-expanded", "false").ok();
        let hidden = below(row);
        let here = document().and_then(|d| d.active_element());
        let lost = here.is_some_and(|a| hidden.iter().any(|r| r.contains(Some(&a))));
        for r in &hidden {
            r.set_hidden(true);
        }
        if lost {
            row.focus().ok();
        }
    }

    /// Shows what is in a folder; asks the server for it the first time. Where it refuses, the folder's own page says why.
    fn open(row: HtmlElement) {
        if row.has_attribute("aria-busy") {
            return;
        }
        let known = below(&row);
        if !known.is_empty() {
            row.set_attribute("aria-expanded", "true").ok();
            let mut shut = i32::MAX;
            for r in known {
                if level(&r) <= shut {
                    r.set_hidden(false);
                    shut = if is_folder(&r) && !is_open(&r) { level(&r) } else { i32::MAX };
                }
            }
            return;
        }
        let Some(url) = row.get_attribute("data-rows") else { return };
        row.set_attribute("aria-busy", "true").ok();
        leptos::task::spawn_local(async move {
            let answer = part(&url).await;
            row.remove_attribute("aria-busy").ok();
            let Some(html) = answer else {
                if let Some(link) = first(&row, "a.rowlink") {
                    link.click();
                }
                return;
            };
            let after = next(&row);
            row.insert_adjacent_html("afterend", &html).ok();
            let mut new = next(&row);
            while let Some(r) = new.filter(|r| Some(r) != after.as_ref()) {
                adopt(&r, level(&row) + 1);
                new = next(&r);
            }
            row.set_attribute("aria-expanded", "true").ok();
        });
    }
}
