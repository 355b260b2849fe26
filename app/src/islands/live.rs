//! What a page hears while it is open: parts that the server has drawn anew, and lines of a log.
//!
//! Lives here: one `EventSource` a page. May not: drawing, words, arithmetic: the server sends finished parts.
//! Without it the page refreshes itself (`<noscript>`); it loses nothing, for a stream resumes after the last event seen.

use leptos::prelude::*;

/// Follows `url`. Three kinds of events come: `parts` (elements by id, and a sentence to be read aloud), `log`
/// (a line for `#run-log`) and `end` (the page is loaded again to show the result).
#[allow(clippy::needless_pass_by_value, reason = "the props of an island are owned: they travel as JSON")]
#[island]
pub fn Live(url: String) -> impl IntoView {
    let (state, set_state) = signal("");
    #[cfg(feature = "hydrate")]
    browser::follow(&url, set_state);
    #[cfg(not(feature = "hydrate"))]
    let _ = (url, set_state);
    view! { <span class="live-state">{state}</span> }
}

#[cfg(feature = "hydrate")]
mod browser {
    use std::{cell::RefCell, rc::Rc};

    use js_sys::{Date, JSON, Object, Reflect};
    use leptos::prelude::*;
    use wasm_bindgen::{JsCast, JsValue};
    use web_sys::{Document, EventSource, MessageEvent};

    use crate::islands::dom::{document, on};

    /// Milliseconds between two sentences that are read aloud, unless the step has changed.
    const QUIET_MS: f64 = 15_000.0;
    /// Lines of a log that a page keeps.
    const LINES: u32 = 1_000;

    /// What was last read aloud: when, and in which step.
    #[derive(Default)]
    struct Said {
        at: f64,
        step: String,
    }

    pub fn follow(url: &str, set_state: WriteSignal<&'static str>) {
        let (Some(document), Ok(source)) = (document(), EventSource::new(url)) else { return };
        let said = Rc::new(RefCell::new(Said { at: Date::now(), ..Said::default() }));
        let parts_of = document.clone();
        listen(&source, "parts", move |data| parts(&parts_of, &data, &said));
        listen(&source, "log", move |data| log(&document, &data));
        let ended = source.clone();
        listen(&source, "end", move |_| {
            ended.close();
            if let Some(window) = web_sys::window() {
                window.location().reload().ok();
            }
        });
        on(&source, "open", move |_| set_state.set("live"));
        let failed = source.clone();
        on(&source, "error", move |_| {
            set_state.set(if failed.ready_state() == EventSource::CLOSED { "not live, load the page again" } else { "connecting again" });
        });
    }

    fn listen(source: &EventSource, event: &str, f: impl Fn(JsValue) + 'static) {
        on(source, event, move |e| {
            let data = e.dyn_ref::<MessageEvent>().and_then(|m| m.data().as_string());
            if let Some(value) = data.and_then(|text| JSON::parse(&text).ok()) {
                f(value);
            }
        });
    }

    fn text(of: &JsValue, name: &str) -> String {
        Reflect::get(of, &name.into()).ok().and_then(|v| v.as_string()).unwrap_or_default()
    }

    /// Puts finished parts into their places; what has not changed is left alone.
    fn parts(document: &Document, data: &JsValue, said: &Rc<RefCell<Said>>) {
        let Some(parts) = Reflect::get(data, &"parts".into()).ok().and_then(|v| v.dyn_into::<Object>().ok()) else { return };
        for name in Object::keys(&parts).iter().filter_map(|k| k.as_string()) {
            if let Some(place) = document.get_element_by_id(&name) {
                let html = text(&parts, &name);
                // The browser writes HTML in its own way, so what came before is remembered and not read back.
                let known = Reflect::get(&place, &"drawn".into()).ok().and_then(|v| v.as_string());
                if known.as_deref() != Some(&html) {
                    place.set_inner_html(&html);
                    Reflect::set(&place, &"drawn".into(), &html.into()).ok();
                }
            }
        }
        let (step, sentence) = (text(data, "step"), text(data, "say"));
        let mut said = said.borrow_mut();
        let now = Date::now();
        if !sentence.is_empty()
            && (step != said.step || now - said.at >= QUIET_MS)
            && let Some(place) = document.get_element_by_id("live-say")
        {
            place.set_text_content(Some(&sentence));
            *said = Said { at: now, step };
        }
    }

    /// Adds a line at the end of the log. Its frame stays at the end by itself if the reader is there.
    fn log(document: &Document, data: &JsValue) {
        let Some(list) = document.get_element_by_id("run-log") else { return };
        list.insert_adjacent_html("beforeend", &text(data, "html")).ok();
        while list.child_element_count() > LINES {
            let Some(first) = list.first_element_child() else { break };
            first.remove();
        }
    }
}
