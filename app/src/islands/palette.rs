//! The palette: Ctrl K (Cmd K) opens a field that finds and does things, by the combobox pattern of WAI-ARIA.
//!
//! Lives here: opening, asking, choosing, and the pages that were opened last (in this browser, for this person alone).
//! May not: deciding what is found, drawing it: the server sends finished options (`app::palette`).
//! Without it the search of the top bar finds the same.

use leptos::prelude::*;

/// Listens for the whole page. `who` looks; `title` is the page that is remembered, empty where it is none.
#[allow(clippy::needless_pass_by_value, reason = "the props of an island are owned: they travel as JSON")]
#[island]
pub fn Palette(who: String, title: String) -> impl IntoView {
    #[cfg(feature = "hydrate")]
    browser::listen(&who, &title);
    #[cfg(not(feature = "hydrate"))]
    let _ = (who, title);
    view! { <span hidden></span> }
}

#[cfg(feature = "hydrate")]
mod browser {
    use std::{cell::Cell, rc::Rc};

    use js_sys::{Array, JSON};
    use wasm_bindgen::{JsCast, JsValue};
    use web_sys::{Document, HtmlDialogElement, HtmlElement, HtmlInputElement, KeyboardEvent, ScrollIntoViewOptions, ScrollLogicalPosition, Storage};

    use crate::islands::dom::{all, document, first, on, on_key, part, sleep, target};

    /// Pages that are remembered, and how many of them are shown.
    const KEPT: usize = 12;
    const SHOWN: usize = 5;
    const SHOWN_OF_ASKED: usize = 3;
    /// Where they are remembered: whose they are, then pairs of address and title.
    const PLACE: &str = "holdfast-recent";
    /// A key that follows within so many milliseconds asks instead.
    const PAUSE_MS: i32 = 90;

    #[derive(Clone)]
    struct Palette {
        document: Document,
        dialog: HtmlDialogElement,
        input: HtmlInputElement,
        results: HtmlElement,
        status: HtmlElement,
        recent: Vec<(String, String)>,
        /// Counts the questions, so that a late answer to an older one is dropped.
        asked: Rc<Cell<u32>>,
    }

    pub fn listen(who: &str, title: &str) {
        let Some(palette) = find(who) else { return };
        remember(who, title);
        let p = palette.clone();
        on_key(&palette.document, move |e| {
            let chord = (e.ctrl_key() || e.meta_key()) && !e.alt_key() && !e.shift_key() && e.key().eq_ignore_ascii_case("k");
            if chord {
                e.prevent_default();
                p.toggle();
            }
        });
        let p = palette.clone();
        on(&palette.input, "input", move |_| p.ask());
        let p = palette.clone();
        on_key(&palette.input, move |e| {
            if p.pressed(e).is_some() {
                e.prevent_default();
            }
        });
        let p = palette.clone();
        on(&palette.dialog, "click", move |e| {
            // The ground around a dialog belongs to it.
            if target(&e).is_some_and(|t| t == **p.dialog) {
                p.dialog.close();
            }
        });
    }

    fn find(who: &str) -> Option<Palette> {
        let document = document()?;
        let dialog: HtmlElement = document.get_element_by_id("palette")?.dyn_into().ok()?;
        Some(Palette {
            input: first(&dialog, "input")?.dyn_into().ok()?,
            results: first(&dialog, "#palette-results")?,
            status: first(&dialog, "[role=status]")?,
            dialog: dialog.dyn_into().ok()?,
            document,
            recent: recent(who),
            asked: Rc::default(),
        })
    }

    fn storage() -> Option<Storage> {
        web_sys::window()?.local_storage().ok()?
    }

    /// The pages that this person opened last, the newest first.
    fn recent(who: &str) -> Vec<(String, String)> {
        let text = storage().and_then(|s| s.get_item(PLACE).ok()?).unwrap_or_default();
        let words: Vec<String> =
            JSON::parse(&text).ok().and_then(|v| v.dyn_into::<Array>().ok()).map_or_else(Vec::new, |a| a.iter().filter_map(|w| w.as_string()).collect());
        match words.split_first() {
            Some((owner, pairs)) if owner == who => pairs.as_chunks().0.iter().map(|[href, title]| (href.clone(), title.clone())).collect(),
            _ => Vec::new(),
        }
    }

    fn remember(who: &str, title: &str) {
        let here = web_sys::window().and_then(|w| w.location().pathname().ok()).unwrap_or_default();
        // The lists are always offered; what is remembered is one service, one run.
        if title.is_empty() || here.matches('/').count() < 2 || here.ends_with("/compare") {
            return;
        }
        let before = recent(who).into_iter().filter(|(href, _)| *href != here).take(KEPT - 1);
        let words = Array::new();
        words.push(&JsValue::from_str(who));
        for (href, title) in std::iter::once((here.clone(), title.to_owned())).chain(before) {
            words.push(&JsValue::from_str(&href));
            words.push(&JsValue::from_str(&title));
        }
        if let (Some(storage), Some(text)) = (storage(), JSON::stringify(&words).ok().and_then(|t| t.as_string())) {
            // A browser that keeps nothing keeps no pages either.
            storage.set_item(PLACE, &text).ok();
        }
    }

    /// The sign and the word for what an address leads to.
    fn kind(href: &str) -> (&'static str, &'static str) {
        match href.split('/').nth(1) {
            Some("services") => ("i-service", "service"),
            Some("people") => ("i-person", "person"),
            Some("snapshots") => ("i-snapshot", "snapshot"),
            Some("runs") => ("i-runs", "run"),
            Some("tests") => ("i-test", "restore test"),
            _ => ("i-link", "page"),
        }
    }

    impl Palette {
        fn toggle(&self) {
            if self.dialog.open() {
                self.dialog.close();
            } else if self.document.query_selector("dialog[open]").ok().flatten().is_none() {
                self.input.set_value("");
                self.dialog.show_modal().ok();
                self.ask();
            }
        }

        /// Asks for what stands in the field, once no further key follows.
        fn ask(&self) {
            let this = self.asked.get() + 1;
            self.asked.set(this);
            let p = self.clone();
            let text = p.input.value();
            leptos::task::spawn_local(async move {
                if !text.is_empty() {
                    sleep(PAUSE_MS).await;
                }
                if p.asked.get() != this {
                    return;
                }
                let answer = part(&format!("/palette?q={}", String::from(js_sys::encode_uri_component(&text)))).await;
                if p.asked.get() == this {
                    p.show(answer, text.trim());
                }
            });
        }

        fn show(&self, answer: Option<String>, text: &str) {
            let Some(html) = answer else {
                self.say("Nothing can be found now: Holdfast does not answer, or you were signed out. Load the page again.");
                return;
            };
            self.results.set_inner_html(&html);
            self.put_recent(text);
            let n = self.options().len();
            self.say(&match n {
                0 => "Nothing found".to_owned(),
                1 => "1 result".to_owned(),
                n => format!("{n} results"),
            });
            self.choose(0);
        }

        fn say(&self, words: &str) {
            self.status.set_text_content(Some(words));
        }

        /// Puts the pages that were opened last before all else, each once.
        fn put_recent(&self, text: &str) -> Option<()> {
            let here = web_sys::window()?.location().pathname().ok()?;
            let text = text.to_lowercase();
            let list = first(&self.results, "#palette-list")?;
            let group = self.document.create_element("div").ok()?;
            group.set_attribute("role", "group").ok()?;
            group.set_attribute("aria-label", "Opened last").ok()?;
            let head = self.document.create_element("p").ok()?;
            head.set_text_content(Some("Opened last"));
            head.set_class_name("palette__label");
            head.set_attribute("aria-hidden", "true").ok()?;
            group.append_child(&head).ok()?;
            let fitting = self.recent.iter().filter(|(href, title)| *href != here && title.to_lowercase().contains(&text));
            for (n, (href, title)) in fitting.take(if text.is_empty() { SHOWN } else { SHOWN_OF_ASKED }).enumerate() {
                for twin in all(&list, "a[role=option]").iter().filter(|a| a.get_attribute("href").as_ref() == Some(href)) {
                    twin.remove();
                }
                let option = self.document.create_element("a").ok()?;
                for (name, value) in
                    [("role", "option"), ("href", href), ("id", &format!("palette-last-{n}")), ("tabindex", "-1"), ("class", "palette__option")]
                {
                    option.set_attribute(name, value).ok()?;
                }
                let (symbol, kind) = kind(href);
                // The words of a page are put in as text; the rest is ours.
                option.set_inner_html(&format!(
                    r#"<svg class="i" aria-hidden="true"><use href="/icons.svg#{symbol}"></use></svg><span class="palette__name"></span><span class="palette__sub">{kind}</span>"#
                ));
                first(&option, ".palette__name")?.set_text_content(Some(title));
                group.append_child(&option).ok()?;
            }
            for empty in all(&list, "[role=group]:not(:has([role=option]))") {
                empty.remove();
            }
            if group.child_element_count() > 1 {
                list.prepend_with_node_1(&group).ok()?;
            }
            Some(())
        }

        fn options(&self) -> Vec<HtmlElement> {
            all(&self.results, "[role=option]")
        }

        fn pressed(&self, e: &KeyboardEvent) -> Option<()> {
            let options = self.options();
            let at = options.iter().position(|o| o.get_attribute("aria-selected").as_deref() == Some("true"));
            let last = options.len().checked_sub(1)?;
            match e.key().as_str() {
                "ArrowDown" => self.choose(at.filter(|n| *n < last).map_or(0, |n| n + 1)),
                "ArrowUp" => self.choose(at.and_then(|n| n.checked_sub(1)).unwrap_or(last)),
                "PageDown" => self.choose(last),
                "PageUp" => self.choose(0),
                "Enter" if !e.is_composing() => options.get(at?)?.click(),
                _ => return None,
            }
            Some(())
        }

        fn choose(&self, at: usize) {
            self.input.remove_attribute("aria-activedescendant").ok();
            for (n, option) in self.options().iter().enumerate() {
                option.set_attribute("aria-selected", if n == at { "true" } else { "false" }).ok();
                if n == at {
                    self.input.set_attribute("aria-activedescendant", &option.id()).ok();
                    let nearest = ScrollIntoViewOptions::new();
                    nearest.set_block(ScrollLogicalPosition::Nearest);
                    option.scroll_into_view_with_scroll_into_view_options(&nearest);
                }
            }
        }
    }
}
